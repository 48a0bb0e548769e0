// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/timers.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <utility>

namespace tokenlet::agent {

namespace {

timespec to_timespec(Duration duration) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
    return {.tv_sec = seconds.count(), .tv_nsec = (duration - seconds).count()};
}

}  // namespace

bool is_clock_set(ssize_t read_result, int os_errno) noexcept {
    return read_result < 0 && os_errno == ECANCELED;
}

Result<std::unique_ptr<Timers>> Timers::start(Loop& loop, Task on_alarm, Task on_clock_set) {
    std::unique_ptr<Timers> timers(new Timers);
    Timers* self = timers.get();
    self->on_alarm_ = std::move(on_alarm);
    self->on_clock_set_ = std::move(on_clock_set);

    self->alarm_ = UniqueFd(::timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC));
    if (!self->alarm_)
        return fail_errno(errno, "timerfd_create", "CLOCK_BOOTTIME");
    self->step_ = UniqueFd(::timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC));
    if (!self->step_)
        return fail_errno(errno, "timerfd_create", "CLOCK_REALTIME");
    self->arm_step();

    self->alarm_watch_ = TRY(loop.watch_readable(self->alarm_.get(), [self] { self->on_alarm_readable(); }));
    self->step_watch_ = TRY(loop.watch_readable(self->step_.get(), [self] { self->on_step_readable(); }));
    return timers;
}

void Timers::arm(std::optional<BootTime> at, BootTime now) {
    if (at == armed_)
        return;
    armed_ = at;
    // All zero disarms, so a deadline that has come already is one nanosecond away.
    itimerspec spec{};
    if (at)
        spec.it_value = to_timespec(std::max(*at - now, Duration(1)));
    (void)::timerfd_settime(alarm_.get(), 0, &spec, nullptr);  // fails only on a bad descriptor or a bad timespec
}

void Timers::on_alarm_readable() {
    std::uint64_t expirations = 0;
    if (::read(alarm_.get(), &expirations, sizeof expirations) < 0)
        return;  // armed anew since the loop was told
    armed_.reset();
    on_alarm_();
}

void Timers::on_step_readable() {
    std::uint64_t expirations = 0;
    const ssize_t result = ::read(step_.get(), &expirations, sizeof expirations);
    const bool was_set = is_clock_set(result, errno);
    if (!was_set && result < 0)
        return;
    arm_step();
    if (was_set)
        on_clock_set_();
}

// As far ahead as the kernel reckons: it is never meant to come, only to be cancelled.
void Timers::arm_step() noexcept {
    itimerspec never{};
    never.it_value.tv_sec = std::numeric_limits<std::int64_t>::max() / 1'000'000'000;
    (void)::timerfd_settime(step_.get(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, nullptr);
}

}  // namespace tokenlet::agent
