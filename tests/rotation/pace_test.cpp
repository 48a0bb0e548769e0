// SPDX-License-Identifier: Apache-2.0
#include "rotation/pace.h"

#include <gtest/gtest.h>

#include <chrono>

namespace tokenlet::rotation {
namespace {

using namespace std::chrono_literals;

constexpr BootTime kStart{1000s};

std::size_t taken(Pace& pace, BootTime from, Duration time) {
    std::size_t count = 0;
    for (BootTime now = from; now <= from + time; now += 1ms)
        while (pace.take(now))
            ++count;
    return count;
}

TEST(Pace, LetsABurstThroughAtOnceAndThenNoMoreThanItsRate) {
    struct Case {
        std::string_view name;
        PaceSettings settings;
        Duration time;
        std::size_t want;
    };
    const Case cases[] = {
        {"the burst alone", {.per_second = 50, .burst = 100}, 0s, 100},
        {"a second as the kubelet has it", {.per_second = 50, .burst = 100}, 1s, 150},
        {"a minute", {.per_second = 50, .burst = 100}, 60s, 3100},
        {"one by one", {.per_second = 10, .burst = 1}, 1s, 11},
        {"less than one a second", {.per_second = 0.5, .burst = 1}, 10s, 6},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        Pace pace(c.settings);
        EXPECT_EQ(taken(pace, kStart, c.time), c.want);
    }
}

TEST(Pace, NamesTheMomentFromWhichItTakesAgain) {
    Pace pace({.per_second = 50, .burst = 2});
    EXPECT_EQ(pace.next(kStart), kStart);
    EXPECT_TRUE(pace.take(kStart));
    EXPECT_TRUE(pace.take(kStart));
    EXPECT_EQ(pace.next(kStart), kStart + 20ms);
    EXPECT_FALSE(pace.take(kStart + 19ms));
    EXPECT_TRUE(pace.take(kStart + 20ms));
}

TEST(Pace, SavesUpNoMoreThanABurst) {
    Pace pace({.per_second = 50, .burst = 3});
    EXPECT_EQ(taken(pace, kStart, 0s), 3U);
    EXPECT_EQ(taken(pace, kStart + 24h, 0s), 3U);
}

}  // namespace
}  // namespace tokenlet::rotation
