// SPDX-License-Identifier: Apache-2.0
// What a process that holds tokens and keys sets up first.
//
// Shapes   harden_process(), once, before anything secret is read.
// Owns     nothing; what it sets holds for the process and its children.
// Threads  the main thread, while it is the only one.
// Errors   from the system call; a process that cannot be hardened must not go on.
#pragma once

#include "base/result.h"

namespace tokenlet::cli {

// umask 077; no core dumps, and no other process of the same user may look into the memory (both not in sanitizer
// builds, whose leak check needs it); as many descriptors as the hard limit gives, up to 65 536.
[[nodiscard]] Result<> harden_process();

}  // namespace tokenlet::cli
