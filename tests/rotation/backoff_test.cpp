// SPDX-License-Identifier: Apache-2.0
#include "rotation/backoff.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace tokenlet::rotation {
namespace {

using namespace std::chrono_literals;

constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();

TEST(RetryDelay, FollowsTheStakes) {
    struct Case {
        std::string_view name;
        Failure failure;
        std::optional<Duration> left;
        std::uint64_t random;
        Duration want;
    };
    const Case cases[] = {
        {"never faster than a second", {1, Errc::Unavailable, {}}, {}, 0, 1s},
        {"doubles, at most", {1, Errc::Unavailable, {}}, {}, kMost, 2s},
        {"doubles again", {3, Errc::Unavailable, {}}, {}, kMost, 8s},
        {"never slower than a minute", {20, Errc::Unavailable, {}}, {}, kMost, 60s},
        {"a tenth of what is left", {20, Errc::Unavailable, {}}, 100s, kMost, 10s},
        {"but a second at least", {20, Errc::Unavailable, {}}, 3s, kMost, 1s},
        {"nothing left: no hurry any more", {20, Errc::Unavailable, {}}, -5s, kMost, 60s},
        {"a right that is missing", {1, Errc::Denied, {}}, 100s, 0, 60s},
        {"an unknown account", {7, Errc::NotFound, {}}, {}, kMost, 60s},
        {"a refused request", {1, Errc::Invalid, {}}, 1s, 0, 60s},
        {"a conflict is tried at once", {1, Errc::Conflict, {}}, {}, kMost, 1s},
        {"but not for ever", {6, Errc::Conflict, {}}, {}, kMost, 60s},
        {"Retry-After is a lower bound", {1, Errc::Unavailable, 30s}, {}, 0, 30s},
        {"also above a minute", {1, Errc::Unavailable, 5min}, {}, 0, 5min},
        {"but not for hours where readers wait for a first token", {1, Errc::Unavailable, 1h}, {}, 0, 5min},
        {"of at most a third of what is left", {1, Errc::Unavailable, 5min}, 3min, 0, 60s},
        {"and it hurries nothing", {20, Errc::Unavailable, 2s}, {}, kMost, 60s},
        {"nor counts when nothing is left", {1, Errc::Unavailable, 5min}, -1s, 0, 1s},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const Duration delay = retry_delay(c.failure, c.left, c.random);
        EXPECT_LE(delay, c.want);
        EXPECT_GE(delay, c.want - 1us) << "the draw lies just below its bound";
    }
}

TEST(RetryDelay, StaysWithinItsBoundsForAllInput) {
    std::mt19937_64 random(3);
    for (int i = 0; i < 20'000; ++i) {
        const Failure failure{.count = static_cast<unsigned>(random() % 1000), .code = Errc::Io, .retry_after = {}};
        const Duration left = std::chrono::milliseconds(static_cast<std::int64_t>(random() % 10'000'000) - 1'000'000);
        const Duration delay = retry_delay(failure, left, random());
        ASSERT_GE(delay, kMinRetry);
        ASSERT_LE(delay, kMaxRetry);
        if (left > 10s) {
            ASSERT_LE(delay, left / 10);
        }
    }
}

}  // namespace
}  // namespace tokenlet::rotation
