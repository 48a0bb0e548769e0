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

// False when another one has it. flock() belongs to the open file, not to the process: it ends with the descriptor, and a
// library that opens and closes the same file cannot lose it, as it could a POSIX lock.
Result<bool> take(const UniqueFd& file, const std::string& name) {
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno != EWOULDBLOCK)
        return fail_errno(errno, "flock", name);
    return false;
}

std::unexpected<Error> in_use(const std::string& path, const std::string& pid) {
    return fail(Errc::Conflict, path + " is in use by another tokenlet" + (pid.empty() ? "" : ", process " + pid) +
                                    "; stop that one, or configure another directory");
}

}  // namespace

Result<UniqueFd> lock_directory(const UniqueFd& dir, const std::string& path) {
    const std::string name = path + "/" + kLockFile;
    UniqueFd file(::openat(dir.get(), kLockFile, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file)
        return fail_errno(errno, "open", name);

    if (!TRY(take(file, name)))
        return in_use(path, holder_of(file));
    const std::string pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(file.get(), 0) < 0)
        return fail_errno(errno, "ftruncate", name);
    if (::pwrite(file.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size()))
        return fail_errno(errno, "write", name);
    return file;
}

Result<UniqueFd> lock_names(const UniqueFd& dir, const std::string& path) {
    // Opened anew: the lock is to end with what is returned, whoever else holds the directory.
    UniqueFd own(::openat(dir.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!own)
        return fail_errno(errno, "open", path);
    if (!TRY(take(own, path)))
        return in_use(path, "");
    return own;
}

}  // namespace tokenlet::agent
