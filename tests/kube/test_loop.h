// SPDX-License-Identifier: Apache-2.0
// A libuv loop that a test runs until something has happened.
//
// Shapes   run_until(condition) is false when that took longer than the limit. run_turns() lets what is due happen.
// Owns     the loop. What a test puts on it must go before.     Threads  one.
// Errors   a handle that is left when the loop ends fails the test.
#pragma once

#include <gtest/gtest.h>
#include <uv.h>

#include <chrono>

namespace tokenlet::kube {

class TestLoop {
public:
    TestLoop() { uv_loop_init(&loop_); }
    TestLoop(const TestLoop&) = delete;
    TestLoop& operator=(const TestLoop&) = delete;
    ~TestLoop() {
        for (int turn = 0; uv_loop_alive(&loop_) != 0 && turn < 1000; ++turn)
            uv_run(&loop_, UV_RUN_ONCE);
        EXPECT_EQ(uv_loop_close(&loop_), 0) << "a handle was left on the loop";
    }

    uv_loop_s& uv() { return loop_; }

    template <class Condition>
    bool run_until(Condition condition, std::chrono::milliseconds limit = std::chrono::seconds(20)) {
        uv_timer_t alarm;
        uv_timer_init(&loop_, &alarm);
        uv_timer_start(&alarm, [](uv_timer_t*) {}, static_cast<std::uint64_t>(limit.count()), 0);
        // A turn runs timers first and then waits for descriptors: what a timer has brought about must not be waited for.
        uv_prepare_t before_waiting;
        uv_prepare_init(&loop_, &before_waiting);
        before_waiting.data = &condition;
        uv_prepare_start(&before_waiting, [](uv_prepare_t* prepare) {
            if ((*static_cast<Condition*>(prepare->data))())
                uv_stop(prepare->loop);
        });
        while (!condition() && uv_is_active(reinterpret_cast<uv_handle_t*>(&alarm)) != 0)
            uv_run(&loop_, UV_RUN_ONCE);
        uv_close(reinterpret_cast<uv_handle_t*>(&alarm), nullptr);
        uv_close(reinterpret_cast<uv_handle_t*>(&before_waiting), nullptr);
        run_turns();
        return condition();
    }

    void run_turns() {
        for (int turn = 0; turn < 5; ++turn)
            uv_run(&loop_, UV_RUN_NOWAIT);
    }

private:
    uv_loop_t loop_{};
};

}  // namespace tokenlet::kube
