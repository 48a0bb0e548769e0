// SPDX-License-Identifier: Apache-2.0
// Whether a generation on disk is what a payload asks for: step 3 of publish().
//
// Shapes   compare(volume, generation, layout, …) -> what differs, and a stamp of everything that was looked at, taken
//          before the look. look_again(volume, witness) -> whether all those stamps still hold: one stat() each.
// Owns     nothing.     Threads  any.
// Errors   none: what cannot be read is a difference, and a new generation is the answer to it.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "fsatomic/acl.h"
#include "fsatomic/layout.h"
#include "fsatomic/publish.h"

namespace tokenlet::fsatomic {

[[nodiscard]] Stamp stamp_of(const struct stat& found);

struct Comparison {
    std::string difference;        // the first one; empty: none
    bool content_differs = false;  // else only owner, mode or access list do
    std::uint64_t size_bytes = 0;  // of the files looked at
    std::vector<Witness::Seen> seen;
};

// What is known besides the disk.
struct Known {
    Made made;             // whose files are that name no owner
    bool is_ours = false;  // this very payload was published as this generation: a file that its mode shuts against
                           // ourselves (0040) is taken on trust if its size and access are right
};

[[nodiscard]] Comparison compare(const UniqueFd& volume, const std::string& generation, const Layout& layout,
                                 const Access& directories, const Known& known);

[[nodiscard]] bool look_again(const UniqueFd& volume, const Witness& witness);

}  // namespace tokenlet::fsatomic
