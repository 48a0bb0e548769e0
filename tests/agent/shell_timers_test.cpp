// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/timers.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <ctime>
#include <filesystem>
#include <fstream>

namespace tokenlet::agent {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

TEST(IsClockSet, OnlyWhenTheKernelCancelledTheTimer) {
    struct Case {
        const char* name;
        ssize_t result;
        int os_errno;
        bool want;
    };
    const Case cases[] = {
        {"the clock was set", -1, ECANCELED, true},
        {"nothing has happened", -1, EAGAIN, false},
        {"the far end of time has come", 8, ECANCELED, false},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_EQ(is_clock_set(c.result, c.os_errno), c.want);
    }
}

TEST(Timers, RingAtOnceForADeadlineThatHasPassed) {
    auto loop = *Loop::create();
    auto timers = *Timers::start(*loop, [&] { loop->stop(); }, [] { FAIL(); });
    const BootTime now = read_clocks().boot;
    timers->arm(now - hours(1), now);
    loop->run();
}

// Without it a deadline that came in a suspend would wait for as long as the machine slept.
TEST(Timers, CountThroughASuspend) {
    auto loop = *Loop::create();
    const auto timers = *Timers::start(*loop, [] {}, [] {});
    int counting = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
        std::ifstream info(entry.path());
        for (std::string line; std::getline(info, line);)
            counting += line == "clockid: " + std::to_string(CLOCK_BOOTTIME) ? 1 : 0;
    }
    EXPECT_EQ(counting, 1) << "timers on CLOCK_BOOTTIME";
}

TEST(Timers, KeepOnlyTheDeadlineArmedLast) {
    auto loop = *Loop::create();
    int rings = 0;
    auto timers = *Timers::start(
        *loop,
        [&] {
            ++rings;
            loop->stop();
        },
        [] { FAIL(); });
    const BootTime now = read_clocks().boot;
    timers->arm(now, now);
    timers->arm(std::nullopt, now);
    timers->arm(now + milliseconds(1), now);
    loop->run();
    EXPECT_EQ(rings, 1);
    EXPECT_GE(read_clocks().boot, now + milliseconds(1));
}

}  // namespace
}  // namespace tokenlet::agent
