// SPDX-License-Identifier: Apache-2.0
// What the authority's tests share: a directory that goes when the test ends, fixed chance, and a point in time.
//
// Owns     the directory.     Threads  one.     Errors  none: a test cannot go on without its directory.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "authority/entropy.h"
#include "base/time.h"
#include "base/unique_fd.h"

namespace tokenlet::authority {

inline constexpr WallTime kNow{std::chrono::seconds(1'800'000'000)};  // 2027-01-15T08:00:00Z

class Scratch {
public:
    explicit Scratch(const std::string& below = "/dev/shm") : path_(below + "/tokenlet-authority-XXXXXX") {
        if (::mkdtemp(path_.data()) == nullptr)
            std::abort();
        dir_.reset(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] const UniqueFd& dir() const { return dir_; }
    [[nodiscard]] std::string at(const std::string& name) const { return path_ + "/" + name; }

    [[nodiscard]] std::string read(const std::string& name) const {
        std::ifstream file(at(name));
        std::stringstream text;
        text << file.rdbuf();
        return text.str();
    }
    void write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
        std::ofstream(at(name)) << text;
        ::chmod(at(name).c_str(), mode);
    }
    [[nodiscard]] mode_t mode(const std::string& name) const {
        struct stat status{};
        return ::stat(at(name).c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
    }
    [[nodiscard]] bool has(const std::string& name) const { return ::access(at(name).c_str(), F_OK) == 0; }

private:
    std::string path_;
    UniqueFd dir_;
};

// 1, 2, 3, ... in the last byte of every draw: uids are told apart, and known beforehand.
inline Entropy counting_entropy() {
    return [count = 0](std::span<unsigned char> bytes) mutable -> Result<> {
        std::ranges::fill(bytes, static_cast<unsigned char>(0));
        bytes.back() = static_cast<unsigned char>(++count);
        return {};
    };
}

inline std::string uid_number(int number) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string uid = "00000000-0000-4000-8000-0000000000";
    uid += kDigits[static_cast<unsigned>(number) >> 4 & 15];
    uid += kDigits[static_cast<unsigned>(number) & 15];
    return uid;
}

}  // namespace tokenlet::authority
