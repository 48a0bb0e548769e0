// SPDX-License-Identifier: Apache-2.0
// The one alarm for everything that is due later, and the notice that somebody set the clock.
//
// Shapes   arm(at, now) replaces what was armed; nullopt disarms. on_alarm and on_clock_set run on the loop. Nothing ticks:
//          without a deadline there is no wake-up.
// Units    BootTime: a suspended machine's deadlines come when it wakes.
// Owns     two timerfds.     Threads  the loop's.     Errors  start(): from the system call.
// Source   timerfd_create(2); TFD_TIMER_CANCEL_ON_SET as systemd's timesyncd watches for steps.
//
// The alarm is armed relative: an absolute one never fires under libfaketime, which tests use.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>

#include "agent/shell/loop.h"
#include "base/result.h"
#include "base/time.h"
#include "base/unique_fd.h"

namespace tokenlet::agent {

// What a read() of the clock-watching descriptor says: ECANCELED means that the wall clock was set.
[[nodiscard]] bool is_clock_set(ssize_t read_result, int os_errno) noexcept;

class Timers {
public:
    [[nodiscard]] static Result<std::unique_ptr<Timers>> start(Loop& loop, Task on_alarm, Task on_clock_set);

    void arm(std::optional<BootTime> at, BootTime now);

private:
    Timers() = default;
    void on_alarm_readable();
    void on_step_readable();
    void arm_step() noexcept;

    UniqueFd alarm_;
    UniqueFd step_;
    std::optional<BootTime> armed_;
    Task on_alarm_;
    Task on_clock_set_;
    Watch alarm_watch_;  // last: go before the descriptors
    Watch step_watch_;
};

}  // namespace tokenlet::agent
