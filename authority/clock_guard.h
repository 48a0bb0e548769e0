// SPDX-License-Identifier: Apache-2.0
// Refuses to sign while the wall clock is behind a time it has already shown.
//
// Shapes   require_not_behind(now) before every token, note(now) after it. The time is written to dataDir/clock at most
//          once a minute and at the end.
// Units    WallTime; the file holds RFC 3339, whole seconds, so that a person can read it.
// Owns     nothing.     Threads  one at a time.
// Errors   Unavailable while the clock is behind, saying by how much and what to do. As durable_file.h when the time
//          cannot be written: it is then remembered, and save() tries again. A full disk must not stop the tokens of a
//          whole host.
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
    // `directory` is for messages; the descriptor stays the caller's.
    [[nodiscard]] static Result<ClockGuard> load(const UniqueFd& dir, std::string directory);

    [[nodiscard]] Result<> require_not_behind(WallTime now) const;

    // Remembers and writes `now`, unless the last time remembered is less than a minute old.
    [[nodiscard]] Result<> note(const UniqueFd& dir, WallTime now);
    // The same without the unless.
    [[nodiscard]] Result<> persist(const UniqueFd& dir, WallTime now);
    // Writes what is remembered, if it is not written yet.
    [[nodiscard]] Result<> save(const UniqueFd& dir);
    [[nodiscard]] bool is_saved() const { return written_ == latest_; }

    [[nodiscard]] WallTime latest() const { return latest_; }

private:
    explicit ClockGuard(std::string directory) : directory_(std::move(directory)) {}
    std::string directory_;
    WallTime latest_{};
    WallTime written_{};
};

}  // namespace tokenlet::authority
