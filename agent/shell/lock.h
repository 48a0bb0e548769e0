// SPDX-License-Identifier: Apache-2.0
// One agent per directory.
//
// Shapes   lock_directory(dir, path) holds `.tokenlet.lock` in dir until the returned descriptor closes, or the process
//          ends however it ends. The file says which process holds it and stays behind, unlocked.
//          lock_names(dir, path) holds the directory itself, without a file that people would find among the names.
// Owns     the returned descriptor is the lock.     Threads  any.
// Errors   Conflict, from lock_directory() naming the process that holds it; Denied or Io when the directory cannot be written.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace tokenlet::agent {

inline constexpr char kLockFile[] = ".tokenlet.lock";

[[nodiscard]] Result<UniqueFd> lock_directory(const UniqueFd& dir, const std::string& path);
[[nodiscard]] Result<UniqueFd> lock_names(const UniqueFd& dir, const std::string& path);

}  // namespace tokenlet::agent
