// SPDX-License-Identifier: Apache-2.0
// A file descriptor that is closed when its owner goes.
//
// Shapes   move-only; empty (-1) when default-made or moved from.
// Owns     one descriptor.     Threads  any, one at a time.     Errors  none: close() is not asked twice.
#pragma once

#include <unistd.h>

#include <utility>

namespace tokenlet {

class UniqueFd {
public:
    UniqueFd() noexcept = default;
    explicit UniqueFd(int fd) noexcept : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        reset(std::exchange(other.fd_, -1));
        return *this;
    }
    ~UniqueFd() { reset(); }

    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    explicit operator bool() const noexcept { return fd_ >= 0; }

    void reset(int fd = -1) noexcept {
        // Called once, whatever it returns: on Linux the number is free even after EINTR; a retry could close a
        // stranger's file.
        if (int old = std::exchange(fd_, fd); old >= 0)
            ::close(old);
    }

private:
    int fd_ = -1;
};

}  // namespace tokenlet
