// SPDX-License-Identifier: Apache-2.0
#include "cli/daemon.h"

#include <nlohmann/json.hpp>

#include "cli/text.h"
#include "http/unix_client.h"

namespace tokenlet::cli {

namespace {

constexpr std::size_t kLongestAnswer = std::size_t{256} << 20;
constexpr std::size_t kLongestComplaint = 500;

// What the agent says went wrong, in its own words where it answers as it should.
std::string complaint(const http::Response& answer) {
    const std::string_view body = answer.body.view();
    const auto json = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
    if (json.is_object() && json.contains("error") && json["error"].is_string())
        return printable(json["error"].get<std::string>().substr(0, kLongestComplaint));
    return "the agent answers " + std::to_string(answer.status) + ": " + printable(body.substr(0, kLongestComplaint));
}

Error refusal(const std::string& socket, const std::string& target, const http::Response& answer) {
    const std::string what = socket + ": " + complaint(answer);
    switch (answer.status) {
        case 400:
            return {Errc::Invalid, what};
        case 403:
            return {Errc::Denied, what + "; try again as one of them, with sudo for example"};
        case 404:
            return {Errc::NotFound, what};
        default:
            return {Errc::Unavailable, socket + ": " + target + ": " + complaint(answer)};
    }
}

Result<Secret> exchange(const std::string& socket, const http::ClientRequest& request) {
    Result<http::Response> answer = http::fetch(socket, request);
    if (!answer) {
        if (answer.error().code == Errc::NotFound)
            answer.error().what +=
                "; start the agent (systemctl start tokenlet), or name its socket with --socket or --config";
        return std::unexpected(std::move(answer.error()));
    }
    if (answer->status != 200)
        return std::unexpected(refusal(socket, request.target, *answer));
    return std::move(answer->body);
}

}  // namespace

Result<std::optional<agent::AgentConfiguration>> read_usual_configuration(const std::string& path) {
    Result<agent::AgentConfiguration> read =
        agent::read_agent_configuration(path.empty() ? agent::kDefaultConfigurationPath : path);
    if (read)
        return std::move(*read);
    if (path.empty() && read.error().code == Errc::NotFound)
        return std::nullopt;
    return std::unexpected(std::move(read.error()));
}

Result<std::string> daemon_socket(const Where& where) {
    if (!where.socket.empty())
        return where.socket;
    Result<std::optional<agent::AgentConfiguration>> config = read_usual_configuration(where.config);
    if (config)
        return (*config ? (*config)->status : agent::StatusEndpoint{}).socket;
    if (where.config.empty() && config.error().code == Errc::Denied)
        return agent::StatusEndpoint{}.socket;  // for whoever may ask the agent, and not read its configuration
    return std::unexpected(std::move(config.error()));
}

Result<Secret> ask_daemon(const std::string& socket, const std::string& target) {
    return exchange(socket, {.target = target, .body_bytes = kLongestAnswer});
}

Outcome show_status(const Where& where, const std::function<Result<Outcome>(std::string_view)>& show) {
    Result<std::string> socket = daemon_socket(where);
    if (!socket)
        return misconfigured(std::move(socket.error()));
    Result<Secret> answer = ask_daemon(*socket, "/v1/status");
    if (!answer)
        return failed(std::move(answer.error()));
    Result<Outcome> outcome = show(answer->view());
    if (!outcome)
        return failed(std::move(outcome.error()).with(*socket));
    return std::move(*outcome);
}

Result<> tell_daemon(const std::string& socket, const std::string& target) {
    (void)TRY(exchange(socket, {.method = "POST", .target = target}));
    return {};
}

}  // namespace tokenlet::cli
