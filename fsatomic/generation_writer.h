// SPDX-License-Identifier: Apache-2.0
// Writes one complete generation: steps 4 to 7 of publish().
//
// Shapes   write_generation(volume, name, layout, directories, durability): afterwards <volume>/<name> is complete, with its
//          final access, and not yet visible through ..data. Returns whose the directory was when it was made, which is
//          whose files are that name no owner.
// Owns     nothing.     Threads  any, one per volume.
// Errors   Conflict: the name is taken, nothing was made. Anything else: by errno with call and file, and what was made
//          has been taken away again as far as possible.
//
// The invariant: no bytes are ever readable for more than they are in the end. Files are made 0600 in directories that
// are 0700 until everything in them is right; the generation's own directory is opened up last.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "fsatomic/acl.h"
#include "fsatomic/confined_dir.h"
#include "fsatomic/layout.h"

namespace tokenlet::fsatomic {

[[nodiscard]] Result<Made> write_generation(const UniqueFd& volume, const std::string& name, const Layout& layout,
                                            const Access& directories, Durability durability);

}  // namespace tokenlet::fsatomic
