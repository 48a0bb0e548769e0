// SPDX-License-Identifier: Apache-2.0
#include "rotation/token_cache.h"

#include <gtest/gtest.h>

namespace tokenlet::rotation {
namespace {

using namespace std::chrono_literals;

const RotationPolicy kNoJitter{.fraction = 0.8, .max_age = 24h, .max_jitter = 0s};

// Two clocks and a cache; the issuer's clock is the wall clock.
struct TokenCacheTest : ::testing::Test {
    TokenCache cache{kNoJitter};
    BootTime boot{1000s};
    WallTime wall{1'800'000'000s};

    void pass(Duration time) {
        boot += time;
        wall += time;
    }
    HeldToken fresh(Duration ttl = 1h) const {
        return {.bytes = Secret("t"),
                .times = {.received = boot, .issued = wall, .expires = wall + ttl, .ttl = ttl},
                .received_wall = wall,
                .jitter = {},
                .issuer = "",
                .key_id = "",
                .service_account_uid = ""};
    }
    Verdict check(const TokenCache::Token& token) const { return cache.check(token, boot, wall); }
    void succeed(TokenCache::Token& token, Duration ttl = 1h) {
        cache.succeed(token, fresh(ttl), Standing::Good, boot, wall, 0);
    }
    void fail(TokenCache::Token& token, Errc code = Errc::Unavailable) {
        cache.fail(token, Error{code, "503"}, {}, boot, wall, 0);
    }
};

TEST_F(TokenCacheTest, AsksForWhatItDoesNotHoldAndThenWaitsUntilItIsDue) {
    TokenCache::Token& token = cache.want("key");
    EXPECT_TRUE(check(token).ask);
    cache.begin(token, boot);
    EXPECT_FALSE(check(token).ask) << "one request in flight a key";
    EXPECT_EQ(check(token).look_again, boot + kAnswerTimeout);
    succeed(token);
    EXPECT_FALSE(check(token).ask);
    EXPECT_EQ(check(token).look_again, boot + 48min);
    pass(48min);
    EXPECT_TRUE(check(token).ask);
    EXPECT_EQ(check(token).rule, DueRule::Fraction);
}

TEST_F(TokenCacheTest, TheSameKeyIsOneTokenForAllWhoWantIt) {
    TokenCache::Token& first = cache.want("key");
    EXPECT_EQ(&cache.want("key"), &first);
    EXPECT_NE(&cache.want("other"), &first);
    cache.release(first);
    EXPECT_EQ(cache.find("key"), &first) << "one still wants it";
    cache.release(first);
    EXPECT_EQ(cache.find("key"), nullptr);
}

TEST_F(TokenCacheTest, KeepsTheOldTokenThroughFailuresAndPacesTheRetries) {
    TokenCache::Token& token = cache.want("key");
    cache.begin(token, boot);
    succeed(token);
    pass(48min);
    cache.begin(token, boot);
    fail(token);
    ASSERT_TRUE(token.held) << "a failure takes nothing away";
    EXPECT_FALSE(check(token).ask);
    EXPECT_EQ(check(token).look_again, boot + 1s);
    pass(1s);
    EXPECT_TRUE(check(token).ask);
    cache.begin(token, boot);
    fail(token, Errc::Denied);
    EXPECT_EQ(check(token).look_again, boot + 60s) << "waiting mends no missing right";
    EXPECT_EQ(token.failures, 2u);
    pass(60s);
    cache.begin(token, boot);
    succeed(token);
    EXPECT_EQ(token.failures, 0u);
    EXPECT_FALSE(token.error);
}

TEST_F(TokenCacheTest, IgnoresAnswersThatNobodyWaitsFor) {
    TokenCache::Token& token = cache.want("key");
    const auto first = cache.begin(token, boot);
    EXPECT_EQ(cache.awaiting(first), &token);
    succeed(token);
    EXPECT_EQ(cache.awaiting(first), nullptr) << "the same answer twice";
    const auto second = cache.begin(token, boot);
    const auto third = cache.begin(token, boot);
    EXPECT_EQ(cache.awaiting(second), nullptr) << "given up for a later one";
    EXPECT_EQ(cache.awaiting(third), &token);
    EXPECT_EQ(cache.in_flight(), 1u);
    cache.release(token);
    EXPECT_EQ(cache.awaiting(third), nullptr) << "the token is no longer wanted";
    EXPECT_EQ(cache.in_flight(), 0u);
}

TEST_F(TokenCacheTest, AClockStepInEitherDirectionMakesATokenDueAtOnce) {
    for (const Duration step : {Duration(2h), Duration(-2h)}) {
        TokenCache::Token& token = cache.want(step > 0s ? "forward" : "back");
        cache.begin(token, boot);
        succeed(token);
        wall += step;
        EXPECT_TRUE(check(token).ask);
        EXPECT_EQ(check(token).rule, DueRule::Clock);
        cache.begin(token, boot);
        succeed(token);
        EXPECT_FALSE(check(token).ask) << "the new one is of this time";
    }
}

TEST_F(TokenCacheTest, AnIssuerWhoseTokensAreRefusedAtBirthIsNotAskedInAHotLoop) {
    TokenCache::Token& token = cache.want("key");
    int asked = 0;
    for (int second = 0; second < 600; ++second, pass(1s)) {
        if (!check(token).ask)
            continue;
        ++asked;
        cache.begin(token, boot);
        HeldToken from_the_future = fresh();
        from_the_future.times.issued += 1h;
        from_the_future.times.expires += 1h;
        cache.succeed(token, std::move(from_the_future), Standing::Good, boot, wall, ~std::uint64_t{0});
    }
    EXPECT_LT(asked, 20);
    EXPECT_GT(asked, 5) << "but it is asked again";
}

TEST_F(TokenCacheTest, ADemandIsMetByTheNextToken) {
    TokenCache::Token& token = cache.want("key");
    cache.begin(token, boot);
    succeed(token);
    token.demanded = true;
    EXPECT_TRUE(check(token).ask);
    EXPECT_EQ(check(token).rule, DueRule::Demand);
    cache.begin(token, boot);
    succeed(token);
    EXPECT_FALSE(check(token).ask);
}

TEST_F(TokenCacheTest, AdoptsWhatIsValidWithoutAsking) {
    TokenCache::Token& token = cache.want("key");
    HeldToken old = fresh();
    old.jitter = 7s;
    pass(40min);
    cache.adopt(token, std::move(old));
    EXPECT_FALSE(check(token).ask);
    EXPECT_EQ(check(token).look_again, boot + 8min - 7s) << "with the jitter it was drawn with";
}

TEST_F(TokenCacheTest, OfTwoAdoptedTheYoungerIsHeld) {
    TokenCache::Token& token = cache.want("key");
    HeldToken old = fresh();
    old.key_id = "old";
    pass(40min);
    HeldToken young = fresh();
    young.key_id = "young";
    cache.adopt(token, std::move(young));
    cache.adopt(token, std::move(old));
    EXPECT_EQ(token.held->key_id, "young");
    HeldToken younger = fresh();
    younger.received_wall += 1s;
    younger.key_id = "younger";
    cache.adopt(token, std::move(younger));
    EXPECT_EQ(token.held->key_id, "younger")
        << "as old as can be after a reboot without a clock, the wall clock decides";
}

TEST_F(TokenCacheTest, LooksAgainWhenTheIssuersClockComesToTheEndBeforeTheTokenIsOfAge) {
    TokenCache::Token& token = cache.want("key");
    cache.begin(token, boot);
    succeed(token);
    pass(5min);
    wall += 40min;  // a step
    ASSERT_FALSE(check(token).ask);
    EXPECT_EQ(check(token).look_again, boot + 15min + Duration(1));
    pass(15min + Duration(1));
    EXPECT_TRUE(check(token).ask);
    EXPECT_EQ(check(token).rule, DueRule::Clock);
}

TEST_F(TokenCacheTest, AForeignAnswerIsHeldAndAskedForAgainAtARetrysPace) {
    TokenCache::Token& token = cache.want("key");
    int asked = 0;
    for (int second = 0; second < 600; ++second, pass(1s)) {
        if (!check(token).ask)
            continue;
        ++asked;
        cache.begin(token, boot);
        cache.succeed(token, fresh(), Standing::Foreign, boot, wall, ~std::uint64_t{0});
        EXPECT_TRUE(token.held);
    }
    EXPECT_LT(asked, 20);
    EXPECT_GT(asked, 5);
}

TEST_F(TokenCacheTest, SuspendAgesATokenAlsoWhenTheWallClockStoodStill) {
    TokenCache::Token& token = cache.want("key");
    cache.begin(token, boot);
    succeed(token);
    boot += 50min;
    EXPECT_TRUE(check(token).ask);
}

}  // namespace
}  // namespace tokenlet::rotation
