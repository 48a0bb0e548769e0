// SPDX-License-Identifier: Apache-2.0
#include "cli/prune_verb.h"

#include "cli/status_answer.h"
#include "cli/text.h"

namespace tokenlet::cli {

namespace {

// What is held has to be asked for first: afterwards it is gone.
Result<std::string> prune(const std::string& socket) {
    const Secret json = TRY(ask_daemon(socket, "/v1/status"));
    const StatusAnswer before = TRY(read_status_answer(json.view()), socket);
    TRY(tell_daemon(socket, "/v1/prune"));
    return before.removal_held.empty() ? "no removal is held\n" : "released: " + printable(before.removal_held) + "\n";
}

}  // namespace

Outcome run(const PruneOptions& options) {
    Result<std::string> socket = daemon_socket(options.where);
    if (!socket)
        return misconfigured(std::move(socket.error()));
    Result<std::string> done = prune(*socket);
    if (!done)
        return failed(std::move(done.error()));
    return {.out = std::move(*done)};
}

}  // namespace tokenlet::cli
