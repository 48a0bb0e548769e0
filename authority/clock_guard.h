// SPDX-License-Identifier: Apache-2.0
// Refuses to sign while the wall clock is behind a time it has already shown.
//
// Shapes   check(now) before every token. The time is persisted in dataDir/clock at most once a minute and at the end.
// Units    WallTime; the file holds RFC 3339, whole seconds, so that a person can read it.
// Owns     nothing.     Threads  one at a time.
// Errors   Unavailable while the clock is behind, saying by how much and what to do; as durable_file.h when the time
//          cannot be kept, and then nothing is signed either.
#pragma once

#include <chrono>
#include <string>
#include <utility>

#include "base/result.h"
#include "base/time.h"
#include "base/unique_fd.h"

namespace tokenlet::authority {

inline constexpr std::chrono::minutes kClockPersistInterval{1};

class ClockGuard {
public:
    // `directory` is for messages; the descriptor stays the caller's and must outlive every call that takes it.
    [[nodiscard]] static Result<ClockGuard> load(const UniqueFd& dir, std::string directory);

    [[nodiscard]] Result<> require_not_behind(WallTime now) const;
    // The same, and keeps `now` when the last time kept is a minute old.
    [[nodiscard]] Result<> check(const UniqueFd& dir, WallTime now);
    // Keeps `now` if it is later than what is kept.
    [[nodiscard]] Result<> persist(const UniqueFd& dir, WallTime now);

    [[nodiscard]] WallTime persisted() const { return persisted_; }

private:
    explicit ClockGuard(std::string directory) : directory_(std::move(directory)) {}
    std::string directory_;
    WallTime persisted_{};
};

}  // namespace tokenlet::authority
