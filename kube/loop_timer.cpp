// SPDX-License-Identifier: Apache-2.0
#include "kube/loop_timer.h"

#include <uv.h>

#include <cstdint>
#include <utility>

namespace tokenlet::kube {

struct LoopTimer::Handle {
    uv_timer_t timer{};
    std::move_only_function<void()> on_alarm;  // lives on while it runs, whoever destroys the LoopTimer in it
};

LoopTimer::LoopTimer(uv_loop_s& loop, std::move_only_function<void()> on_alarm)
    : handle_(new Handle{.timer = {}, .on_alarm = std::move(on_alarm)}) {
    (void)uv_timer_init(&loop, &handle_->timer);  // never fails
    handle_->timer.data = handle_;
}

LoopTimer::~LoopTimer() {
    uv_close(reinterpret_cast<uv_handle_t*>(&handle_->timer),
             [](uv_handle_t* closed) noexcept { delete static_cast<Handle*>(closed->data); });
}

void LoopTimer::start(std::chrono::milliseconds delay) noexcept {
    // The loop's own time is that of the turn's begin: without this a long turn would make the alarm early.
    uv_update_time(handle_->timer.loop);
    (void)uv_timer_start(  // fails only on a handle that is closing
        &handle_->timer, [](uv_timer_t* timer) noexcept { static_cast<Handle*>(timer->data)->on_alarm(); },
        static_cast<std::uint64_t>(delay.count()), 0);
}

void LoopTimer::stop() noexcept {
    (void)uv_timer_stop(&handle_->timer);  // never fails
}

bool LoopTimer::is_armed() const noexcept {
    return uv_is_active(reinterpret_cast<const uv_handle_t*>(&handle_->timer)) != 0;
}

}  // namespace tokenlet::kube
