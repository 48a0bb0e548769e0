// SPDX-License-Identifier: Apache-2.0
// Words and columns for people.
//
// Shapes   pure functions.     Units  durations as a person says them: "95s", "4m30s", "52m", "3h12m", "2d4h", "30d".
// Owns     nothing.     Threads  any.     Errors  none.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace tokenlet::cli {

[[nodiscard]] std::string rough(Duration duration);

// "in 52m", "3m ago", "now".
[[nodiscard]] std::string relative(WallTime time, WallTime now);

// Without control characters: names and messages come from files and from a daemon, and a terminal would obey them.
[[nodiscard]] std::string printable(std::string_view text);

// Left-aligned columns, three blanks between them, nothing behind the last. Every row has as many cells as the first.
[[nodiscard]] std::string table(const std::vector<std::vector<std::string>>& rows);

// "2026-11-24T05:39:00Z", as rfc3339() writes it; nothing for anything else, nor outside of the years 1970 to 2261.
[[nodiscard]] std::optional<WallTime> parse_rfc3339(std::string_view text);

// "1 Pod", "2 Pods".
[[nodiscard]] std::string counted(std::size_t count, std::string_view noun);

}  // namespace tokenlet::cli
