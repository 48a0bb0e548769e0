// SPDX-License-Identifier: Apache-2.0
// Every directory and link on the way to a path: whoever may change one of them decides what stands at its end.
//
// Shapes   walk("/etc/tokenlet/manifests") -> "/", "/etc", ... each with its stat, links both as themselves and by what
//          they lead to. The last step is what the path names, unless something is missing on the way.
// Owns     the descriptor of the last directory.     Threads  any.
// Errors   a walk always yields the steps it could take; `error` says why it ended early.
// Differs  from realpath(): the directories in which the links stand are part of the answer.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace tokenlet::kube {

struct PathStep {
    std::string path;  // without links, but for the last component of a step that is one
    struct stat status{};
};

struct PathTrail {
    std::vector<PathStep> steps;
    UniqueFd parent;             // O_PATH: the directory in which the end stands, or the last one there is
    UniqueFd end;                // O_PATH; empty when the walk ended early
    std::optional<Error> error;  // NotFound: missing, or a dangling link
};

// The path must be absolute.
[[nodiscard]] PathTrail walk(const std::string& path);

// Whether each step belongs to root or the agent's user and is writable by nobody else; Denied, naming the first that is
// not, its mode and owner, and the command that mends it.
[[nodiscard]] Result<> check_strict_modes(const PathTrail& trail, uid_t agent_uid);
[[nodiscard]] Result<> check_strict_modes(const PathStep& step, uid_t agent_uid);

}  // namespace tokenlet::kube
