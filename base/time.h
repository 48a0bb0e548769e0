// SPDX-License-Identifier: Apache-2.0
// The two times tokenlet reckons with.
//
// Shapes   BootTime counts CLOCK_BOOTTIME: suspend ages it, a step of the wall clock does not. Ages and deadlines are
//          BootTime. WallTime is what the issuer's claims speak of and what people read.
// Units    nanoseconds; claims and records are whole seconds.
// Owns     nothing.     Threads  any.     Errors  none.
//
// Below agent/shell, time comes in as a value; only the shell and the command line read a clock (read_clocks).
#pragma once

#include <chrono>
#include <string>

namespace tokenlet {

struct BootClock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<BootClock>;
    static constexpr bool is_steady = true;
};

using Duration = std::chrono::nanoseconds;
using BootTime = BootClock::time_point;
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

// One look at both clocks.
struct Now {
    BootTime boot;
    WallTime wall;
};

[[nodiscard]] Now read_clocks();

// RFC 3339 in UTC, whole seconds: "2026-11-24T05:39:00Z".
[[nodiscard]] std::string rfc3339(WallTime time);

// "1h0m0s" as Go prints it, rounded down to whole seconds, zero parts left out at the front: "48m0s", "9s".
[[nodiscard]] std::string go_duration(Duration duration);

}  // namespace tokenlet
