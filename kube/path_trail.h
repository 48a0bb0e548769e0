// SPDX-License-Identifier: Apache-2.0
// Every directory and link on the way to a path: whoever may change one of them decides what stands at its end.
//
// Shapes   walk("/etc/tokenlet/manifests") -> "/", "/etc", ... each with its stat; a link as itself, and then what it leads
//          to. The last step is what the path names, unless the walk ended early.
// Owns     two descriptors (O_PATH).     Threads  any.
// Errors   a walk always yields the steps it could take; `error` says why it ended early: NotFound (missing, or a link
//          that leads nowhere), Denied, Io (among them too many links).
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
    std::string path;  // free of links, except that it may be one itself
    struct stat status{};
};

struct PathTrail {
    std::vector<PathStep> steps;
    UniqueFd parent;             // the last directory that was passed through
    std::string parent_path;     // free of links
    std::string name;            // the entry of `parent` at which the walk ended, or "."
    UniqueFd end;                // empty when the walk ended early
    std::optional<Error> error;  // set when the walk ended early

    [[nodiscard]] std::string end_path() const;
};

// The path must be absolute.
[[nodiscard]] PathTrail walk(const std::string& path);

// Whether each step belongs to root or the agent's user and may be written to by nobody else; Denied, naming the first
// that is not so, its mode and owner, and the command that mends it.
[[nodiscard]] Result<> check_strict_modes(const PathTrail& trail, uid_t agent_uid);
// One step alone; the message leaves its path to the caller.
[[nodiscard]] Result<> check_strict_modes(const PathStep& step, uid_t agent_uid);

}  // namespace tokenlet::kube
