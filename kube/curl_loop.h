// SPDX-License-Identifier: Apache-2.0
// libcurl's multi interface on a libuv loop: descriptors are polled and timers kept by the loop, never by libcurl.
//
// Shapes   add(easy) starts a transfer, remove(easy) ends it early. on_done comes for each that ended, after it was removed;
//          it must not destroy the CurlLoop. on_turn comes each time libcurl has run, when all on_done have come, and may
//          destroy anything. Neither comes out of add() or remove(), and neither while libcurl is at work.
// Units    none.
// Owns     the connections, kept for later transfers. Not the easy handles: all must be removed before this goes.
// Threads  the loop's.     Errors  add(): false, libcurl is out of memory.
// Source   libcurl libcurl-multi(3), curl_multi_socket_action(3).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

struct uv_loop_s;

namespace tokenlet::kube {

class CurlLoop {
public:
    using Easy = void;  // libcurl's CURL

    struct Callbacks {
        std::function<void(Easy*, int curl_code)> on_done;
        std::function<void()> on_turn;
    };

    CurlLoop(uv_loop_s& loop, Callbacks callbacks);
    CurlLoop(const CurlLoop&) = delete;
    CurlLoop& operator=(const CurlLoop&) = delete;
    ~CurlLoop();

    [[nodiscard]] bool add(Easy* easy);
    void remove(Easy* easy);
    [[nodiscard]] std::size_t size() const;  // transfers under way

private:
    class State;
    std::unique_ptr<State> state_;
};

}  // namespace tokenlet::kube
