// SPDX-License-Identifier: Apache-2.0
#include "cli/rotate_verb.h"

#include <vector>

#include "cli/status_answer.h"
#include "cli/text.h"
#include "kube/names.h"

namespace tokenlet::cli {

namespace {

struct Target {
    std::string ns;  // empty: the one namespace that has a Pod of this name
    std::string name;
    std::string volume;  // empty: all
};

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> parts;
    while (true) {
        const std::size_t slash = text.find('/');
        parts.emplace_back(text.substr(0, slash));
        if (slash == std::string_view::npos)
            return parts;
        text.remove_prefix(slash + 1);
    }
}

// Names only: they go into the request as they stand.
Result<Target> parse_target(const std::string& text) {
    const std::vector<std::string> parts = split(text);
    if (parts.size() > 3)
        return fail(Errc::Invalid, "'" + text + "' is none of NAME, NAMESPACE/NAME, NAMESPACE/NAME/VOLUME");
    const bool is_alone = parts.size() == 1;
    Target target{.ns = is_alone ? "" : parts[0],
                  .name = is_alone ? parts[0] : parts[1],
                  .volume = parts.size() == 3 ? parts[2] : ""};
    std::string trouble = kube::check_dns1123_subdomain(target.name);
    if (trouble.empty() && !is_alone)
        trouble = kube::check_dns1123_label(target.ns);
    if (trouble.empty() && parts.size() == 3)
        trouble = kube::check_dns1123_label(target.volume);
    if (!trouble.empty())
        return fail(Errc::Invalid, "'" + text + "' names no Pod: " + trouble);
    return target;
}

Result<std::string> find_namespace(const std::string& socket, const std::string& name) {
    const Secret json = TRY(ask_daemon(socket, "/v1/status"));
    const StatusAnswer answer = TRY(read_status_answer(json.view()), socket);
    std::string found;
    for (const PodAnswer& pod : answer.pods) {
        if (pod.name != name)
            continue;
        if (!found.empty())
            return fail(Errc::Invalid, "several Pods are called '" + name + "': " + found + "/" + name + " and " +
                                           pod.key() + " among them; say which one");
        found = pod.ns;
    }
    if (found.empty())
        return fail(Errc::NotFound, "the agent has no Pod '" + name + "'");
    return found;
}

Result<std::string> rotate(const std::string& socket, Target target) {
    if (target.ns.empty())
        target.ns = TRY(find_namespace(socket, target.name));
    const std::string pod = target.ns + "/" + target.name;
    TRY(tell_daemon(socket, "/v1/rotate?pod=" + pod + (target.volume.empty() ? "" : "&volume=" + target.volume)));
    return pod + (target.volume.empty() ? "" : ", volume " + target.volume) + ": new tokens are asked for\n";
}

}  // namespace

Outcome run(const RotateOptions& options) {
    Result<Target> target = parse_target(options.pod);
    if (!target)
        return {.code = ExitCode::Usage,
                .complaints = {std::move(target.error().what) + " (see tokenlet rotate --help)"}};
    Result<std::string> socket = daemon_socket(options.where);
    if (!socket)
        return misconfigured(std::move(socket.error()));
    Result<std::string> done = rotate(*socket, std::move(*target));
    if (!done)
        return failed(std::move(done.error()));
    return {.out = std::move(*done)};
}

}  // namespace tokenlet::cli
