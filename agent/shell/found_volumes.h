// SPDX-License-Identifier: Apache-2.0
// What an earlier run left.
//
// Shapes   find_volumes(root, direct) -> the volumes that stand where ours do, with their records and those token files
//          that are byte for byte what the record says; and the names of what is not ours, which is left alone. A Pod's
//          directories in which there is nothing are removed. A volume outside of root is found by the name of its record.
// Owns     the bytes it returns.     Threads  any.
// Errors   only when root itself cannot be listed. A volume or record that cannot be read is found without it.
#pragma once

#include <string>
#include <vector>

#include "agent/core/command.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace tokenlet::agent {

struct Found {
    std::vector<FoundVolume> volumes;
    std::vector<std::string> foreign;   // paths below root
    std::vector<std::string> problems;  // "uid/...: why"
};

// `direct`: the directories within which volumes may stand outside of root.
[[nodiscard]] Result<Found> find_volumes(const UniqueFd& root, const std::vector<std::string>& direct);

}  // namespace tokenlet::agent
