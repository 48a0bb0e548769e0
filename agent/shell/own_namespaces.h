// SPDX-License-Identifier: Apache-2.0
// The namespaces in which this host may have made objects, so that the next run looks there too for what this one leaves.
//
// Shapes   read_own_namespaces(stateDir) -> what write_own_namespaces() was given last; none where it never was.
// Units    none.     Owns  the file kOwnNamespacesFile.     Threads  one; the state directory's lock keeps other processes away.
// Errors   Io, Denied as usual. Lines that no namespace can be called by are passed over.
#pragma once

#include <set>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace tokenlet::agent {

inline constexpr char kOwnNamespacesFile[] = "own-object-namespaces";  // in stateDir, one a line

[[nodiscard]] Result<std::set<std::string>> read_own_namespaces(const UniqueFd& state_dir);
[[nodiscard]] Result<> write_own_namespaces(const UniqueFd& state_dir, const std::set<std::string>& namespaces);

}  // namespace tokenlet::agent
