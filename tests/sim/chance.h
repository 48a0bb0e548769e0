// SPDX-License-Identifier: Apache-2.0
// What is drawn from a seed.
//
// Shapes   the same seed gives the same draws.     Owns  its generator.     Threads  one.     Errors  none.
#pragma once

#include <cstdint>
#include <random>

#include "base/time.h"

namespace tokenlet::sim {

class Chance {
public:
    explicit Chance(std::uint64_t seed) : random_(seed) {}
    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
    bool one_in(std::uint64_t n) { return below(n) == 0; }
    Duration between(Duration low, Duration high) {
        return low + Duration(static_cast<Duration::rep>(below(static_cast<std::uint64_t>((high - low).count()) + 1)));
    }

private:
    std::mt19937_64 random_;
};

}  // namespace tokenlet::sim
