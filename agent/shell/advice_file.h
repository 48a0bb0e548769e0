// SPDX-License-Identifier: Apache-2.0
// The manifests that grant what this run of the agent has missed at an API server, for a person to apply.
//
// Shapes   add() puts a manifest into kAdviceFile, each once; the first of a run takes the place of what an earlier one left.
// Units    none.     Owns  the file; nobody else writes it.     Threads  the loop's.
// Errors   of the disk. The manifest is not tried again: who calls says it in another way.
//
// Appended, and left to the kernel to write out: ten thousand accounts may lack a right each, the loop must not wait for a
// disk each time, and the next run makes the file anew anyway.
#pragma once

#include <set>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace tokenlet::agent {

inline constexpr char kAdviceFile[] = "missing-rights.yaml";  // in stateDir

class AdviceFile {
public:
    explicit AdviceFile(const UniqueFd& state_dir) : state_dir_(state_dir) {}

    // False: it has been added before.
    [[nodiscard]] Result<bool> add(const std::string& yaml);

private:
    const UniqueFd& state_dir_;
    std::set<std::string> added_;
};

}  // namespace tokenlet::agent
