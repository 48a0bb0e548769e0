// SPDX-License-Identifier: Apache-2.0
// Whether this process can give files to other users, or must let readers in by access lists.
//
// Shapes   choose_ownership(Ownership::Auto) -> Chown when the process holds what Chown needs, else Acl.
// Owns     nothing.     Threads  any.     Errors  Denied, naming the capability, when Chown is asked for and cannot be.
#pragma once

#include "agent/config.h"
#include "base/result.h"

namespace tokenlet::agent {

// Never returns Auto.
[[nodiscard]] Result<Ownership> choose_ownership(Ownership asked);

}  // namespace tokenlet::agent
