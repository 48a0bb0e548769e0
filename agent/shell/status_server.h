// SPDX-License-Identifier: Apache-2.0
// What the agent answers on its unix socket.
//
//     GET  /v1/status                          everybody: agent/shell/status_json.h
//     GET  /livez  /readyz                     everybody: 200, or 503 with the reason
//     POST /v1/prune                           root, the agent's user and group: lets held removals go
//     POST /v1/rotate?pod=NS/NAME[&volume=V]   root, the agent's user and group: new tokens now
//
// Shapes   answer() is a pure mapping from Request to Response over StatusActions; StatusServer serves it. The status of
//          ten thousand Pods is a long text: it is made in the thread pool, one at a time, and those who ask meanwhile
//          share the next one.
// Owns     the listener and its socket.     Threads  the loop's.
// Errors   go to the client as {"error": "..."} with 400, 403, 404, 405; start(): the socket cannot be made.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/shell/loop.h"
#include "base/result.h"
#include "http/listener.h"
#include "kube/objects.h"

namespace tokenlet::agent {

struct StatusActions {
    // Taken now. What it returns makes the text of agent/shell/status_json.h, on any thread.
    std::function<std::move_only_function<std::string()>()> snapshot;
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
    StatusServer(const StatusServer&) = delete;
    StatusServer& operator=(const StatusServer&) = delete;
    ~StatusServer();

private:
    explicit StatusServer(Loop& loop);
    void serve(const http::Request& request);
    void answer_waiting();

    Loop& loop_;
    StatusActions actions_;
    Operators operators_;
    std::vector<http::RequestId> waiting_;  // for a status
    bool is_making_one_ = false;
    std::shared_ptr<StatusServer*> self_;  // emptied when we go: a status on its way finds nobody
    Wake wake_;
    std::unique_ptr<http::Listener> listener_;  // last: its thread uses wake_
};

}  // namespace tokenlet::agent
