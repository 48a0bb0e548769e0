// SPDX-License-Identifier: Apache-2.0
#include "fsatomic/comparison.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "fsatomic/confined_dir.h"
#include "fsatomic/list_dir.h"

namespace tokenlet::fsatomic {
namespace {

// Leaves the access time alone, which tells when a reader last read; the kernel allows that to the owner only.
Result<UniqueFd> open_file(const UniqueFd& directory, const std::string& name) {
    constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int fd = ::openat(directory.get(), name.c_str(), kFlags | O_NOATIME);
    if (fd < 0 && errno == EPERM)
        fd = ::openat(directory.get(), name.c_str(), kFlags);
    if (fd < 0)
        return fail_errno(errno, "openat", name);
    return UniqueFd(fd);
}

Result<bool> holds(const UniqueFd& file, std::string_view bytes, const std::string& path) {
    std::array<char, 8192> buffer;
    std::size_t used = 0;
    for (;;) {
        const ssize_t size = ::read(file.get(), buffer.data(), buffer.size());
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return fail_errno(errno, "read", path);
        const auto count = static_cast<std::size_t>(size);
        used = std::max(used, count);
        const bool same = bytes.starts_with(std::string_view(buffer.data(), count));
        bytes.remove_prefix(std::min(count, bytes.size()));
        if (count == 0 || !same) {
            wipe_memory(buffer.data(), used);
            return same && bytes.empty();
        }
    }
}

class Comparer {
public:
    Comparer(const Access& directories, const Known& known) : directories_(directories), known_(known) {}

    // Stops at the first difference in content, but goes on after one in access: the caller must know of the former.
    void compare_directory(const UniqueFd& directory, const std::string& path, const Layout::Contents& contents) {
        const std::string shown = path.empty() ? "generation" : path;
        struct stat found{};
        if (::fstat(directory.get(), &found) < 0)
            return differs(fail_errno(errno, "fstat", shown).error().what);
        result_.seen.push_back({path, stamp_of(found)});
        compare_access(directory, found, directories_, Node::Directory, shown);

        const auto entries = list_dir(directory, shown);
        if (!entries)
            return differs(entries.error().what);
        for (const DirEntry& entry : *entries)
            if (!contents.files.contains(entry.name) && !contents.directories.contains(entry.name))
                return differs(join(path, entry.name) + ": is not in the payload");
        for (const auto& [name, file] : contents.files) {
            compare_file(directory, name, *file, join(path, name));
            if (result_.content_differs)
                return;
        }
    }

    void differs(std::string what) {
        result_.difference = std::move(what);
        result_.content_differs = true;
    }

    [[nodiscard]] bool done() const { return result_.content_differs; }
    [[nodiscard]] Comparison take() { return std::move(result_); }

private:
    void compare_file(const UniqueFd& directory, const std::string& name, const File& file, const std::string& path) {
        auto opened = open_file(directory, name);
        const bool is_shut = !opened && opened.error().os_errno == EACCES && known_.is_ours;
        if (is_shut)
            opened = open_beneath(directory, name, O_PATH);
        if (!opened)
            return differs(path + ": " + errno_text(opened.error().os_errno));
        struct stat found{};
        if (::fstat(opened->get(), &found) < 0)
            return differs(path + ": " + errno_text(errno));
        if (!S_ISREG(found.st_mode))
            return differs(path + ": is not a regular file");
        result_.seen.push_back({path, stamp_of(found)});
        result_.size_bytes += static_cast<std::uint64_t>(found.st_size);
        if (static_cast<std::size_t>(found.st_size) != file.bytes.size())
            return differs(path + ": content differs");
        if (!is_shut) {
            const auto same = holds(*opened, file.bytes.view(), path);
            if (!same)
                return differs(same.error().what);
            if (!*same)
                return differs(path + ": content differs");
            compare_access(*opened, found, file.access, Node::File, path);
        } else if ((found.st_mode & 07777) != visible_mode(file.access, Node::File)) {
            note_access(path + ": mode differs");
        }
    }

    void compare_access(const UniqueFd& fd, const struct stat& found, const Access& access, Node node,
                        const std::string& path) {
        const auto difference = access_difference(fd, found, access, node, known_.made, path);
        if (!difference)
            note_access(difference.error().what);
        else if (!difference->empty())
            note_access(path + ": " + *difference);
    }

    void note_access(std::string what) {
        if (result_.difference.empty())
            result_.difference = std::move(what);
    }

    const Access& directories_;
    const Known& known_;
    Comparison result_;
};

bool has_stamp(const UniqueFd& volume, const std::string& path, const Stamp& stamp) {
    struct stat found{};
    return ::fstatat(volume.get(), path.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0 && stamp_of(found) == stamp;
}

}  // namespace

Stamp stamp_of(const struct stat& found) {
    constexpr std::int64_t kNanoseconds = 1'000'000'000;
    return {found.st_ino, found.st_ctim.tv_sec * kNanoseconds + found.st_ctim.tv_nsec};
}

Comparison compare(const UniqueFd& volume, const std::string& generation, const Layout& layout,
                   const Access& directories, const Known& known) {
    Comparer comparer(directories, known);
    const auto top = open_dir_beneath(volume, generation);
    if (!top) {
        comparer.differs(top.error().what);
        return comparer.take();
    }
    for (const auto& [path, contents] : layout.directories) {
        if (path.empty()) {
            comparer.compare_directory(*top, path, contents);
        } else if (const auto directory = open_dir_beneath(*top, path)) {
            comparer.compare_directory(*directory, path, contents);
        } else {
            comparer.differs(directory.error().what);
        }
        if (comparer.done())
            break;
    }
    return comparer.take();
}

bool look_again(const UniqueFd& volume, const Witness& witness) {
    struct stat found{};
    if (::fstat(volume.get(), &found) < 0 || stamp_of(found) != witness.volume)
        return false;
    // The links on the way cannot have changed: they stand in directories whose stamps hold.
    std::string path;
    for (const auto& [below, stamp] : witness.seen) {
        path = witness.generation;
        if (!below.empty())
            path.append("/").append(below);
        if (!has_stamp(volume, path, stamp))
            return false;
    }
    return !witness.seen.empty();
}

}  // namespace tokenlet::fsatomic
