// SPDX-License-Identifier: Apache-2.0
#include "http/unix_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace tokenlet::http {

namespace {

constexpr mode_t kEverybody = 0666;

// An address holds 107 bytes; a longer path goes through the descriptor of its directory.
Result<sockaddr_un> address_of(const std::string& path, const UniqueFd& directory, const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::string text = path;
    if (text.size() >= sizeof address.sun_path)
        text = "/proc/self/fd/" + std::to_string(directory.get()) + "/" + name;
    if (text.size() >= sizeof address.sun_path)
        return fail(Errc::Invalid, path + ": the name of the socket is too long");
    std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
    return address;
}

Result<UniqueFd> new_socket() {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd)
        return fail_errno(errno, "socket", "AF_UNIX");
    return fd;
}

const sockaddr* generic(const sockaddr_un& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

// Removes the file of a process that is gone; Conflict when it is something else.
Result<> clear_stale(const std::string& path, const UniqueFd& directory, const std::string& name,
                     const sockaddr_un& address) {
    struct stat status{};
    if (::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? Result<>{} : fail_errno(errno, "stat", path);
    if (!S_ISSOCK(status.st_mode))
        return fail(Errc::Conflict, path + ": is there already and is no socket; remove it or name another path");

    const UniqueFd probe = TRY(new_socket());
    if (::connect(probe.get(), generic(address), sizeof address) == 0 || errno == EAGAIN)
        return fail(Errc::Conflict, path + ": another process listens here already");
    if (errno != ECONNREFUSED)
        return fail_errno(errno, "connect", path);
    if (::unlinkat(directory.get(), name.c_str(), 0) < 0 && errno != ENOENT)
        return fail_errno(errno, "unlink", path);
    return {};
}

}  // namespace

Result<BoundSocket> BoundSocket::listen(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    BoundSocket bound;
    bound.name_ = slash == std::string::npos ? path : path.substr(slash + 1);
    if (bound.name_.empty())
        return fail(Errc::Invalid, "'" + path + "' names no socket");
    bound.directory_.reset(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!bound.directory_)
        return fail_errno(errno, "open", parent);

    const sockaddr_un address = TRY(address_of(path, bound.directory_, bound.name_));
    TRY(clear_stale(path, bound.directory_, bound.name_, address));
    bound.fd_ = TRY(new_socket());
    if (::bind(bound.fd_.get(), generic(address), sizeof address) < 0) {
        if (errno == EADDRINUSE)
            return fail(Errc::Conflict, path + ": another process has begun to listen here");
        return fail_errno(errno, "bind", path);
    }
    struct stat status{};
    if (::fstatat(bound.directory_.get(), bound.name_.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0)
        return fail_errno(errno, "stat", path);
    bound.inode_ = status.st_ino;
    // The directory is the agent's, so nobody has put a link here between bind() and chmod().
    if (::fchmodat(bound.directory_.get(), bound.name_.c_str(), kEverybody, 0) < 0)
        return fail_errno(errno, "chmod", path);
    if (::listen(bound.fd_.get(), SOMAXCONN) < 0)
        return fail_errno(errno, "listen", path);
    return bound;
}

BoundSocket::~BoundSocket() {
    struct stat status{};
    if (inode_ != 0 && directory_ && ::fstatat(directory_.get(), name_.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        status.st_ino == inode_)
        (void)::unlinkat(directory_.get(), name_.c_str(), 0);  // a file that stays is replaced by the next start
}

}  // namespace tokenlet::http
