// SPDX-License-Identifier: Apache-2.0
#include "rotation/backoff.h"

#include <algorithm>

namespace tokenlet::rotation {

bool is_final(Errc code) {
    return code == Errc::Invalid || code == Errc::Denied || code == Errc::NotFound;
}

Duration retry_delay(const Failure& failure, std::optional<Duration> left, std::uint64_t random) {
    if (is_final(failure.code))
        return kMaxRetry;
    if (failure.code == Errc::Conflict && failure.count <= 1)
        return kMinRetry;

    const unsigned doublings = std::min(failure.count, 7u);  // 2^7 s is past the longest delay
    const Duration most = std::min(kMinRetry * (std::int64_t{1} << doublings), kMaxRetry);
    const double unit = static_cast<double>(random >> 11) * 0x1p-53;
    Duration delay(static_cast<Duration::rep>(static_cast<double>(most.count()) * unit));
    if (left && *left > Duration::zero())  // once it is lost there is nothing to hurry for
        delay = std::min(delay, *left / 10);
    delay = std::clamp(delay, kMinRetry, kMaxRetry);

    if (failure.retry_after) {
        const Duration most_asked = left ? std::max(*left, Duration::zero()) / 3 : kMaxRetryAfter;
        delay = std::max(delay, std::min(*failure.retry_after, most_asked));
    }
    return delay;
}

}  // namespace tokenlet::rotation
