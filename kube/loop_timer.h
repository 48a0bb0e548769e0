// SPDX-License-Identifier: Apache-2.0
// One alarm on a libuv loop.
//
// Shapes   start() replaces what was armed; on_alarm may destroy the timer. A delay of zero comes on the loop's next turn.
// Units    std::chrono.
// Owns     a libuv handle, which goes a turn after the timer.     Threads  the loop's.     Errors  none.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

struct uv_loop_s;

namespace tokenlet::kube {

class LoopTimer {
public:
    LoopTimer(uv_loop_s& loop, std::move_only_function<void()> on_alarm);
    ~LoopTimer();
    LoopTimer(const LoopTimer&) = delete;
    LoopTimer& operator=(const LoopTimer&) = delete;

    void start(std::chrono::milliseconds delay) noexcept;
    void stop() noexcept;
    [[nodiscard]] bool is_armed() const noexcept;

private:
    struct Handle;
    Handle* handle_;  // deleted when libuv has let go of it
};

}  // namespace tokenlet::kube
