// SPDX-License-Identifier: Apache-2.0
#include "authority/durable_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "base/file_bytes.h"

namespace tokenlet::authority {
namespace {

std::string octal(mode_t mode) {
    std::array<char, 8> text{};
    std::snprintf(text.data(), text.size(), "%04o", mode & 07777);
    return text.data();
}

std::unexpected<Error> fail_open(int os_errno, const std::string& name) {
    if (os_errno == ELOOP)
        return fail(Errc::Invalid, name + " is a symbolic link; put the file itself there");
    return fail_errno(os_errno, "open", name);
}

Result<> sync(const UniqueFd& fd, const std::string& name) {
    if (::fsync(fd.get()) < 0)
        return fail_errno(errno, "fsync", name);
    return {};
}

// Written whole and on disk, but under a name that nobody reads.
Result<> write_temporary(const UniqueFd& dir, const std::string& name, std::string_view bytes, mode_t mode) {
    // A crash may have left one. O_EXCL makes sure that ours is new and is no link that somebody laid there.
    if (::unlinkat(dir.get(), name.c_str(), 0) < 0 && errno != ENOENT)
        return fail_errno(errno, "unlink", name);
    const UniqueFd file{::openat(dir.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (!file)
        return fail_open(errno, name);
    TRY(write_all(file.get(), bytes, name));
    if (::fchmod(file.get(), mode) < 0)  // open()'s mode went through the umask
        return fail_errno(errno, "chmod", name);
    return sync(file, name);
}

Result<> check_directory(const UniqueFd& dir, const std::string& name, mode_t mode) {
    struct stat status{};
    if (::fstat(dir.get(), &status) < 0)
        return fail_errno(errno, "stat", name);
    if (status.st_uid != ::geteuid())
        return fail(Errc::Denied, name + " belongs to user " + std::to_string(status.st_uid) +
                                      ", not to the user that tokenlet runs as (" + std::to_string(::geteuid()) +
                                      "); chown it");
    if ((status.st_mode & 0022) != 0)
        return fail(Errc::Denied, name + " has mode " + octal(status.st_mode) +
                                      ": others may write to it, so what is in it may be theirs; look through it, then "
                                      "run: chmod go-w " +
                                      name);
    if ((status.st_mode & 07777) != mode && ::fchmod(dir.get(), mode) < 0)
        return fail_errno(errno, "chmod", name);
    return {};
}

// Makes a directory and the missing ones above it.
Result<> make_directories(const std::string& path, mode_t mode) {
    for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
        const std::string parent = path.substr(0, slash);
        if (::mkdir(parent.c_str(), 0755) < 0 && errno != EEXIST)
            return fail_errno(errno, "mkdir", parent);
    }
    if (::mkdir(path.c_str(), mode) < 0 && errno != EEXIST)
        return fail_errno(errno, "mkdir", path);
    return {};
}

}  // namespace

Result<Secret> read_file(const UniqueFd& dir, const std::string& name, Readers allowed) {
    // O_NONBLOCK: a FIFO somebody laid there must not stop us.
    const UniqueFd file{::openat(dir.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
    if (!file)
        return fail_open(errno, name);
    struct stat status{};
    if (::fstat(file.get(), &status) < 0)
        return fail_errno(errno, "stat", name);
    if (!S_ISREG(status.st_mode))
        return fail(Errc::Invalid, name + " is no regular file");
    if (allowed == Readers::OwnerOnly && status.st_uid != ::geteuid())
        return fail(Errc::Denied, name + " belongs to user " + std::to_string(status.st_uid) +
                                      ", who could replace it; chown it to the user that tokenlet runs as");
    if (allowed == Readers::OwnerOnly && (status.st_mode & 0077) != 0)
        return fail(Errc::Denied, name + " has mode " + octal(status.st_mode) +
                                      ": others than its owner may use it, so it may be known to them; replace it, or "
                                      "chmod 0600 if you are sure that nobody read it");
    if (static_cast<std::size_t>(status.st_size) > kDurableFileLimit)
        return fail(Errc::Invalid, name + " has " + std::to_string(status.st_size) + " bytes, more than any such file");
    return read_all(file.get(), kDurableFileLimit, name);
}

Result<> write_file(const UniqueFd& dir, const std::string& name, std::string_view bytes, mode_t mode) {
    const std::string temporary = "." + name + ".tmp";
    if (Result<> written = write_temporary(dir, temporary, bytes, mode); !written) {
        (void)::unlinkat(dir.get(), temporary.c_str(),
                         0);  // gives a full disk its room back; the next write tries again
        return written;
    }
    if (::renameat(dir.get(), temporary.c_str(), dir.get(), name.c_str()) < 0) {
        const int os_errno = errno;
        (void)::unlinkat(dir.get(), temporary.c_str(), 0);
        return fail_errno(os_errno, "rename", name);
    }
    return sync(dir, name);
}

Result<> remove_file(const UniqueFd& dir, const std::string& name) {
    if (::unlinkat(dir.get(), name.c_str(), 0) < 0) {
        if (errno == ENOENT)
            return {};
        return fail_errno(errno, "unlink", name);
    }
    return sync(dir, name);
}

Result<UniqueFd> open_directory(const UniqueFd& parent, const std::string& name, mode_t mode) {
    bool made = true;
    if (::mkdirat(parent.get(), name.c_str(), mode) < 0) {
        if (errno != EEXIST)
            return fail_errno(errno, "mkdir", name);
        made = false;
    }
    UniqueFd dir{::openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (!dir)
        return errno == ENOTDIR || errno == ELOOP ? fail(Errc::Invalid, name + " is no directory")
                                                  : fail_errno(errno, "open", name);
    TRY(check_directory(dir, name, mode));
    if (made)
        TRY(sync(parent, name));
    return dir;
}

Result<UniqueFd> open_directory(const std::string& path, mode_t mode) {
    TRY(make_directories(path, mode));
    UniqueFd dir{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!dir)
        return fail_errno(errno, "open", path);
    TRY(check_directory(dir, path, mode));
    return dir;
}

}  // namespace tokenlet::authority
