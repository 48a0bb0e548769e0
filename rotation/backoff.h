// SPDX-License-Identifier: Apache-2.0
// How long to wait after a failure.
//
// Shapes   retry_delay(Failure, time left, random bits) -> delay. Pure.
// Units    chrono.     Owns  nothing.     Threads  any.     Errors  none.
//
// The pace follows what is at stake: exponential with full jitter while there is time, a tenth of what is left as the
// token nears its end, never faster than a second, never slower than a minute. What waiting cannot mend (403, 404, 422)
// is asked again every minute, because somebody may have mended it.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "base/time.h"

namespace tokenlet::rotation {

inline constexpr Duration kMinRetry = std::chrono::seconds(1);
inline constexpr Duration kMaxRetry = std::chrono::seconds(60);
inline constexpr Duration kMaxRetryAfter = std::chrono::minutes(5);  // a maintenance page may ask for hours

struct Failure {
    unsigned count = 1;  // failures in a row, this one included
    Errc code = Errc::Unavailable;
    std::optional<Duration> retry_after;  // what the issuer asked for
};

// True for what only other input or a person can mend.
[[nodiscard]] bool is_final(Errc code);

// `left`: how long readers can still use what they have; nullopt: they have nothing yet, or it is not a matter of time.
// Retry-After is a lower bound, but at most a third of the time left, kMaxRetryAfter where that is unknown.
// `random` is 64 uniform bits.
[[nodiscard]] Duration retry_delay(const Failure& failure, std::optional<Duration> left, std::uint64_t random);

}  // namespace tokenlet::rotation
