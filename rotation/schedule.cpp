// SPDX-License-Identifier: Apache-2.0
#include "rotation/schedule.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace tokenlet::rotation {
namespace {

using std::chrono::seconds;

// Upstream computes the slack in whole seconds with integer arithmetic: exp − ⌊E·20/100⌋. Per mille keeps the default
// exact and lets a configured fraction have three digits.
Duration fraction_age(Duration ttl, double fraction) {
    const auto whole = std::chrono::floor<seconds>(ttl).count();
    const auto slack_per_mille = std::llround((1.0 - fraction) * 1000);
    const Duration age = ttl - seconds(whole / 1000 * slack_per_mille + whole % 1000 * slack_per_mille / 1000);
    return std::min(std::max<Duration>(age, seconds(1)), ttl);  // whatever is configured, a fresh token is not due
}

Duration age_when_due(Duration ttl, const RotationPolicy& policy) {
    return std::min(fraction_age(ttl, policy.fraction), policy.max_age);
}

}  // namespace

std::string_view to_string(DueRule rule) {
    switch (rule) {
        case DueRule::Fraction:
            return "fraction";
        case DueRule::MaxAge:
            return "maxAge";
        case DueRule::Clock:
            return "clock";
        case DueRule::Demand:
            return "demand";
    }
    return "demand";
}

Duration draw_jitter(Duration ttl, const RotationPolicy& policy, std::uint64_t random) {
    const Duration most = std::min({ttl / 10, policy.max_jitter, age_when_due(ttl, policy) / 2});
    // The top 53 bits make a double in [0, 1) without bias; nanoseconds of a few minutes fit it exactly.
    const double unit = static_cast<double>(random >> 11) * 0x1p-53;
    return Duration(static_cast<Duration::rep>(static_cast<double>(most.count() + 1) * unit));
}

Due due(const TokenTimes& token, Duration jitter, const RotationPolicy& policy) {
    assert(token.ttl > Duration::zero());
    const Duration by_fraction = fraction_age(token.ttl, policy.fraction);
    if (by_fraction <= policy.max_age)
        return {token.received + by_fraction - jitter, DueRule::Fraction};
    return {token.received + policy.max_age - jitter, DueRule::MaxAge};
}

bool is_refused(const TokenTimes& token, WallTime issuer_now) {
    return issuer_now < token.issued - kLeeway || issuer_now > token.expires;
}

Duration time_left(const TokenTimes& token, BootTime boot_now, WallTime issuer_now) {
    const Duration by_age = token.received + token.ttl - boot_now;
    return std::min(by_age, token.expires - issuer_now);
}

}  // namespace tokenlet::rotation
