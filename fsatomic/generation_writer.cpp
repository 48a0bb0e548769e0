// SPDX-License-Identifier: Apache-2.0
#include "fsatomic/generation_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ranges>

#include "base/file_bytes.h"
#include "fsatomic/acl.h"

namespace tokenlet::fsatomic {
namespace {

constexpr mode_t kShutFile = 0600;
constexpr mode_t kShutDirectory = 0700;

class Writer {
public:
    Writer(const Layout& layout, const Access& directories, Durability durability)
        : layout_(layout), access_(directories), durability_(durability) {}

    Result<Made> fill(const UniqueFd& generation) {
        TRY(drop_inherited_acl(generation, "generation"));
        TRY(learn_owner(generation));
        for (const auto& [path, contents] : layout_.directories) {
            if (path.empty()) {
                TRY(fill_directory(generation, path, contents));
            } else {
                const UniqueFd directory = TRY(open_dir_beneath(generation, path));
                TRY(fill_directory(directory, path, contents));
            }
        }
        // 6. Children before their parents: the generation's own directory is the last.
        for (const auto& [path, contents] : layout_.directories | std::views::reverse) {
            if (path.empty()) {
                TRY(open_up(generation, path));
            } else {
                const UniqueFd directory = TRY(open_dir_beneath(generation, path));
                TRY(open_up(directory, path));
            }
        }
        return made_;
    }

private:
    // What is made in a fresh directory has the directory's owner and group, so that one look spares a chown per file.
    Result<> learn_owner(const UniqueFd& generation) {
        struct stat found{};
        if (::fstat(generation.get(), &found) < 0)
            return fail_errno(errno, "fstat", "generation");
        made_ = {found.st_uid, found.st_gid};
        return {};
    }

    Result<> fill_directory(const UniqueFd& directory, const std::string& path, const Layout::Contents& contents) {
        for (const std::string& name : contents.directories)
            if (::mkdirat(directory.get(), name.c_str(), kShutDirectory) < 0)
                return fail_errno(errno, "mkdirat", join(path, name));
        for (const auto& [name, file] : contents.files)
            TRY(write_file(directory, name, *file, join(path, name)));
        return {};
    }

    Result<> write_file(const UniqueFd& directory, const std::string& name, const File& file, const std::string& path) {
        // 5.
        const UniqueFd opened(
            ::openat(directory.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kShutFile));
        if (!opened)
            return fail_errno(errno, "openat", path);
        TRY(write_all(opened.get(), file.bytes.view(), path));
        TRY(set_access(opened, file.access, Node::File, made_, path));
        return make_durable(opened, path);  // 7.
    }

    Result<> open_up(const UniqueFd& directory, const std::string& path) {
        const std::string name = path.empty() ? "generation" : path;
        TRY(set_access(directory, access_, Node::Directory, made_, name));
        return make_durable(directory, name);  // 7.
    }

    Result<> make_durable(const UniqueFd& fd, const std::string& path) const {
        if (durability_ == Durability::Disk && ::fsync(fd.get()) < 0)
            return fail_errno(errno, "fsync", path);
        return {};
    }

    const Layout& layout_;
    const Access& access_;
    const Durability durability_;
    Made made_;
};

}  // namespace

Result<Made> write_generation(const UniqueFd& volume, const std::string& name, const Layout& layout,
                              const Access& directories, Durability durability) {
    // 4.
    if (::mkdirat(volume.get(), name.c_str(), kShutDirectory) < 0) {
        if (errno == EEXIST)
            return fail(Errc::Conflict, name + ": is taken");
        return fail_errno(errno, "mkdirat", name);
    }
    auto done = [&]() -> Result<Made> {
        const UniqueFd generation = TRY(open_dir_beneath(volume, name));
        return Writer(layout, directories, durability).fill(generation);
    }();
    if (!done)
        (void)remove_tree(volume, name);  // as far as possible; what stays goes with the next sweep
    return done;
}

}  // namespace tokenlet::fsatomic
