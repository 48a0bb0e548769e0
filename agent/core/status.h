// SPDX-License-Identifier: Apache-2.0
// What the agent says of itself: an immutable snapshot.
//
// Shapes   Pods in order of namespace and name, their volumes and files in the manifest's order.
// Units    wall-clock times, for people and for other programs.
// Owns     its text; no token.     Threads  any, once made.     Errors  none.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace tokenlet::agent {

struct FileStatus {
    std::string path;
    std::string_view kind;  // "serviceAccountToken", "configMap", "secret", "downwardAPI", "clusterTrustBundle"
    std::string audience;
    std::optional<WallTime> issued_at;
    std::optional<WallTime> expires_at;   // as it was granted
    std::optional<WallTime> valid_until;  // as it says itself: a copy of it is good until then
    std::optional<WallTime> rotates_at;
    std::string_view rule;  // the rule behind rotates_at: "fraction", "maxAge", "clock", "demand"
    unsigned failures = 0;  // to refresh it, in a row
    std::string last_error;
    std::optional<WallTime> retries_at;
};

struct VolumeStatus {
    std::string name;
    std::string path;  // relative to volumes.root; absolute where the manifest names it
    bool ready = false;
    std::string error;
    std::uint64_t rotations = 0;
    std::vector<FileStatus> files;
};

struct PodStatus {
    std::string ns;
    std::string name;
    std::string uid;
    std::string service_account;
    bool ready = false;
    bool leaving = false;
    std::string message;
    std::vector<VolumeStatus> volumes;
};

struct Status {
    bool listed = false;   // one complete pass over the manifest directory has been made
    bool settled = false;  // and every Pod of that pass is published or says why not
    std::uint64_t token_requests = 0;
    std::uint64_t token_failures = 0;
    std::uint64_t publishes = 0;
    std::uint64_t repairs = 0;          // of what somebody else had damaged
    std::string removal_held;           // why removals wait for `prune`; empty: they do not
    std::vector<std::string> problems;  // of manifests: "file: document 2: line 3: ..."
    std::vector<PodStatus> pods;
};

}  // namespace tokenlet::agent
