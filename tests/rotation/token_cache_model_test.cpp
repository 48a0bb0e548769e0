// SPDX-License-Identifier: Apache-2.0
// Random lives of a few tokens, told twice: by TokenCache, and by a model too plain to be wrong.
// TOKENLET_SEED=N runs that seed alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "rotation/token_cache.h"

namespace tokenlet::rotation {
namespace {

using namespace std::chrono_literals;

std::vector<std::uint64_t> seeds() {
    if (const char* one = std::getenv("TOKENLET_SEED"))
        return {std::stoull(one)};
    std::vector<std::uint64_t> all(200);
    std::generate(all.begin(), all.end(), [next = std::uint64_t{0}]() mutable { return ++next; });
    return all;
}

class Chance {
public:
    explicit Chance(std::uint64_t seed) : engine_(seed) {}
    std::uint64_t bits() { return engine_(); }
    std::size_t below(std::size_t count) { return static_cast<std::size_t>(engine_() % count); }
    bool one_in(std::size_t count) { return below(count) == 0; }
    Duration between(Duration least, Duration most) {
        return least +
               Duration(static_cast<Duration::rep>(engine_() % static_cast<std::uint64_t>((most - least).count() + 1)));
    }

private:
    std::mt19937_64 engine_;
};

// What is known of a token without looking into it.
struct Life {
    TokenCache::Token* token = nullptr;
    std::size_t users = 0;
    std::optional<TokenCache::RequestId> in_flight;
    BootTime asked;
    std::optional<TokenTimes> held;
    std::uint64_t received = 0;
    std::optional<BootTime> last_trouble;  // a failure, or a token that was no good; unset once a good one came
};

class Schedules {
public:
    explicit Schedules(std::uint64_t seed) : chance_(seed), cache_(policy_) {}

    void step() {
        const std::string key = "key" + std::to_string(chance_.below(4));
        Life& life = lives_[key];
        switch (chance_.below(12)) {
            case 0:
                if (life.users < 3) {
                    life.token = &cache_.want(key);
                    ++life.users;
                }
                break;
            case 1:
                if (life.users > 0 && chance_.one_in(4)) {
                    cache_.release(*life.token);
                    if (--life.users == 0)
                        life = {};
                }
                break;
            case 2:
            case 3:
                pass(chance_.one_in(5) ? chance_.between(0s, 30h) : chance_.between(0s, 2min));
                break;
            case 4:
                if (chance_.one_in(6))
                    wall_ += chance_.between(-3h, 3h);
                break;
            case 5:
                if (life.token != nullptr && life.held && chance_.one_in(4)) {
                    life.token->demanded = true;
                    ASSERT_EQ(check(life).ask, !life.in_flight && !is_paced(life));
                }
                break;
            case 6:
                if (!sent_.empty() && chance_.one_in(2))
                    answer(sent_[chance_.below(sent_.size())].first);  // late, or once more
                break;
            case 7:
            case 8:
                if (life.in_flight)
                    answer(*life.in_flight);
                break;
            default:
                look(key, life);
        }
        for (const auto& [name, each] : lives_)
            compare(name, each);
    }

private:
    void pass(Duration time) {
        boot_ += time;
        wall_ += time;
    }

    [[nodiscard]] Verdict check(const Life& life) const { return cache_.check(*life.token, boot_, wall_); }
    [[nodiscard]] bool is_paced(const Life& life) const { return life.last_trouble && boot_ < life.token->next_try; }

    // As whoever drives the cache does: asks where it is told to, and else relies on the time that it is given.
    void look(const std::string& key, Life& life) {
        if (life.token == nullptr)
            return;
        if (life.in_flight && life.asked + kAnswerTimeout <= boot_)
            give_up(life);
        const Verdict verdict = check(life);
        if (verdict.ask) {
            ASSERT_FALSE(life.in_flight) << key << ": one request in flight a key";
            life.in_flight = cache_.begin(*life.token, boot_);
            life.asked = boot_;
            sent_.emplace_back(*life.in_flight, key);
            return;
        }
        ASSERT_TRUE(verdict.look_again) << key << ": nothing would wake it";
        ASSERT_GE(*verdict.look_again, boot_) << key;
        if (life.in_flight) {
            ASSERT_EQ(*verdict.look_again, life.asked + kAnswerTimeout);
            return;
        }
        // Nothing is missed before that time, and something is to be done at it.
        const Duration wait = *verdict.look_again - boot_;
        const Duration part = chance_.between(0s, wait);
        if (part < wait) {
            ASSERT_FALSE(cache_.check(*life.token, boot_ + part, wall_ + part).ask) << key;
        }
        ASSERT_TRUE(cache_.check(*life.token, *verdict.look_again, wall_ + wait).ask ||
                    cache_.check(*life.token, *verdict.look_again, wall_ + wait).look_again > *verdict.look_again)
            << key;
    }

    void give_up(Life& life) {
        cache_.fail(*life.token, Error{Errc::Unavailable, "no answer"}, {}, boot_, wall_, chance_.bits());
        life.in_flight.reset();
        life.last_trouble = boot_;
    }

    void answer(TokenCache::RequestId id) {
        const auto waiting =
            std::ranges::find_if(lives_, [&](const auto& life) { return life.second.in_flight == id; });
        TokenCache::Token* const token = cache_.awaiting(id);
        ASSERT_EQ(token, waiting == lives_.end() ? nullptr : waiting->second.token);
        if (token == nullptr)
            return;
        Life& life = waiting->second;
        life.in_flight.reset();
        if (chance_.one_in(3)) {
            const std::optional<Duration> retry_after =
                chance_.one_in(3) ? std::optional(chance_.between(0s, 1h)) : std::nullopt;
            const Errc code = chance_.one_in(4) ? Errc::Denied : Errc::Unavailable;
            cache_.fail(*token, Error{code, "refused"}, retry_after, boot_, wall_, chance_.bits());
            life.last_trouble = boot_;
            ASSERT_GE(token->next_try, boot_ + kMinRetry);
            if (!retry_after) {
                ASSERT_LE(token->next_try, boot_ + kMaxRetry);
            }
            if (life.held && !retry_after && time_left(*life.held, boot_, wall_) > kMinRetry * 10 && !is_final(code)) {
                ASSERT_LE(token->next_try, boot_ + time_left(*life.held, boot_, wall_) / 10)
                    << "readers' time runs out";
            }
            return;
        }
        const Duration ttl = chance_.between(10min, 40h);
        const WallTime issued = wall_ + (chance_.one_in(8) ? chance_.between(-50h, 3h) : 0s);
        const TokenTimes times{.received = boot_, .issued = issued, .expires = issued + ttl, .ttl = ttl};
        const auto standing = chance_.one_in(10) ? Standing::Foreign : Standing::Good;
        cache_.succeed(*token,
                       HeldToken{.bytes = Secret("token"),
                                 .times = times,
                                 .received_wall = wall_,
                                 .jitter = {},
                                 .issuer = {},
                                 .key_id = {},
                                 .service_account_uid = {}},
                       standing, boot_, wall_, chance_.bits());
        life.held = times;
        ++life.received;
        const bool is_good = standing == Standing::Good && !is_refused(times, wall_);
        life.last_trouble = is_good ? std::nullopt : std::optional(boot_);
        const Verdict verdict = check(life);
        ASSERT_FALSE(verdict.ask) << "asked again at once, for ever";
        if (is_good) {
            const Duration age =
                std::min<Duration>(std::chrono::floor<std::chrono::seconds>(ttl) * 8 / 10, policy_.max_age);
            ASSERT_LE(*verdict.look_again, boot_ + age + 2s) << "whole seconds, rounded twice";
            const Duration jitter = std::min<Duration>(ttl / 10, policy_.max_jitter);
            ASSERT_GE(*verdict.look_again, boot_ + std::min(age - jitter, times.expires - wall_)) << "too early";
        }
    }

    void compare(const std::string& key, const Life& life) {
        ASSERT_EQ(cache_.find(key), life.users > 0 ? life.token : nullptr) << key;
        if (life.users == 0)
            return;
        ASSERT_EQ(life.token->users, life.users) << key;
        ASSERT_EQ(life.token->in_flight, life.in_flight) << key;
        ASSERT_EQ(life.token->received, life.received) << key;
        ASSERT_EQ(life.token->held.has_value(), life.held.has_value()) << key << ": a failure took the token away";
        if (life.held) {
            ASSERT_EQ(life.token->held->times, *life.held) << key;
        }
        const auto in_flight =
            std::ranges::count_if(lives_, [](const auto& one) { return one.second.in_flight.has_value(); });
        ASSERT_EQ(cache_.in_flight(), static_cast<std::size_t>(in_flight));
    }

    Chance chance_;
    RotationPolicy policy_;
    TokenCache cache_;
    std::map<std::string, Life> lives_;
    std::vector<std::pair<TokenCache::RequestId, std::string>> sent_;
    BootTime boot_{1h};
    WallTime wall_{std::chrono::seconds(1'800'000'000)};
};

TEST(TokenCache, LivesAsAPlainModelWouldThroughFailuresStepsAndLateAnswers) {
    for (const std::uint64_t seed : seeds()) {
        SCOPED_TRACE("TOKENLET_SEED=" + std::to_string(seed));
        Schedules schedules(seed);
        for (int step = 0; step < 500; ++step) {
            SCOPED_TRACE("step " + std::to_string(step));
            schedules.step();
            if (testing::Test::HasFatalFailure())
                return;
        }
    }
}

}  // namespace
}  // namespace tokenlet::rotation
