// SPDX-License-Identifier: Apache-2.0
// What ids a user's rootless podman gives to its containers, as this host has it.
//
// Shapes   read_rootless_ids("alice") reads the account, /etc/subuid and /etc/subgid, anew each time.
// Owns     nothing.     Threads  any: it waits for the user database, so that a Pod needs it once per version.
// Errors   Invalid: no such user, or what id_map.h says, naming file and user. Io: a file that cannot be read.
#pragma once

#include <string>

#include "base/result.h"
#include "projector/id_map.h"

namespace tokenlet::agent {

struct SubordinateFiles {
    std::string users = "/etc/subuid";
    std::string groups = "/etc/subgid";
};

[[nodiscard]] Result<projector::IdMap> read_rootless_ids(const std::string& user, const SubordinateFiles& files = {});

}  // namespace tokenlet::agent
