// SPDX-License-Identifier: Apache-2.0
#include "fsatomic/link.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "fsatomic/confined_dir.h"

namespace tokenlet::fsatomic {
namespace {

std::unexpected<Error> in_the_way(const std::string& name) {
    return fail(Errc::Conflict, name + ": a directory or mount point stands where a link should be; left alone");
}

Result<> replace(const UniqueFd& dir, const std::string& name, const std::string& target) {
    if (::symlinkat(target.c_str(), dir.get(), kLinkTemp) < 0) {
        if (errno != EEXIST)
            return fail_errno(errno, "symlinkat", kLinkTemp);
        TRY(remove_tree(dir, kLinkTemp));  // a crash left it
        if (::symlinkat(target.c_str(), dir.get(), kLinkTemp) < 0)
            return fail_errno(errno, "symlinkat", kLinkTemp);
    }
    if (::renameat(dir.get(), kLinkTemp, dir.get(), name.c_str()) == 0)
        return {};
    const int os_errno = errno;
    ::unlinkat(dir.get(), kLinkTemp, 0);
    if (os_errno == EBUSY || os_errno == EISDIR)
        return in_the_way(name);
    return fail_errno(os_errno, "renameat", name);
}

}  // namespace

Result<std::string> read_link(const UniqueFd& dir, const std::string& name) {
    std::array<char, 4096> target;
    const ssize_t size = ::readlinkat(dir.get(), name.c_str(), target.data(), target.size());
    if (size >= 0)
        return std::string(target.data(), static_cast<std::size_t>(size));
    if (errno == EINVAL)
        return fail(Errc::Conflict, name + ": is not a symbolic link");
    return fail_errno(errno, "readlinkat", name);
}

Result<LinkChange> make_link(const UniqueFd& dir, const std::string& name, const std::string& target) {
    if (::symlinkat(target.c_str(), dir.get(), name.c_str()) == 0)
        return LinkChange::Made;
    if (errno != EEXIST)
        return fail_errno(errno, "symlinkat", name);
    const auto found = read_link(dir, name);
    if (found && *found == target)
        return LinkChange::None;
    return fail(Errc::Conflict, name + ": something else stands where a link should be; left alone");
}

Result<LinkChange> ensure_link(const UniqueFd& dir, const std::string& name, const std::string& target) {
    const auto found = read_link(dir, name);
    if (found && *found == target)
        return LinkChange::None;
    if (!found && found.error().code == Errc::NotFound) {
        if (::symlinkat(target.c_str(), dir.get(), name.c_str()) == 0)
            return LinkChange::Made;
        return fail_errno(errno, "symlinkat", name);
    }
    if (!found && found.error().code != Errc::Conflict)
        return std::unexpected(found.error());
    if (!found) {
        struct stat standing{};
        if (::fstatat(dir.get(), name.c_str(), &standing, AT_SYMLINK_NOFOLLOW) < 0)
            return fail_errno(errno, "fstatat", name);
        if (S_ISDIR(standing.st_mode))
            return in_the_way(name);
    }
    TRY(replace(dir, name, target));
    return LinkChange::Replaced;
}

Result<> remove_link(const UniqueFd& dir, const std::string& name) {
    const auto found = read_link(dir, name);
    if (!found && found.error().code == Errc::NotFound)
        return {};
    if (!found)
        return std::unexpected(found.error());
    if (::unlinkat(dir.get(), name.c_str(), 0) < 0 && errno != ENOENT)
        return fail_errno(errno, "unlinkat", name);
    return {};
}

}  // namespace tokenlet::fsatomic
