// SPDX-License-Identifier: Apache-2.0
// Mounts of a single file of a volume, or of one generation: they keep what they were made with, whatever is published later.
//
// Shapes   FileMounts::open() learns where volumes lie; find() reads the mount table of every namespace that /proc shows, this
//          process's first. parse_mount() and file_mount_in() are pure.
// Units    devices as "major:minor".
// Owns     names only.     Threads  find(): any, one at a time. It reads a file for each process of the host.
// Errors   none: what cannot be read is not seen. With ProtectProc=invisible, or hidepid, that is every process of others.
// Source   proc(5), mountinfo; the kernel writes "//deleted" behind the root of a mount whose file is gone.
#pragma once

#include <compare>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config.h"
#include "base/result.h"

namespace tokenlet::agent {

struct Mount {
    unsigned id = 0;
    std::string device;
    std::string root;   // what of the file system is mounted, as it sees itself
    std::string point;  // where, as the process sees it
};

// A directory that volumes lie in.
struct VolumesPlace {
    std::string device;
    std::string root;    // as in Mount
    std::string prefix;  // of VolumePath::str(): "" below volumes.root, "/shared/" below a directory of volumes.direct
};

struct FileMount {
    std::string volume;  // VolumePath::str()
    std::string file;    // in the volume; empty: a whole generation
    std::string point;
    auto operator<=>(const FileMount&) const = default;
};

// That are told of: whoever has a user namespace can make any number.
inline constexpr std::size_t kMostFileMounts = 100;

[[nodiscard]] std::optional<Mount> parse_mount(std::string_view line);
[[nodiscard]] std::optional<FileMount> file_mount_in(const VolumesPlace& place, const Mount& mount);

class FileMounts {
public:
    [[nodiscard]] static FileMounts open(const Volumes& settings);

    [[nodiscard]] std::vector<FileMount> find() const;  // sorted, without duplicates

private:
    std::vector<VolumesPlace> places_;
};

}  // namespace tokenlet::agent
