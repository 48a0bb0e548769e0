// SPDX-License-Identifier: Apache-2.0
// `tokenlet explain`: of one Pod, when each file changes next and by which rule, what failed last, and what happens next.
//
// Shapes   run() asks the daemon; explanation() is a pure function of its answer: sentences, file by file.
// Units    times relative to `now`, expiry also as a date.
// Owns     nothing.     Threads  any.
// Errors   in the Outcome; explanation(): NotFound when the agent has no such Pod, Invalid when the answer is not the agent's.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "cli/daemon.h"
#include "cli/outcome.h"

namespace tokenlet::cli {

struct ExplainOptions {
    Where where{};
    std::string pod{};  // "NAMESPACE/NAME", or a name in any namespace: then all of that name
};

[[nodiscard]] Outcome run(const ExplainOptions& options, WallTime now);

[[nodiscard]] Result<std::string> explanation(std::string_view json, const std::string& pod, WallTime now);

}  // namespace tokenlet::cli
