// SPDX-License-Identifier: Apache-2.0
// How many requests a server gets in a time.
//
// Shapes   take(now) says whether one more may go now, and counts it; next(now) when one may. After a pause a whole burst
//          may go at once; on the long run it is per_second.
// Units    requests; BootTime.
// Owns     nothing.     Threads  one.     Errors  none; per_second > 0 and burst ≥ 1 are the caller's duty (asserted).
// Source   the numbers: kubernetes pkg/kubelet/apis/config/v1beta1/defaults.go, kubeAPIQPS and kubeAPIBurst.
#pragma once

#include <algorithm>
#include <cassert>

#include "base/time.h"

namespace tokenlet::rotation {

struct PaceSettings {
    double per_second = 50;
    unsigned burst = 100;
};

class Pace {
public:
    explicit Pace(const PaceSettings& settings)
        : interval_(static_cast<Duration::rep>(1e9 / settings.per_second)), credit_(interval_ * (settings.burst - 1)) {
        assert(settings.per_second > 0 && settings.burst >= 1 && "a pace of nothing never ends");
    }

    bool take(BootTime now) {
        if (next(now) > now)
            return false;
        even_ = std::max(even_, now) + interval_;
        return true;
    }

    [[nodiscard]] BootTime next(BootTime now) const { return std::max(now, even_ - credit_); }

private:
    Duration interval_;
    Duration credit_;  // by how much a burst may run ahead of the even pace
    BootTime even_{};  // when the next one would go if all went evenly
};

}  // namespace tokenlet::rotation
