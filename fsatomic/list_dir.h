// SPDX-License-Identifier: Apache-2.0
// The entries of a directory, without "." and "..".
//
// Shapes   list_dir(fd) reads from where the descriptor stands: hand it a fresh one.
// Owns     nothing.     Threads  any.     Errors  by errno.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace tokenlet::fsatomic {

struct DirEntry {
    std::string name;
    unsigned char type = 0;  // DT_…; DT_UNKNOWN where the file system does not tell
};

[[nodiscard]] Result<std::vector<DirEntry>> list_dir(const UniqueFd& dir, std::string_view name);

}  // namespace tokenlet::fsatomic
