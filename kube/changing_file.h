// SPDX-License-Identifier: Apache-2.0
// A file that others replace while we run.
//
// Shapes   look() reads it when it is not the file that it was (device, inode, size, times); true: the bytes are others now.
//          forget() makes the next look() read in any case.
// Units    bytes.
// Owns     what it read last, wiped.     Threads  any, one at a time.
// Errors   look(): from the system call, or Invalid when it is too long, naming the path. The bytes stay as they were.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace tokenlet::kube {

class ChangingFile {
public:
    ChangingFile() = default;
    ChangingFile(std::string path, std::size_t limit_bytes) : path_(std::move(path)), limit_bytes_(limit_bytes) {}

    [[nodiscard]] Result<bool> look();
    void forget() { seen_.reset(); }

    [[nodiscard]] const tokenlet::Secret& bytes() const { return bytes_; }
    [[nodiscard]] const std::string& path() const { return path_; }
    // False: there is no file to look at.
    explicit operator bool() const { return !path_.empty(); }

private:
    struct Identity {
        dev_t device;
        ino_t inode;
        off_t size_bytes;
        std::int64_t mtime_ns;
        std::int64_t ctime_ns;
        bool operator==(const Identity&) const = default;
    };

    std::string path_;
    std::size_t limit_bytes_ = 0;
    std::optional<Identity> seen_;
    tokenlet::Secret bytes_;
};

}  // namespace tokenlet::kube
