// SPDX-License-Identifier: Apache-2.0
// `tokenlet status`: what the running agent projects, and when it rotates next.
//
// Shapes   run() asks the daemon; status_table() is a pure function of its answer.
// Units    times relative to `now`.
// Owns     nothing.     Threads  any.
// Errors   in the Outcome; status_table(): Invalid when the answer is not the agent's.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "cli/daemon.h"
#include "cli/outcome.h"

namespace tokenlet::cli {

enum class StatusFormat { Table, Wide, Json };

struct StatusOptions {
    Where where{};
    StatusFormat format = StatusFormat::Table;
    std::string pod{};  // "NAMESPACE/NAME", or a name in any namespace; empty: all
};

[[nodiscard]] Outcome run(const StatusOptions& options, WallTime now);

// A row for each token; in Wide for each file. What is wrong with the manifests stands in the complaints.
[[nodiscard]] Result<Outcome> status_table(std::string_view json, const StatusOptions& options, WallTime now);

}  // namespace tokenlet::cli
