// SPDX-License-Identifier: Apache-2.0
// Which ids of the host a container's ids are, where a user namespace lies between: rootless podman.
//
// Shapes   rootless_ranges() makes one side of an IdMap of an account and the text of /etc/subuid or /etc/subgid: 0 is the
//          account's own id, 1 and on are its subordinate ids. host_id() looks one up. Pure.
// Units    ids as the kernel has them.
// Owns     plain values.     Threads  any, one at a time.
// Errors   Invalid: a range that cannot be read, with its line; an account that has none; an id beyond them.
// Source   containers/storage pkg/idtools: lines that name the account or its uid, joined in order of their first id;
//          subuid(5). podman gives the same map to newuidmap, unless a container asks for another one (--userns, --uidmap).
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tokenlet::projector {

struct IdRange {
    unsigned inside = 0;
    unsigned outside = 0;
    unsigned count = 0;
    bool operator==(const IdRange&) const = default;
};

struct IdMap {
    std::vector<IdRange> users;
    std::vector<IdRange> groups;
};

struct Account {
    std::string name;
    uid_t uid = 0;
};

// The map of whom tokenlet.dev/uid-map names.
using RootlessIds = std::function<Result<IdMap>(const std::string& user)>;

[[nodiscard]] Result<std::vector<IdRange>> rootless_ranges(std::string_view text, const Account& account,
                                                           unsigned own_id);
[[nodiscard]] Result<unsigned> host_id(const std::vector<IdRange>& ranges, unsigned inside);

}  // namespace tokenlet::projector
