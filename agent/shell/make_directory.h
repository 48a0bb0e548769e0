// SPDX-License-Identifier: Apache-2.0
// The directories that the configuration names.
//
// Shapes   make_directory(path, mode) opens `path`, made with exactly `mode` where it is missing, as what is missing above
//          it is with `above`. What exists keeps its mode: it may be the administrator's choice.
// Units    modes are permission bits.
// Owns     the returned descriptor.     Threads  any.     Errors  by errno, with the part of the path that failed.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace tokenlet::agent {

struct DirectoryModes {
    mode_t above = 0755;
    mode_t last = 0755;
};

[[nodiscard]] Result<UniqueFd> make_directory(const std::string& path, const DirectoryModes& modes);

}  // namespace tokenlet::agent
