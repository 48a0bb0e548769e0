// SPDX-License-Identifier: Apache-2.0
// `tokenlet token inspect`: what a token says, and never the token.
//
// Shapes   run() reads a file or stdin; describe_token() is a pure function of the token and the time.
// Units    times in UTC, and relative to `now`.
// Owns     the token, wiped.     Threads  any.
// Errors   in the Outcome; they name the file, never a part of the token. The signature is not looked at: this says what
//          the token claims, not that it is true.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "cli/outcome.h"

namespace tokenlet::cli {

enum class InspectFormat { Table, Json };

struct InspectOptions {
    std::string file{};  // "-": stdin
    InspectFormat format = InspectFormat::Table;
};

[[nodiscard]] Outcome run(const InspectOptions& options, WallTime now);

[[nodiscard]] Result<std::string> describe_token(std::string_view token, InspectFormat format, WallTime now);

}  // namespace tokenlet::cli
