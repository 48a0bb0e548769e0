// SPDX-License-Identifier: Apache-2.0
#include "cli/wait_verb.h"

#include <poll.h>

#include <algorithm>

#include "base/time.h"
#include "cli/status_answer.h"
#include "cli/text.h"

namespace tokenlet::cli {

namespace {

constexpr std::chrono::milliseconds kInterval{250};

// Empty: the Pod is ready. Otherwise why it is not.
Result<std::string> look(const std::string& socket, const std::string& wanted) {
    const Secret json = TRY(ask_daemon(socket, "/v1/status"));
    const StatusAnswer answer = TRY(read_status_answer(json.view()));
    const auto pod = std::ranges::find_if(answer.pods, [&](const PodAnswer& p) { return p.is_called(wanted); });
    if (pod == answer.pods.end())
        return "the agent has no such Pod";
    if (pod->ready)
        return "";
    for (const VolumeAnswer& volume : pod->volumes) {
        if (!volume.error.empty())
            return volume.name + ": " + volume.error;
    }
    return pod->message.empty() ? "its volumes are not published yet" : pod->message;
}

}  // namespace

Outcome run(const WaitOptions& options) {
    Result<std::string> socket = daemon_socket(options.where);
    if (!socket)
        return misconfigured(std::move(socket.error()));
    const BootTime until = read_clocks().boot + options.timeout;
    while (true) {
        // An agent that is not there may be about to start: it is waited for as a Pod is.
        const Result<std::string> trouble = look(*socket, options.pod);
        if (trouble && trouble->empty())
            return {};
        if (!trouble && trouble.error().code != Errc::NotFound && trouble.error().code != Errc::Unavailable)
            return failed(trouble.error());
        const Duration left = until - read_clocks().boot;
        if (left <= Duration::zero())
            return failed({Errc::Unavailable, options.pod + ": not ready after " + rough(options.timeout) + ": " +
                                                  (trouble ? *trouble : trouble.error().what)});
        const auto pause = std::min<Duration>(left, kInterval);
        (void)::poll(nullptr, 0, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(pause).count()));
    }
}

}  // namespace tokenlet::cli
