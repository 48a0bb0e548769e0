// SPDX-License-Identifier: Apache-2.0
// The directories that the configuration names.
//
// Shapes   make_directory(path, modes) opens `path`, made with exactly `modes.last` where it is missing, as what is missing
//          above it is with `modes.above`. What exists keeps its mode: it may be the administrator's choice.
//          make_safe_directory() refuses one that belongs to a stranger, or that others may write to: whoever can put
//          tokens, records or links there decides what readers get.
// Units    modes are permission bits.
// Owns     the returned descriptor.     Threads  any.
// Errors   by errno, with the part of the path that failed. Denied from make_safe_directory(), with path, mode, owner and
//          the command that mends it.
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
[[nodiscard]] Result<UniqueFd> make_safe_directory(const std::string& path, const DirectoryModes& modes);

}  // namespace tokenlet::agent
