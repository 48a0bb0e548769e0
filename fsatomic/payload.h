// SPDX-License-Identifier: Apache-2.0
// A set of files to publish: path -> bytes and access.
//
// Shapes   paths are relative and clean ("token", "a/b/token"); publish() validates them again.
// Units    modes are permission bits; uids and gids as the kernel has them.
// Owns     the bytes, wiped when the payload goes.     Threads  any, one at a time.     Errors  none.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"

namespace tokenlet::fsatomic {

// One more reader, let in by a POSIX access list entry (read permission, nothing else).
struct Reader {
    enum class Kind { User, Group };
    Kind kind = Kind::User;
    unsigned id = 0;
    auto operator<=>(const Reader&) const = default;
};

// Who may do what with a file or directory. Unset owner or group: left as the writing process makes it.
struct Access {
    mode_t mode = 0644;
    std::optional<uid_t> owner = {};
    std::optional<gid_t> group = {};
    std::vector<Reader> readers = {};  // sorted, without duplicates
    bool operator==(const Access&) const = default;
};

struct File {
    Secret bytes;
    Access access = {};
};

struct Payload {
    std::map<std::string, File> files = {};
    Access directories{.mode = 0755};  // of the generation and below it
};

}  // namespace tokenlet::fsatomic
