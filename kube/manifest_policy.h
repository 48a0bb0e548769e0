// SPDX-License-Identifier: Apache-2.0
// What manifests may ask for: the limits of the configuration on whoever writes into the manifest directory.
//
// Shapes   check(pod, policy), for a Pod after admission. A list that is empty allows everything. Entries are exact, or end
//          in `*` and allow what starts so: "production/*".
// Owns     nothing.     Threads  any.
// Errors   Denied, every violation in one message, each with its field, its value and what is allowed.
//
// audiences: the empty audience (the issuer's own, as in kube-api-access) must be allowed as "".
// run_as_users: each container must say under which user it runs, for otherwise its tokens are readable by all. Groups
// that are let in (fsGroup, supplementalGroups) are measured by the same numbers: a group is but a way to let users in.
// max_expiration: 3607 s, the mark of injected volumes, counts as one hour.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "kube/objects.h"

namespace tokenlet::kube {

struct IdRange {
    std::int64_t first = 0;
    std::int64_t last = 0;  // included
    bool operator==(const IdRange&) const = default;
};

struct Policy {
    std::vector<std::string> namespaces = {};
    std::vector<std::string> service_accounts = {};  // "namespace/name"
    std::vector<std::string> audiences = {};
    std::vector<IdRange> run_as_users = {};
    std::optional<Duration> max_expiration = {};
    bool operator==(const Policy&) const = default;
};

[[nodiscard]] Result<> check(const Pod& pod, const Policy& policy);

// For users and groups that are named elsewhere (tokenlet.dev/readers); `field` is for the message.
[[nodiscard]] Result<> check_id(std::int64_t id, std::string_view field, const Policy& policy);

// "1000" or "1000-1999".
[[nodiscard]] Result<IdRange> parse_id_range(std::string_view text);

}  // namespace tokenlet::kube
