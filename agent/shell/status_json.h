// SPDX-License-Identifier: Apache-2.0
// The status snapshot as JSON, for `status -o json` and everybody else who asks the socket.
//
// Shapes   {"listed","settled","removalHeld","problems":[...],"pods":[{"namespace","name","uid","serviceAccount","ready",
//          "message","volumes":[{"name","path","ready","error","rotations","files":[{"path","kind","audience","issuedAt",
//          "expiresAt","rotatesAt","rule","lastReadAt","lastError"}],"fileMounts":[{"file","mountedAt"}]}]}],
//          "counters":{...}}. What is unknown is null.
// Units    times are RFC 3339, UTC.
// Owns     nothing.     Threads  any; reads the access time of each token's file below root.
// Errors   none: a file that cannot be looked at has lastReadAt null.
//
// lastReadAt is the file's access time where that is later than its change: on a relatime tmpfs it moves at the first read
// after each rotation, so a reader that keeps an old token shows.
#pragma once

#include <string>
#include <vector>

#include "agent/core/status.h"
#include "agent/shell/file_mounts.h"
#include "base/unique_fd.h"

namespace tokenlet::agent {

struct StatusContext {
    const UniqueFd& root;   // volumes.root
    std::string root_path;  // volume paths are given absolute
    std::string node_name;
    std::vector<FileMount> file_mounts = {};
};

[[nodiscard]] std::string status_json(const Status& status, const StatusContext& context);

}  // namespace tokenlet::agent
