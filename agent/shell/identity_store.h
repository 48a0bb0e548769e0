// SPDX-License-Identifier: Apache-2.0
// The uids that were drawn here, kept over restarts and reboots: stateDir/identities.
//
//     add shop/web 5f0c7f9e-9a1d-4f0e-8a43-6f8f9f1c2f3b
//     drop shop/db 0b7c6bbd-5b1a-4d53-a1e3-5f3d2b0e7c11
//
// Shapes   open() reads the file, tells what it holds and writes it anew without what was dropped; save() appends and
//          returns when the disk has it. A last line without its end is a crash in the middle of save() and does not count.
// Owns     the file.     Threads  any, one call at a time. Calls wait for the disk.
// Errors   open(): Denied, Io; Invalid with the line for a file that is not ours: guessing could change uids that tokens
//          are bound to. save(): nothing was added, and the same call may be made again.
#pragma once

#include <sys/types.h>

#include <vector>

#include "agent/core/command.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace tokenlet::agent {

class IdentityStore {
public:
    [[nodiscard]] static Result<IdentityStore> open(const UniqueFd& state_dir);

    [[nodiscard]] std::vector<PodIdentity> take_loaded() { return std::move(loaded_); }
    [[nodiscard]] Result<> save(const std::vector<PodIdentity>& added, const std::vector<PodIdentity>& removed);

private:
    IdentityStore() = default;

    UniqueFd file_;
    off_t size_ = 0;  // of what is known to be whole
    std::vector<PodIdentity> loaded_;
};

}  // namespace tokenlet::agent
