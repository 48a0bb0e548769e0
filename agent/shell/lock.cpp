// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

namespace tokenlet::agent {

namespace {

// The pid that the holder wrote, or "" while it has not.
std::string holder_of(const UniqueFd& file) {
    std::array<char, 16> text{};
    const ssize_t size = ::pread(file.get(), text.data(), text.size(), 0);
    std::string_view pid(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    pid = pid.substr(0, pid.find('\n'));
    const bool digits = std::ranges::all_of(pid, [](char c) { return c >= '0' && c <= '9'; });
    return digits ? std::string(pid) : std::string();
}

}  // namespace

Result<UniqueFd> lock_directory(const UniqueFd& dir, const std::string& path) {
    const std::string name = path + "/" + kLockFile;
    UniqueFd file(::openat(dir.get(), kLockFile, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file)
        return fail_errno(errno, "open", name);

    // flock() belongs to the open file, not to the process: it ends with the descriptor, and a library that opens and
    // closes the same file cannot lose it, as it could a POSIX lock.
    if (::flock(file.get(), LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return fail_errno(errno, "flock", name);
        const std::string pid = holder_of(file);
        return fail(Errc::Conflict, path + " is in use by another tokenlet" + (pid.empty() ? "" : ", process " + pid) +
                                        "; stop that one, or configure another directory");
    }
    const std::string pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(file.get(), 0) < 0 ||
        ::pwrite(file.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size()))
        return fail_errno(errno, "write", name);
    return file;
}

}  // namespace tokenlet::agent
