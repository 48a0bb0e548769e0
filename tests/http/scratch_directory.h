// SPDX-License-Identifier: Apache-2.0
// A directory of a test's own on tmpfs, gone with it.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace tokenlet::http {

class ScratchDirectory {
public:
    ScratchDirectory() {
        char name[] = "/dev/shm/tokenlet-http-XXXXXX";
        path_ = ::mkdtemp(name);
    }
    ScratchDirectory(const ScratchDirectory&) = delete;
    ScratchDirectory& operator=(const ScratchDirectory&) = delete;
    ~ScratchDirectory() { std::filesystem::remove_all(path_); }

    [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

}  // namespace tokenlet::http
