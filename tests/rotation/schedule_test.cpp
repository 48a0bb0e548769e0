// SPDX-License-Identifier: Apache-2.0
#include "rotation/schedule.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace tokenlet::rotation {
namespace {

using namespace std::chrono_literals;

constexpr BootTime kReceived{1'000'000s};
constexpr WallTime kIssued{1'800'000'000s};
constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();

TokenTimes token(Duration ttl) {
    return {.received = kReceived, .issued = kIssued, .expires = kIssued + ttl, .ttl = ttl};
}

TEST(Due, IsEightyPercentOfTheLifetimeButNeverLaterThanADay) {
    struct Case {
        std::string_view name;
        std::int64_t ttl_seconds;
        std::int64_t due_seconds;
        DueRule rule;
    };
    const Case cases[] = {
        {"the shortest a server grants", 600, 480, DueRule::Fraction},
        {"the slack is floored to whole seconds", 601, 481, DueRule::Fraction},
        {"an hour", 3600, 2880, DueRule::Fraction},
        {"the injected volume's", 3607, 2886, DueRule::Fraction},
        {"a day", 86400, 69120, DueRule::Fraction},
        {"thirty hours: both rules meet", 108000, 86400, DueRule::Fraction},
        {"two days: the cap wins", 172800, 86400, DueRule::MaxAge},
        {"a year", 31536000, 86400, DueRule::MaxAge},
        {"2^32 s, the longest", std::int64_t{1} << 32, 86400, DueRule::MaxAge},
        {"one second does not divide", 1, 1, DueRule::Fraction},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const Due found = due(token(std::chrono::seconds(c.ttl_seconds)), 0s, {});
        EXPECT_EQ(found.at - kReceived, std::chrono::seconds(c.due_seconds));
        EXPECT_EQ(found.rule, c.rule);
    }
}

TEST(Due, IsNeverLaterThanTheEndOfAnyLifetime) {
    for (const Duration ttl : {Duration(1), Duration(1ms), Duration(999ms), Duration(1500ms)})
        EXPECT_LE(due(token(ttl), 0s, {}).at, kReceived + ttl) << ttl.count() << " ns";
}

TEST(Due, JitterOnlyMakesItEarlier) {
    EXPECT_EQ(due(token(1h), 10s, {}).at, kReceived + 48min - 10s);
    EXPECT_EQ(due(token(48h), 5min, {}).at, kReceived + 24h - 5min);
}

TEST(Due, FollowsTheConfiguredFractionAndAge) {
    EXPECT_EQ(due(token(1h), 0s, {.fraction = 0.5, .max_age = 24h, .max_jitter = 0s}).at, kReceived + 30min);
    EXPECT_EQ(due(token(1h), 0s, {.fraction = 0.333, .max_age = 24h, .max_jitter = 0s}).at, kReceived + 3600s - 2401s);
    EXPECT_EQ(due(token(1h), 0s, {.fraction = 0.8, .max_age = 2s, .max_jitter = 0s}).at, kReceived + 2s);
    EXPECT_EQ(due(token(1h), 0s, {.fraction = 0.0001, .max_age = 24h, .max_jitter = 0s}).at, kReceived + 1s)
        << "a fresh token is not due";
    EXPECT_EQ(due(token(1h), 0s, {.fraction = 1.0, .max_age = 24h, .max_jitter = 0s}).at, kReceived + 1h);
}

TEST(Jitter, LiesBetweenNothingAndATenthOfTheLifetimeAndFiveMinutes) {
    EXPECT_EQ(draw_jitter(1h, {}, 0), 0s);
    EXPECT_EQ(draw_jitter(10min, {}, kMost), 1min);
    EXPECT_EQ(draw_jitter(1h, {}, kMost), 5min);
    EXPECT_EQ(draw_jitter(48h, {}, kMost), 5min);
    EXPECT_EQ(draw_jitter(1h, {.max_jitter = 10s}, kMost), 10s);
    EXPECT_EQ(draw_jitter(1h, {.max_jitter = 0s}, kMost), 0s);
}

TEST(Jitter, SpreadsEvenly) {
    std::mt19937_64 random(7);
    int early = 0;
    for (int i = 0; i < 10'000; ++i)
        early += draw_jitter(1h, {}, random()) < 150s ? 1 : 0;
    EXPECT_NEAR(early, 5'000, 250);
}

TEST(Jitter, NeverMakesAFreshTokenDueWhateverIsConfigured) {
    std::mt19937_64 random(11);
    for (int i = 0; i < 20'000; ++i) {
        const Duration ttl = std::chrono::seconds(1 + random() % 5'000'000);
        const RotationPolicy policy{.fraction = static_cast<double>(1 + random() % 1000) / 1000,
                                    .max_age = std::chrono::seconds(1 + random() % 200'000),
                                    .max_jitter = std::chrono::seconds(random() % 100'000)};
        const Duration jitter = draw_jitter(ttl, policy, random());
        const Due found = due(token(ttl), jitter, policy);
        ASSERT_GT(found.at, kReceived) << ttl.count() << " " << policy.fraction << " " << policy.max_age.count();
        ASSERT_LE(found.at, kReceived + ttl);
        ASSERT_LE(found.at, kReceived + policy.max_age);
        ASSERT_LE(jitter, ttl / 10);
    }
}

TEST(DueRule, HasANameForPeople) {
    EXPECT_EQ(to_string(DueRule::Fraction), "fraction");
    EXPECT_EQ(to_string(DueRule::MaxAge), "maxAge") << "as the configuration calls it";
    EXPECT_EQ(to_string(DueRule::Clock), "clock");
    EXPECT_EQ(to_string(DueRule::Demand), "demand");
}

TEST(IsRefused, OutsideOfIssuedLessLeewayToExpiry) {
    const TokenTimes hour = token(1h);
    EXPECT_FALSE(is_refused(hour, kIssued));
    EXPECT_FALSE(is_refused(hour, kIssued - 60s)) << "verifiers allow a minute";
    EXPECT_TRUE(is_refused(hour, kIssued - 61s)) << "the clock was stepped back: the token is from the future";
    EXPECT_FALSE(is_refused(hour, kIssued + 1h));
    EXPECT_TRUE(is_refused(hour, kIssued + 1h + 1s));
}

TEST(TimeLeft, EndsOnWhicheverClockComesFirst) {
    const TokenTimes hour = token(1h);
    EXPECT_EQ(time_left(hour, kReceived, kIssued), 1h);
    EXPECT_EQ(time_left(hour, kReceived + 50min, kIssued), 10min) << "suspended: the boot clock went on";
    EXPECT_EQ(time_left(hour, kReceived, kIssued + 2h), -1h) << "the wall clock was stepped on";
}

}  // namespace
}  // namespace tokenlet::rotation
