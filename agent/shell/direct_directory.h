// SPDX-License-Identifier: Apache-2.0
// A directory outside volumes.root in which a volume is published, because others mount it there: tokenlet.dev/path.
//
//     <path>/..tokenlet -> <ns>/<pod>/<volume>@<uid>     whose it is; beside it what fsatomic publishes
//
// Shapes   open_direct() and make_direct() lead to the directory at `path`, within one of those that the configuration
//          allows. check_claim() says whether a volume may have it, mark() says there that it does, before anything else is
//          put into it; clear_direct() takes all that out again. The directory itself stays: it is what others have
//          mounted, and a Pod that comes back is to find them.
// Units    what make_direct() makes has mode 0755. What stands keeps its mode and owner: it is somebody else's.
// Owns     the returned descriptors.     Threads  any, one writer per directory.
// Errors   Denied: outside of what is allowed, or a link in the way. Conflict: the directory is another volume's, or holds
//          what was not published from here; it is left as it is. Else by errno, with the path.
//
// The mark outlasts the record in volumes.root: when that is lost (a restarted container, a reboot), the same Pod's volume
// takes its directory over, whatever uid it has by then. Names like ..tokenlet cannot be a volume's.
#pragma once

#include <string>
#include <vector>

#include "agent/core/command.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "kube/objects.h"

namespace tokenlet::agent {

inline constexpr char kOwnerLink[] = "..tokenlet";

// The configured directory is trusted as it stands, links included; below it nothing leads out and no link is followed.
[[nodiscard]] Result<UniqueFd> open_direct(const std::vector<std::string>& allowed, const std::string& path);
[[nodiscard]] Result<UniqueFd> make_direct(const std::vector<std::string>& allowed, const std::string& path);

enum class Claim {
    First,  // only a directory that nobody publishes in
    Again,  // it was ours: a mark that is gone is made again
};
[[nodiscard]] Result<> check_claim(const UniqueFd& directory, const VolumePath& volume, const kube::ObjectKey& pod,
                                   Claim claim);
[[nodiscard]] Result<> mark(const UniqueFd& directory, const VolumePath& volume, const kube::ObjectKey& pod);

// Whether the mark names this volume of the Pod with this uid.
[[nodiscard]] Result<bool> is_claimed(const UniqueFd& directory, const VolumePath& volume);

// Takes out what was published there, then the mark. What is not marked as this volume's is left alone.
[[nodiscard]] Result<> clear_direct(const UniqueFd& directory, const VolumePath& volume);

}  // namespace tokenlet::agent
