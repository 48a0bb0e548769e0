// SPDX-License-Identifier: Apache-2.0
// All the bytes of a file, whatever signals come between.
//
// Shapes   read_all() from where the descriptor stands to the end; write_all() everything that it is given.
// Units    bytes.
// Owns     what was read, wiped: it may be a token or a key.     Threads  any.
// Errors   from the system call, with `name`; read_all(): Invalid when there is more than `limit_bytes`.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace tokenlet {

[[nodiscard]] Result<Secret> read_all(int fd, std::size_t limit_bytes, std::string_view name);
[[nodiscard]] Result<> write_all(int fd, std::string_view bytes, std::string_view name);

}  // namespace tokenlet
