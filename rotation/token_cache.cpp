// SPDX-License-Identifier: Apache-2.0
#include "rotation/token_cache.h"

#include <algorithm>
#include <cassert>
#include <tuple>
#include <utility>

namespace tokenlet::rotation {

TokenCache::Token& TokenCache::want(const std::string& key) {
    const auto found = tokens_.try_emplace(key).first;
    Token& token = found->second;
    token.key = found->first;
    if (token.id == 0)
        token.id = ++last_token_;
    ++token.users;
    return token;
}

void TokenCache::release(const Token& token) {
    const auto found = tokens_.find(token.key);
    assert(found != tokens_.end() && found->second.users > 0);
    if (--found->second.users > 0)
        return;
    if (found->second.in_flight)
        in_flight_.erase(*found->second.in_flight);
    tokens_.erase(found);
}

TokenCache::Token* TokenCache::find(const std::string& key) {
    const auto found = tokens_.find(key);
    return found == tokens_.end() ? nullptr : &found->second;
}

const TokenCache::Token* TokenCache::find(const std::string& key) const {
    const auto found = tokens_.find(key);
    return found == tokens_.end() ? nullptr : &found->second;
}

void TokenCache::adopt(Token& token, HeldToken held) {
    // After a reboot without a clock all are as old as can be; then what it once said has to do.
    const auto age = [](const HeldToken& one) { return std::tie(one.times.received, one.received_wall); };
    if (!token.held || age(*token.held) < age(held))
        token.held = std::move(held);
}

Verdict TokenCache::check(const Token& token, BootTime boot_now, WallTime issuer_now) const {
    if (token.in_flight) {
        const BootTime lost = token.asked + kAnswerTimeout;
        return {.ask = false, .rule = {}, .look_again = lost};
    }
    const auto ask = [&](DueRule rule) -> Verdict {
        if ((token.failures > 0 || token.refusals > 0) && boot_now < token.next_try)
            return {.ask = false, .rule = rule, .look_again = token.next_try};
        return {.ask = true, .rule = rule, .look_again = {}};
    };
    if (!token.held || token.demanded)
        return ask(DueRule::Demand);
    if (is_refused(token.held->times, issuer_now))
        return ask(DueRule::Clock);
    const Due next = due(token.held->times, token.held->jitter, policy_);
    if (next.at <= boot_now)
        return ask(next.rule);
    // After a step the issuer's clock may come to the end before the token is of age; just then nothing else wakes it.
    const BootTime refused = boot_now + (token.held->times.expires - issuer_now) + Duration(1);
    return {.ask = false, .rule = next.rule, .look_again = std::min(next.at, refused)};
}

TokenCache::RequestId TokenCache::begin(Token& token, BootTime now) {
    if (token.in_flight)
        in_flight_.erase(*token.in_flight);
    token.in_flight = ++last_request_;
    token.asked = now;
    in_flight_[last_request_] = &token;
    return last_request_;
}

TokenCache::Token* TokenCache::awaiting(RequestId id) {
    const auto found = in_flight_.find(id);
    return found == in_flight_.end() ? nullptr : found->second;
}

void TokenCache::succeed(Token& token, HeldToken held, Standing standing, BootTime boot_now, WallTime issuer_now,
                         std::uint64_t random) {
    in_flight_.erase(token.in_flight.value_or(0));
    token.in_flight.reset();
    held.jitter = draw_jitter(held.times.ttl, policy_, random);
    token.held = std::move(held);
    token.demanded = standing == Standing::Foreign;
    token.failures = 0;
    token.error.reset();
    ++token.received;
    // A fresh token that is no good would be asked for again at once, for ever: pace it like a failure.
    if (token.demanded || is_refused(token.held->times, issuer_now)) {
        const Failure refusal{.count = ++token.refusals, .code = Errc::Unavailable, .retry_after = {}};
        token.next_try = boot_now + retry_delay(refusal, std::nullopt, random);
    } else {
        token.refusals = 0;
    }
}

void TokenCache::fail(Token& token, Error error, std::optional<Duration> retry_after, BootTime boot_now,
                      WallTime issuer_now, std::uint64_t random) {
    in_flight_.erase(token.in_flight.value_or(0));
    token.in_flight.reset();
    const Failure failure{.count = ++token.failures, .code = error.code, .retry_after = retry_after};
    std::optional<Duration> left;
    if (token.held)
        left = time_left(token.held->times, boot_now, issuer_now);
    token.error = std::move(error);
    token.next_try = boot_now + retry_delay(failure, left, random);
}

}  // namespace tokenlet::rotation
