// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/figures.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/result.h"

namespace tokenlet::bench {

namespace {

constexpr int kTurns = 20;  // in a run, each side

struct Run {
    double ours;
    double theirs;
    [[nodiscard]] double ratio() const { return ours / theirs; }
};

Run run(const Turn& ours, const Turn& theirs) {
    std::vector<double> our_times, their_times;
    for (int i = 0; i < kTurns; ++i) {
        std::ranges::copy(ours(), std::back_inserter(our_times));
        std::ranges::copy(theirs(), std::back_inserter(their_times));
    }
    return {.ours = median(std::move(our_times)), .theirs = median(std::move(their_times))};
}

}  // namespace

void compare(const Row& row, const Turn& ours, const Turn& theirs) {
    (void)ours();  // to warm up
    (void)theirs();
    std::vector<Run> runs;
    for (int i = 0; i < kRuns; ++i)
        runs.push_back(run(ours, theirs));
    std::ranges::sort(runs, {}, &Run::ratio);
    const Run& middle = runs[runs.size() / 2];
    const char* verdict = row.bound == kNoBound ? "" : middle.ratio() <= row.bound ? "met" : "missed";
    std::printf("| %-44s | %9.2f us | %-24s %9.2f us | %6.2f (%.2f to %.2f) | %s | %s |\n", row.what.c_str(),
                middle.ours, row.against.c_str(), middle.theirs, middle.ratio(), runs.front().ratio(),
                runs.back().ratio(), row.target.c_str(), verdict);
    std::fflush(stdout);
}

void compare(const Row& row, int rounds, const std::function<void()>& ours, const std::function<void()>& theirs) {
    compare(row, turn(rounds, ours), turn(rounds, theirs));
}

double median(std::vector<double> values) {
    std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
    return values[values.size() / 2];
}

double microseconds(const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

Turn turn(int rounds, std::function<void()> work) {
    return [rounds, work = std::move(work)] {
        std::vector<double> times;
        for (int i = 0; i < rounds; ++i)
            times.push_back(microseconds(work));
        return times;
    };
}

void stop(const std::string& why) {
    std::fprintf(stderr, "benchmark: %s\n", why.c_str());
    std::exit(1);
}

void must(bool done, const std::string& call) {
    if (!done)
        stop(call + ": " + errno_text(errno));
}

}  // namespace tokenlet::bench
