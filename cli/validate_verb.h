// SPDX-License-Identifier: Apache-2.0
// `tokenlet validate`: what the agent would say of these files, without running it.
//
// Shapes   paths of manifests, configurations (the kind decides) and directories in, Outcome out: a line for each file that
//          is good on stdout, a complaint for each problem. Manifests are read together, so that two Pods with one name or
//          uid show, and volumes are built from what is there. With a configuration among the files its policy is applied
//          to the Pods. A directory is read as the agent reads it.
// Owns     nothing.     Threads  any.
// Errors   in the Outcome: Configuration for problems in a file, Failed for a path that cannot be read; at most a hundred
//          lines, and how many more there are.
//
// Who owns a file that is named, and may write it, is not looked at: files are checked before they are put in place. That
// an agent would refuse a directory, or a file in it, is remarked on; it is a problem where the configuration names it.
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
