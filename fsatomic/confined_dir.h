// SPDX-License-Identifier: Apache-2.0
// Directories and files below a directory that is held open, and nowhere else.
//
// Shapes   open_beneath(dir, "a/b") never leaves dir: no symlink is followed in any component, "..", absolute paths and
//          magic links are refused. Paths may be longer than PATH_MAX.
// Units    modes are permission bits, set exactly, whatever the umask.
// Owns     the descriptors it returns (O_CLOEXEC).
// Threads  any.
// Errors   by errno, with call and path; a symlink in the way is Denied (ELOOP), a path that leads out is Denied (EXDEV).
//
// openat2() does the confining in one call. Where it is refused (a kernel before 5.6: ENOSYS; a container manager's
// seccomp filter: EPERM or ENOSYS) each component is opened by itself with O_NOFOLLOW.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace tokenlet::fsatomic {

// What is to be kept when the machine goes down. Memory: nothing, so no fsync.
enum class Durability { Memory, Disk };

// Opens a directory by an absolute path that the configuration gives and that is trusted as it stands, links included.
[[nodiscard]] Result<UniqueFd> open_root(const std::string& path);

// What is mounted below is somebody else's.
enum class Mounts { Enter, Refuse };

// Opens `path` below `dir`; "." is dir itself. `flags` as open(2) takes them, without O_CREAT; O_CLOEXEC and O_NOFOLLOW
// are always added. Refuse: EXDEV when a mount lies on the way or at the end.
[[nodiscard]] Result<UniqueFd> open_beneath(const UniqueFd& dir, std::string_view path, int flags,
                                            Mounts mounts = Mounts::Refuse);
[[nodiscard]] Result<UniqueFd> open_dir_beneath(const UniqueFd& dir, std::string_view path,
                                                Mounts mounts = Mounts::Refuse);

struct DirModes {
    mode_t above = 0711;  // readers pass, but see no names
    mode_t last = 0755;
    Durability durability = Durability::Memory;
};

struct MadeDir {
    UniqueFd dir;
    std::string repaired;  // the first that stood with another mode: "a/b: mode differs"; empty: none
};

// Opens `path` below `dir`, making what is missing and repairing modes on the way; enters no mount.
[[nodiscard]] Result<MadeDir> make_dirs_beneath(const UniqueFd& dir, std::string_view path, const DirModes& modes = {});

// Removes directories upwards from `path` as long as they are empty: "a/b/c", then "a/b", then "a". Absent ones are fine.
[[nodiscard]] Result<> remove_empty_dirs_beneath(const UniqueFd& dir, std::string_view path);

// Removes `name` in `dir` and all below it, links as links. A mount point is an error and stays, with what is in it; the
// rest goes as far as possible, and the first error is returned. Absent is fine.
[[nodiscard]] Result<> remove_tree(const UniqueFd& dir, const std::string& name);

// Whether what lies here is lost with the power: tmpfs or ramfs.
[[nodiscard]] Result<bool> is_memory(const UniqueFd& dir);

}  // namespace tokenlet::fsatomic
