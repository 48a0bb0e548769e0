// SPDX-License-Identifier: Apache-2.0
// How the benchmarks measure and print: two things side by side in one run, and what counts is their ratio.
//
//     compare({.what = "publish, tmpfs", .against = "plain calls", .target = "<= 1.25", .bound = 1.25}, 400,
//             [&] { ours.rotate(); }, [&] { plain.rotate(); });
//
// Shapes   compare() makes kRuns runs. In each the two sides take turns, and a run's ratio is that of their medians. It
//          prints one row of docs/benchmarks.md: both medians in the middle run, the middle ratio, the least and the most.
// Units    microseconds.
// Owns     nothing.     Threads  one.     Errors  none: a benchmark that cannot go on ends the process, saying why.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace tokenlet::bench {

inline constexpr int kRuns = 7;
inline constexpr double kNoBound = -1;

struct Row {
    std::string what;
    std::string against;
    std::string target;       // as it is printed
    double bound = kNoBound;  // the ratio that meets it; unset: a figure without a target
};

// Does one turn and says how long each of its rounds took.
using Turn = std::function<std::vector<double>()>;

void compare(const Row& row, const Turn& ours, const Turn& theirs);
void compare(const Row& row, int rounds, const std::function<void()>& ours, const std::function<void()>& theirs);

[[nodiscard]] double median(std::vector<double> values);
[[nodiscard]] double microseconds(const std::function<void()>& work);
// `rounds` rounds of `work`, each timed.
[[nodiscard]] Turn turn(int rounds, std::function<void()> work);

[[noreturn]] void stop(const std::string& why);
void must(bool done, const std::string& call);  // ends the process with errno's text unless done

}  // namespace tokenlet::bench
