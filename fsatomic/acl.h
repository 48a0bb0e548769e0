// SPDX-License-Identifier: Apache-2.0
// Owner, mode and access list of a file or directory: set in that order, and compared.
//
// Shapes   set_access() turns a fresh 0600 file (0700 directory) into what an Access asks for; access_difference() says
//          what is amiss. A Reader becomes an entry r-- on a file, r-x on a directory, and nothing where owner, group and
//          others may read anyway.
// Owns     nothing.     Threads  any.
// Errors   Denied names what is missing: CAP_CHOWN, CAP_FOWNER, or a file system with access lists.
//
// The order matters twice: chown() clears set-id bits, and chmod() on a file with an access list changes its mask, not
// its group: after the list, it would shut the readers out again.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "fsatomic/payload.h"

namespace tokenlet::fsatomic {

enum class Node { File, Directory };

// The extended list as the kernel keeps it in system.posix_acl_access; empty when the mode alone says it all.
[[nodiscard]] std::string encode_acl(const Access& access, Node node);

// The mode stat() shows then: with a list, the group bits are its mask.
[[nodiscard]] mode_t visible_mode(const Access& access, Node node);

// Whose a fresh file is before anything is set; unset: not known.
struct Made {
    std::optional<uid_t> owner;
    std::optional<gid_t> group;
};

// Changes no owner that is right already.
[[nodiscard]] Result<> set_access(const UniqueFd& fd, const Access& access, Node node, const Made& made,
                                  std::string_view name);

// "" when `fd` is as `access` says, else what is not: "mode is 0644, not 0600". An owner or group that `access` leaves
// open must be as `made` says, if that is known.
[[nodiscard]] Result<std::string> access_difference(const UniqueFd& fd, const struct stat& found, const Access& access,
                                                    Node node, const Made& made, std::string_view name);

// Takes away what a directory inherited from a default access list above it, so that nothing made in it inherits on.
[[nodiscard]] Result<> drop_inherited_acl(const UniqueFd& dir, std::string_view name);

}  // namespace tokenlet::fsatomic
