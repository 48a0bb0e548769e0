// SPDX-License-Identifier: Apache-2.0
#include "cli/daemon.h"

#include "agent/config.h"
#include "cli/text.h"
#include "http/unix_client.h"

namespace tokenlet::cli {

namespace {

constexpr std::size_t kLongestAnswer = std::size_t{256} << 20;
constexpr std::size_t kLongestComplaint = 500;

}  // namespace

Result<std::string> daemon_socket(const Where& where) {
    if (!where.socket.empty())
        return where.socket;
    const bool named = !where.config.empty();
    Result<agent::AgentConfiguration> config =
        agent::read_agent_configuration(named ? where.config : agent::kDefaultConfigurationPath);
    if (config)
        return config->status.socket;
    const Errc code = config.error().code;
    if (!named && (code == Errc::NotFound || code == Errc::Denied))
        return agent::StatusEndpoint{}.socket;
    return std::unexpected(std::move(config.error()));
}

Result<Secret> ask_daemon(const std::string& socket, const std::string& target) {
    Result<http::Response> answer = http::fetch(socket, {.target = target, .body_bytes = kLongestAnswer});
    if (!answer) {
        if (answer.error().code == Errc::NotFound)
            answer.error().what +=
                "; start the agent (systemctl start tokenlet), or name its socket with --socket or --config";
        return std::unexpected(std::move(answer.error()));
    }
    if (answer->status != 200)
        return fail(Errc::Unavailable, socket + ": " + target + ": the agent answers " +
                                           std::to_string(answer->status) + ": " +
                                           printable(answer->body.view().substr(0, kLongestComplaint)));
    return std::move(answer->body);
}

}  // namespace tokenlet::cli
