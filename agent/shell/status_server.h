// SPDX-License-Identifier: Apache-2.0
// What the agent answers on its unix socket.
//
//     GET  /v1/status                          everybody: agent/shell/status_json.h
//     GET  /livez  /readyz                     everybody: 200, or 503 with the reason
//     POST /v1/prune                           root, the agent's user and group: lets held removals go
//     POST /v1/rotate?pod=NS/NAME[&volume=V]   root, the agent's user and group: new tokens now
//
// Shapes   answer() is a pure mapping from Request to Response over StatusActions; StatusServer serves it.
// Owns     the listener and its socket.     Threads  the loop's.
// Errors   go to the client as {"error": "..."} with 400, 403, 404, 405; start(): the socket cannot be made.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "agent/shell/loop.h"
#include "base/result.h"
#include "http/listener.h"
#include "kube/objects.h"

namespace tokenlet::agent {

struct StatusActions {
    std::function<std::string()> status_json;
    std::function<std::string()> unready;  // why not ready; empty: ready
    std::function<void()> prune;
    std::function<Result<>(const kube::ObjectKey& pod, const std::string& volume)> rotate;
};

// Who may change things: root, and whoever is `uid` or `gid`.
struct Operators {
    uid_t uid = 0;
    gid_t gid = 0;
};

[[nodiscard]] http::Response answer(const http::Request& request, const StatusActions& actions,
                                    const Operators& operators);

class StatusServer {
public:
    [[nodiscard]] static Result<std::unique_ptr<StatusServer>> start(Loop& loop, const std::string& socket,
                                                                     StatusActions actions);

private:
    StatusServer() = default;

    StatusActions actions_;
    Operators operators_;
    Wake wake_;
    std::unique_ptr<http::Listener> listener_;  // last: its thread uses wake_
};

}  // namespace tokenlet::agent
