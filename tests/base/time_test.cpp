// SPDX-License-Identifier: Apache-2.0
#include "base/time.h"

#include <gtest/gtest.h>

namespace tokenlet {
namespace {

using namespace std::chrono_literals;

TEST(Time, WritesRfc3339InUtc) {
    EXPECT_EQ(rfc3339(WallTime(0s)), "1970-01-01T00:00:00Z");
    EXPECT_EQ(rfc3339(WallTime(1795498740s + 999ms)), "2026-11-24T05:39:00Z");
}

TEST(Time, WritesDurationsAsGoDoes) {
    EXPECT_EQ(go_duration(0s), "0s");
    EXPECT_EQ(go_duration(2880s), "48m0s");
    EXPECT_EQ(go_duration(86401s), "24h0m1s");
    EXPECT_EQ(go_duration(-90s), "-1m30s");
}

TEST(Time, BothClocksAdvance) {
    const Now first = read_clocks();
    const Now second = read_clocks();
    EXPECT_GE(second.boot, first.boot);
    EXPECT_GT(first.wall.time_since_epoch(), 0s);
}

}  // namespace
}  // namespace tokenlet
