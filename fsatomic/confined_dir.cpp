// SPDX-License-Identifier: Apache-2.0
#include "fsatomic/confined_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <optional>
#include <vector>

#include "fsatomic/list_dir.h"

namespace tokenlet::fsatomic {
namespace {

constexpr int kDirFlags = O_RDONLY | O_DIRECTORY;

std::unexpected<Error> open_failure(int os_errno, std::string_view path) {
    auto error = fail_errno(os_errno, "open", path);
    if (os_errno == ELOOP || os_errno == EXDEV) {
        error.error().code = Errc::Denied;
        error.error().what += os_errno == ELOOP ? ": a symbolic link stands in the way"
                                                : ": it leads out of its directory or onto another mount";
    }
    return error;
}

int openat2(int dir, const char* path, int flags, Mounts mounts) {
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    if (mounts == Mounts::Refuse)
        how.resolve |= RESOLVE_NO_XDEV;
    return static_cast<int>(::syscall(SYS_openat2, dir, path, &how, sizeof how));
}

// Which mount a directory or file lies on; the device where the kernel (before 5.8) does not count mounts.
std::optional<std::uint64_t> mount_of(int fd) {
    struct statx found{};
    if (::statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_INO | STATX_MNT_ID, &found) < 0)
        return std::nullopt;
    if (found.stx_mask & STATX_MNT_ID)
        return found.stx_mnt_id;
    return (std::uint64_t{found.stx_dev_major} << 32) | found.stx_dev_minor;
}

// The fallback: nothing is followed because every component is opened by itself.
Result<UniqueFd> open_by_component(const UniqueFd& dir, std::string_view path, int flags, Mounts mounts) {
    UniqueFd current;
    int at = dir.get();
    const auto mount = mounts == Mounts::Refuse ? mount_of(at) : std::nullopt;
    if (path.starts_with('/'))
        return open_failure(EXDEV, path);
    for (std::size_t start = 0; start < path.size();) {
        const std::size_t end = std::min(path.find('/', start), path.size());
        const std::string element(path.substr(start, end - start));
        const bool last = path.find_first_not_of('/', end) == std::string_view::npos;
        start = end + 1;
        if (element == "..")
            return open_failure(EXDEV, path);
        if (element.empty() || (element == "." && !last))
            continue;
        UniqueFd next(::openat(at, element.c_str(), last ? flags : O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!next) {
            // O_DIRECTORY answers ENOTDIR for a link where openat2() answers ELOOP.
            int os_errno = errno;
            struct stat found{};
            if (os_errno == ENOTDIR && ::fstatat(at, element.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0 &&
                S_ISLNK(found.st_mode))
                os_errno = ELOOP;
            return open_failure(os_errno, path);
        }
        if (mounts == Mounts::Refuse && (!mount || mount_of(next.get()) != mount))
            return open_failure(EXDEV, path);
        current = std::move(next);
        at = current.get();
        if (last)
            return current;
    }
    return fail(Errc::Invalid, "open: an empty path");
}

// The directory at `path` if all of the way to it stands as it should: the usual case, in half the calls. Else nothing.
UniqueFd open_standing(const UniqueFd& dir, const std::string& path, const DirModes& modes) {
    UniqueFd opened(openat2(dir.get(), path.c_str(), kDirFlags | O_NOFOLLOW | O_CLOEXEC, Mounts::Refuse));
    struct stat found{};
    if (!opened || ::fstat(opened.get(), &found) < 0 || (found.st_mode & 07777) != modes.last)
        return {};
    for (std::size_t end = path.find('/'); end != std::string::npos; end = path.find('/', end + 1))
        if (::fstatat(dir.get(), path.substr(0, end).c_str(), &found, AT_SYMLINK_NOFOLLOW) < 0 ||
            (found.st_mode & 07777) != modes.above)
            return {};
    return opened;
}

std::pair<std::string, std::string> split_last(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? std::pair(std::string("."), path)
                                      : std::pair(path.substr(0, slash), path.substr(slash + 1));
}

// Unlinks one entry. An owner without rights may have shut its own directory (mode 0550): it is opened up for itself.
int unlink_in(const UniqueFd& dir, const std::string& name, int flags) {
    if (::unlinkat(dir.get(), name.c_str(), flags) == 0 || errno == ENOENT)
        return 0;
    if (errno == EACCES && ::fchmod(dir.get(), 0700) == 0 && ::unlinkat(dir.get(), name.c_str(), flags) == 0)
        return 0;
    return errno;
}

Result<UniqueFd> open_for_removal(const UniqueFd& top, const std::string& path) {
    auto opened = open_dir_beneath(top, path);
    if (opened || opened.error().os_errno != EACCES)
        return opened;
    const auto [parent_path, name] = split_last(path);
    const UniqueFd parent = TRY(open_dir_beneath(top, parent_path));
    // By descriptor: what stands at the name may be another thing by now.
    const UniqueFd shut = TRY(open_beneath(parent, name, O_PATH | O_DIRECTORY));
    if (::chmod(("/proc/self/fd/" + std::to_string(shut.get())).c_str(), 0700) < 0)
        return opened;
    return open_dir_beneath(top, path);
}

class FirstError {
public:
    void note(std::unexpected<Error> failure) {
        if (result_)
            result_ = std::move(failure);
    }
    [[nodiscard]] Result<> take() { return std::move(result_); }

private:
    Result<> result_;
};

// Unlinks what is in the directory `path`, and lists the directories among it.
void empty_directory(const UniqueFd& directory, const std::string& path, std::vector<std::string>& below,
                     FirstError& first) {
    const auto entries = list_dir(directory, path);
    if (!entries)
        return first.note(std::unexpected(entries.error()));
    for (const DirEntry& entry : *entries) {
        const std::string child = path + "/" + entry.name;
        const int failure = entry.type == DT_DIR ? EISDIR : unlink_in(directory, entry.name, 0);
        if (failure == EISDIR)
            below.push_back(child);
        else if (failure != 0)
            first.note(fail_errno(failure, "unlinkat", child));
    }
}

// Paths instead of open descriptors on the way down: a tree may be deeper than there are descriptors.
Result<> remove_directory(const UniqueFd& dir, const std::string& name, const UniqueFd& opened) {
    FirstError first;
    std::vector<std::string> below, pending;
    empty_directory(opened, name, pending, first);
    while (!pending.empty()) {
        below.push_back(std::move(pending.back()));
        pending.pop_back();
        const std::string path = below.back();
        if (const auto next = open_for_removal(dir, path))
            empty_directory(*next, path, pending, first);
        else
            first.note(std::unexpected(next.error()));
    }
    // Every directory was found before those in it.
    for (auto path = below.rbegin(); path != below.rend(); ++path) {
        const auto [parent_path, last] = split_last(*path);
        const auto parent = open_dir_beneath(dir, parent_path);
        if (!parent)
            first.note(std::unexpected(parent.error()));
        else if (const int failure = unlink_in(*parent, last, AT_REMOVEDIR); failure != 0)
            first.note(fail_errno(failure, "unlinkat", *path));
    }
    if (const int failure = unlink_in(dir, name, AT_REMOVEDIR); failure != 0)
        first.note(fail_errno(failure, "unlinkat", name));
    return first.take();
}

}  // namespace

Result<UniqueFd> open_root(const std::string& path) {
    UniqueFd root(::open(path.c_str(), kDirFlags | O_CLOEXEC));
    if (!root)
        return fail_errno(errno, "open", path);
    return root;
}

Result<UniqueFd> open_beneath(const UniqueFd& dir, std::string_view path, int flags, Mounts mounts) {
    flags |= O_CLOEXEC | O_NOFOLLOW;
    if (path.size() < PATH_MAX) {
        const std::string terminated(path);
        UniqueFd opened(openat2(dir.get(), terminated.c_str(), flags, mounts));
        if (opened)
            return opened;
        // EAGAIN: somebody renamed something meanwhile and the kernel cannot vouch for the path. ENOTDIR: with
        // O_DIRECTORY this may be a link at the end, which the other way tells from a file.
        if (errno != ENOSYS && errno != EPERM && errno != EAGAIN && errno != ENOTDIR)
            return open_failure(errno, path);
    }
    return open_by_component(dir, path, flags, mounts);
}

Result<UniqueFd> open_dir_beneath(const UniqueFd& dir, std::string_view path, Mounts mounts) {
    return open_beneath(dir, path, kDirFlags, mounts);
}

Result<MadeDir> make_dirs_beneath(const UniqueFd& dir, std::string_view path, const DirModes& modes) {
    for (std::string_view rest = path;;) {
        const std::string_view element = rest.substr(0, rest.find('/'));
        if (element.empty() || element == "." || element == ".." || element.find('\0') != std::string_view::npos)
            return fail(Errc::Invalid,
                        "make directory '" + std::string(path) + "': '" + std::string(element) + "' is no name");
        if (element.size() == rest.size())
            break;
        rest.remove_prefix(element.size() + 1);
    }
    if (UniqueFd standing = open_standing(dir, std::string(path), modes))
        return MadeDir{.dir = std::move(standing), .repaired = {}};

    UniqueFd current;
    std::string repaired;
    bool made = false;  // current, just now: there is nothing in it
    for (std::size_t start = 0; start <= path.size();) {
        const std::size_t end = std::min(path.find('/', start), path.size());
        const std::string element(path.substr(start, end - start));
        const mode_t mode = end == path.size() ? modes.last : modes.above;
        start = end + 1;

        const UniqueFd& parent = current ? current : dir;
        const auto make = [&] { return ::mkdirat(parent.get(), element.c_str(), 0700) == 0; };
        made = made && make();
        auto opened = open_dir_beneath(parent, element);
        if (!opened && opened.error().os_errno == ENOENT) {
            made = make();
            if (!made && errno != EEXIST)
                return fail_errno(errno, "mkdirat", path.substr(0, end));
            opened = open_dir_beneath(parent, element);
        }
        if (!opened)
            return std::unexpected(std::move(opened.error()).with(path.substr(0, end)));
        struct stat found{};
        if (::fstat(opened->get(), &found) < 0)
            return fail_errno(errno, "fstat", path.substr(0, end));
        const bool differs = (found.st_mode & 07777) != mode;
        if (differs && ::fchmod(opened->get(), mode) < 0)
            return fail_errno(errno, "fchmod", path.substr(0, end));
        if (differs && !made && repaired.empty())
            repaired.append(path.substr(0, end)).append(": mode differs");
        if (made && modes.durability == Durability::Disk) {
            if (::fsync(opened->get()) < 0 || ::fsync(parent.get()) < 0)
                return fail_errno(errno, "fsync", path.substr(0, end));
        }
        current = std::move(*opened);
    }
    return MadeDir{.dir = std::move(current), .repaired = std::move(repaired)};
}

Result<> remove_empty_dirs_beneath(const UniqueFd& dir, std::string_view path) {
    for (std::string rest(path); !rest.empty();) {
        const auto [parent_path, name] = split_last(rest);
        const auto parent = open_dir_beneath(dir, parent_path);
        if (!parent && parent.error().os_errno != ENOENT)
            return std::unexpected(parent.error());
        if (parent && ::unlinkat(parent->get(), name.c_str(), AT_REMOVEDIR) < 0 && errno != ENOENT) {
            if (errno == ENOTEMPTY || errno == EEXIST)
                return {};
            return fail_errno(errno, "unlinkat", rest);
        }
        rest = parent_path == "." ? std::string() : parent_path;
    }
    return {};
}

Result<> remove_tree(const UniqueFd& dir, const std::string& name) {
    auto opened = open_for_removal(dir, name);
    if (opened)
        return remove_directory(dir, name, *opened);
    const int os_errno = opened.error().os_errno;
    if (os_errno == ENOENT)
        return {};
    if (os_errno != ENOTDIR && os_errno != ELOOP)
        return std::unexpected(std::move(opened.error()));
    if (const int failure = unlink_in(dir, name, 0); failure != 0)
        return fail_errno(failure, "unlinkat", name);
    return {};
}

Result<bool> is_memory(const UniqueFd& dir) {
    struct statfs found{};
    if (::fstatfs(dir.get(), &found) < 0)
        return fail_errno(errno, "fstatfs", ".");
    const auto kind = static_cast<unsigned long>(found.f_type);
    return kind == TMPFS_MAGIC || kind == RAMFS_MAGIC;
}

}  // namespace tokenlet::fsatomic
