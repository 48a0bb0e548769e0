// SPDX-License-Identifier: Apache-2.0
// A file named on the command line.
//
// Shapes   read_input(path, limit) -> its bytes; "-" is stdin.
// Owns     the bytes, wiped: they may be a token.     Threads  any.
// Errors   NotFound, Denied, Io from the system call; Invalid when it is longer than `limit` or a directory. All name it.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace tokenlet::cli {

[[nodiscard]] Result<Secret> read_input(const std::string& path, std::size_t limit_bytes);

}  // namespace tokenlet::cli
