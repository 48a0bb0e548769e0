// SPDX-License-Identifier: Apache-2.0
// What one look at the manifest directory saw: from kube/manifest_directory.h, for kube/manifest_set.h.
//
// Shapes   only what is new or changed since the last listing of the same source; files are full paths, in order.
// Owns     the decoded objects, so it is move-only.     Threads  any.
// Errors   a file that is there but cannot be used carries its error: it is bad, never gone.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "kube/decode.h"

namespace tokenlet::kube {

// Which directory it was. Another one under the same path: a disk was mounted or unmounted, or the directory replaced.
struct DirectoryIdentity {
    dev_t device = 0;
    ino_t inode = 0;
    bool operator==(const DirectoryIdentity&) const = default;
};

struct FileUpdate {
    std::string file;
    Result<std::vector<Decoded>> documents;
};

struct Listing {
    DirectoryIdentity directory;
    // Every name was seen, and no file failed for a passing reason (input/output error, out of memory): what is not
    // here is not there. Removal needs it.
    bool complete = true;
    // The first listing of its source: a file that is not among the updates does not exist.
    bool whole = false;
    std::vector<FileUpdate> updates;
    std::vector<std::string> vanished;  // empty unless complete
};

}  // namespace tokenlet::kube
