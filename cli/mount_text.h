// SPDX-License-Identifier: Apache-2.0
// Bind mounts in the words of the programs that make them, ready to be pasted.
//
// Shapes   mount_text(style, containers) -> lines. Podman and docker: options of `run`, each line continued by the next.
//          Compose: the `services` of a compose file. Systemd: the lines of a unit's [Service], container by container.
//          All read-only, and none makes a directory where the source is missing: a workload started too early says so.
// Owns     nothing.     Threads  any.     Errors  none: paths are quoted as each program reads them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tokenlet::cli {

struct BindMount {
    std::string source;
    std::string target;
};

struct MountingContainer {
    std::string name;
    std::vector<BindMount> mounts;
};

enum class MountStyle { Podman, Docker, Compose, Systemd };

[[nodiscard]] std::string mount_text(MountStyle style, const std::vector<MountingContainer>& containers);

}  // namespace tokenlet::cli
