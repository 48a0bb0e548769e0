// SPDX-License-Identifier: Apache-2.0
// A listening unix socket and its file.
//
// Shapes   BoundSocket::listen(path). The file has mode 0666. Paths longer than a socket address are fine.
// Owns     the descriptor and the file: it goes with its owner, unless another process has put its own there since.
// Threads  any, one at a time.
// Errors   Conflict when a living process listens there, or when something that is no socket stands there; otherwise
//          from the system call, naming the path.
//
// Two processes that start at the same moment over a dead one's file could take it from each other: one agent for
// each state directory is the lock's business, not this one's.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace tokenlet::http {

class BoundSocket {
public:
    [[nodiscard]] static Result<BoundSocket> listen(const std::string& path);
    BoundSocket(BoundSocket&&) noexcept = default;
    BoundSocket& operator=(BoundSocket&&) = delete;
    ~BoundSocket();

    [[nodiscard]] const UniqueFd& fd() const { return fd_; }

private:
    BoundSocket() = default;

    UniqueFd fd_;
    UniqueFd directory_;
    std::string name_;
    ino_t inode_ = 0;
};

}  // namespace tokenlet::http
