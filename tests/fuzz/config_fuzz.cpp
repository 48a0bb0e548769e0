// SPDX-License-Identifier: Apache-2.0
// The agent's configuration: what is accepted is complete and contradicts nothing.
#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config.h"
#include "kube/names.h"
#include "tests/fuzz/fuzz_target.h"

namespace tokenlet::fuzz {
namespace {

bool is_directory(std::string_view path) {
    return path.starts_with('/') && !path.contains('\0') && !(std::string(path) + "/").contains("/../");
}

// With one slash at the end, and none too many before it.
std::string normal(const std::string& path) {
    return (std::filesystem::path(path) / "").lexically_normal();
}

void look_at(const agent::AgentConfiguration& config) {
    must(kube::check_dns1123_subdomain(config.node_name).empty(), "nodeName is a node's name");
    for (const std::string& path :
         {config.state_dir, config.manifests.path, config.volumes.root, config.volumes.by_name, config.status.socket})
        must(is_directory(path), "paths are absolute and lead nowhere else");
    const std::string root = normal(config.volumes.root);
    const std::string by_name = normal(config.volumes.by_name);
    must(!root.starts_with(by_name) && !by_name.starts_with(root), "root and byName do not lie within one another");
    for (const std::string& path : config.volumes.direct) {
        must(is_directory(path) && normal(path) != "/", "direct directories are absolute");
        must(!normal(path).starts_with(root) && !normal(path).starts_with(by_name) && !root.starts_with(normal(path)) &&
                 !by_name.starts_with(normal(path)),
             "what is the agent's own is not direct");
    }
    must(config.manifests.resync > Duration::zero() && config.manifests.removal_delay >= Duration::zero() &&
             config.volumes.grace >= Duration::zero(),
         "durations are what they are for");
    must(config.rotation.fraction > 0 && config.rotation.fraction <= 1, "a fraction is one");
    must(config.rotation.max_age > Duration::zero() && config.rotation.max_jitter >= Duration::zero(),
         "tokens are rotated in the future");
    std::vector<std::string> names;
    for (const agent::Notification& notification : config.notifications) {
        names.push_back(notification.name);
        if (const auto* command = std::get_if<agent::RunCommand>(&notification.action))
            must(!command->argv.empty() && command->argv[0].starts_with('/') && command->timeout > Duration::zero(),
                 "a command is a program's absolute path");
        else
            must(std::get<agent::SendSignal>(notification.action).signal > 0, "a signal is one");
    }
    std::ranges::sort(names);
    must(std::ranges::adjacent_find(names) == names.end(), "a notification's name is its own");
}

}  // namespace

void run_input(std::string_view input) {
    const auto config = agent::parse_agent_configuration(input, "agent.yaml", "edge-7");
    if (!config) {
        must(config.error().code == Errc::Invalid, "wrong text is invalid, nothing else");
        must(config.error().what.starts_with("agent.yaml: "), "an error names the file");
        return;
    }
    look_at(*config);
    (void)agent::check_supported(*config);
    (void)agent::warnings_about(*config);
    must(agent::parse_agent_configuration("# first\n" + std::string(input), "agent.yaml", "edge-7").has_value(),
         "a comment in front changes nothing");
}

}  // namespace tokenlet::fuzz
