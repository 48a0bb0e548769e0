// SPDX-License-Identifier: Apache-2.0
// `tokenlet validate`: what the agent would say of these files, without running it.
//
// Shapes   paths of manifests, configurations (the kind decides) and directories in, Outcome out: a line for each file that
//          is good on stdout, a complaint for each problem. Manifests are read together, so that two Pods with one name or
//          uid show. With a configuration among the files its policy is applied to the Pods.
// Owns     nothing.     Threads  any.
// Errors   in the Outcome: Configuration for problems in a file, Failed for a path that cannot be read.
//
// Who owns the files and may write them is not looked at: files are checked before they are put in place.
#pragma once

#include <string>
#include <vector>

#include "cli/outcome.h"

namespace tokenlet::cli {

struct ValidateOptions {
    std::vector<std::string> paths{};
};

[[nodiscard]] Outcome run(const ValidateOptions& options);

}  // namespace tokenlet::cli
