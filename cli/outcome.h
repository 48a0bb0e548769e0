// SPDX-License-Identifier: Apache-2.0
// How a verb ends.
//
// Shapes   what goes to stdout, and the lines for a person, which main() writes to stderr with "tokenlet: " in front.
// Owns     its text.     Threads  any.     Errors  complaints are errors when the code says so, else remarks.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace tokenlet::cli {

enum class ExitCode { Done = 0, Failed = 1, Usage = 2, Configuration = 3 };

struct [[nodiscard]] Outcome {
    ExitCode code = ExitCode::Done;
    std::string out{};
    std::vector<std::string> complaints{};  // lower case, no full stop, no line feed
};

[[nodiscard]] Outcome failed(Error error);         // ExitCode::Failed
[[nodiscard]] Outcome misconfigured(Error error);  // ExitCode::Configuration

// Writes both parts. A reader that has left (`tokenlet status | head -1`) is no failure and gets no message.
[[nodiscard]] ExitCode print(const Outcome& outcome);

}  // namespace tokenlet::cli
