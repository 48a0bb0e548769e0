// SPDX-License-Identifier: Apache-2.0
// When a token is due for rotation.
//
// Shapes   due() -> the moment and the rule behind it; is_refused() -> would the issuer's clock refuse the token now?
//          Pure: no clock, no state, no randomness of its own.
// Units    chrono. Ages count on BootTime from receipt: suspend ages a token, a wall-clock step does not.
// Owns     nothing.     Threads  any.     Errors  none; ttl > 0 is the caller's duty (asserted).
// Source   kubernetes pkg/kubelet/token/token_manager.go, requiresRefresh.
// Differs  jitter is drawn once per token, not at every check (a redrawn jitter hardly spreads anything), and is up to
//          5 min, not 10 s; a token from the future is due, too.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/time.h"

namespace tokenlet::rotation {

struct RotationPolicy {
    double fraction = 0.8;                      // of the TTL; upstream's 80 %
    Duration max_age = std::chrono::hours(24);  // upstream: maxTTL
    Duration max_jitter = std::chrono::minutes(5);
    bool operator==(const RotationPolicy&) const = default;
};

struct TokenTimes {
    BootTime received;  // when the answer arrived
    WallTime issued;    // iat, by the issuer's clock
    WallTime expires;   // status.expirationTimestamp; the JWT's own exp may be a year off
    Duration ttl{};     // granted expirationSeconds
    bool operator==(const TokenTimes&) const = default;
};

enum class DueRule { Fraction, MaxAge, Clock, Demand };

[[nodiscard]] std::string_view to_string(DueRule rule);

struct Due {
    BootTime at;
    DueRule rule;
};

inline constexpr Duration kLeeway = std::chrono::seconds(60);  // verifiers' tolerance for iat

// Uniform in [0, min(10 % of the TTL, max_jitter)], and never more than half of the age at which the token is due, so that
// a small max_age cannot make a fresh token due. `random` is 64 uniform bits.
[[nodiscard]] Duration draw_jitter(Duration ttl, const RotationPolicy& policy, std::uint64_t random);

// The age at which a token is due without jitter: ttl − ⌊ttl · (1 − fraction)⌋ in whole seconds, or max_age if that is less.
[[nodiscard]] Due due(const TokenTimes& token, Duration jitter, const RotationPolicy& policy);

// True when the issuer's present lies outside [issued − 60 s, expires]: whatever the token's age, verifiers refuse it.
[[nodiscard]] bool is_refused(const TokenTimes& token, WallTime issuer_now);

// How long readers can still use the token; negative once it has expired, on whichever clock it did first.
[[nodiscard]] Duration time_left(const TokenTimes& token, BootTime boot_now, WallTime issuer_now);

}  // namespace tokenlet::rotation
