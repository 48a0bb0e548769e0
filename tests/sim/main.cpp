// SPDX-License-Identifier: Apache-2.0
// tokenlet_sim: runs seeds of tests/sim/simulation.h, prints a line each, and fails when a promise was broken.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/sim/simulation.h"

namespace {

void usage() {
    std::puts(
        "tokenlet_sim [--seed N] [--seeds COUNT] [--days D] [--pods P] [--calm] [--first] [--trace]\n"
        "  runs COUNT seeds from N on (default: one, 1) of D days (30) with P Pods (100)\n"
        "  --trace shows every event: how to replay what a failing run has printed\n"
        "  --first ends with the first that fails\n"
        "  --calm  nothing goes wrong: for measuring");
}

}  // namespace

int main(int argc, char** argv) {
    tokenlet::sim::Options options;
    std::uint64_t seeds = 1;
    bool until_first = false;
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        const auto value = [&]() -> std::uint64_t { return ++i < argc ? std::strtoull(argv[i], nullptr, 10) : 0; };
        if (name == "--seed")
            options.seed = value();
        else if (name == "--seeds")
            seeds = value();
        else if (name == "--days")
            options.days = static_cast<int>(value());
        else if (name == "--pods")
            options.pods = static_cast<int>(value());
        else if (name == "--calm")
            options.calm = true;
        else if (name == "--first")
            until_first = true;
        else if (name == "--trace")
            options.trace = true;
        else
            return usage(), name == "--help" ? 0 : 2;
    }
    int broken = 0;
    for (std::uint64_t i = 0; i < seeds && !(until_first && broken > 0); ++i, ++options.seed) {
        const auto start = std::chrono::steady_clock::now();
        const tokenlet::sim::Outcome outcome = tokenlet::sim::run(options);
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        std::printf(
            "seed %llu: %s  requests=%llu failures=%llu publishes=%llu writes=%llu crashes=%llu deeds=%llu "
            "removals=%llu checks=%llu  %.1fs\n",
            static_cast<unsigned long long>(options.seed),
            outcome.broken.empty() ? "ok" : ("BROKEN " + outcome.broken).c_str(),
            static_cast<unsigned long long>(outcome.requests), static_cast<unsigned long long>(outcome.failures),
            static_cast<unsigned long long>(outcome.publishes), static_cast<unsigned long long>(outcome.writes),
            static_cast<unsigned long long>(outcome.crashes), static_cast<unsigned long long>(outcome.deeds),
            static_cast<unsigned long long>(outcome.removals), static_cast<unsigned long long>(outcome.checks),
            took.count());
        std::fflush(stdout);
        broken += outcome.broken.empty() ? 0 : 1;
    }
    return broken == 0 ? 0 : 1;
}
