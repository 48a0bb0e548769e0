// SPDX-License-Identifier: Apache-2.0
// What tells this host from every other, also from one of the same name: a random id, drawn once.
//
// Shapes   read_host_id(stateDir) -> 32 hexadecimal digits, the same for as long as the directory lives.
// Units    none.     Owns  the file kHostIdFile.     Threads  one; the state directory's lock keeps other processes away.
// Errors   Invalid for a file that holds something else: a guess would make another host of this one. Io, Denied as usual.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace tokenlet::agent {

inline constexpr char kHostIdFile[] = "host-id";  // in stateDir

[[nodiscard]] Result<std::string> read_host_id(const UniqueFd& state_dir, const std::function<std::uint64_t()>& random);

}  // namespace tokenlet::agent
