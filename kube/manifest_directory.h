// SPDX-License-Identifier: Apache-2.0
// The manifest directory: when to look at it, and what has changed since the last look.
//
//     ManifestDirectory directory = TRY(ManifestDirectory::open("/etc/tokenlet/manifests", {.agent_uid = ::geteuid()}));
//     // Whenever directory.fd() is readable (it is at once):
//     if (directory.drain())
//         changes = set.apply(directory.list(Look::Touched));
//     // Every 10 min, or 20 s unless inotify_trusted():
//     changes = set.apply(directory.list(Look::Everything));
//
// Shapes   open() works before the path exists. fd() is for polling (readable); drain() empties it and says whether a
//          listing is due; list() may be called at any time and reports what changed since the last list().
//          The path may also be one regular file, which is then the only one.
// Owns     a DirectoryWatch. Between calls nothing in the directory is held open, so that it
//          can be unmounted.
// Threads  one at a time.
// Errors   open(): only when the kernel refuses descriptors; without inotify it works by resync alone. list(): NotFound,
//          Denied, Invalid (strict modes, more than max_files), Io when the directory as a whole cannot be listed:
//          nothing is known to have gone then. Errors of single files stand in their FileUpdate.
// Source   kubernetes pkg/kubelet/config/file.go, file_linux.go.
//
// A listing is due when a writer has closed a file or renamed it in or out, a file was removed, linked or had its mode
// changed, `..data` was swapped (the directory may be a ConfigMap mount), or the directory, one of its parents or a link
// on the way was replaced, created, removed, mounted over, unmounted, or had its mode changed. A file that is being
// written (no writer has closed it yet) is passed over until it is closed; one that is kept open, or has become empty, is
// read writer_patience after its last write.
//
// Read are the regular files right in the directory, links followed, of at most max_file_bytes. Passed over in silence
// are names that start with a dot, and what editors and package managers leave behind (kube/manifest_name.h). Other things
// (directories, FIFOs, dangling links) are errors on themselves. Unchanged files (device, inode, size, mtime, ctime) are
// not opened again, and those rewritten with the same bytes are not decoded again.
//
// Strict modes, as sshd has them: the directory, each file, each link, and every directory on the way to them belong to
// root or the agent's user, and nobody else may write to them. A sticky directory is fine as a parent, and so is
// anything on a mount that is read-only.
//
// Differs  the kubelet reads half-written files, takes every directory error for an empty directory, does not see
//          `..data` swaps nor a directory that was replaced, and reads `web.yaml~`.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/boxed.h"
#include "base/result.h"
#include "base/time.h"
#include "kube/directory_watch.h"
#include "kube/manifest_listing.h"

namespace tokenlet::kube {

enum class Modes { Strict, Any };

struct ManifestDirectoryOptions {
    Modes modes = Modes::Strict;
    uid_t agent_uid = 0;
    std::size_t max_file_bytes = std::size_t{10} << 20;
    std::size_t max_files = 100'000;
    Duration writer_patience = std::chrono::seconds(10);
};

// Touched: the files that events have named, where that is known to be all; everything otherwise. One change among ten
// thousand files then costs as much as among ten.
enum class Look { Everything, Touched };

class ManifestDirectory {
public:
    [[nodiscard]] static Result<ManifestDirectory> open(const std::string& path, ManifestDirectoryOptions options);

    [[nodiscard]] int fd() const noexcept { return watch_.fd(); }
    [[nodiscard]] bool drain() { return watch_.drain(); }
    [[nodiscard]] Result<Listing> list(Look look = Look::Everything);

    // Whether fd() tells of every change: not on network and FUSE file systems, not where a file is a link (but for those
    // through `..data`) or has other hard links, not when the kernel gave no watch, and not of the end of what it refused
    // at the last look (an input/output error, a right that was missing). As of the last list().
    [[nodiscard]] bool inotify_trusted() const noexcept { return trusted_; }

private:
    // What tells one version of a file from another.
    struct Stamp {
        dev_t device = 0;
        ino_t inode = 0;
        off_t size = 0;
        std::int64_t mtime_ns = 0;
        std::int64_t ctime_ns = 0;
        bool operator==(const Stamp&) const = default;
    };
    struct Known {
        std::optional<Stamp> stamp;            // unset: looked at again at each listing
        std::optional<std::uint64_t> content;  // a hash of the bytes that were decoded last
        Boxed<std::string> error;              // why the file cannot be used, as last reported
        bool was_filled = false;               // has held something once
    };
    class Round;

    ManifestDirectory(DirectoryWatch watch, std::string path, ManifestDirectoryOptions options)
        : watch_(std::move(watch)), path_(std::move(path)), options_(options) {}

    using Names = std::vector<std::string>;

    [[nodiscard]] Result<Listing> list(PathTrail& trail, std::optional<Names> names);
    void forget(const std::string& name);

    DirectoryWatch watch_;
    std::string path_;
    ManifestDirectoryOptions options_;
    bool trusted_ = false;
    bool listed_ = false;   // a complete listing was made
    bool settled_ = false;  // and so was the last one
    std::map<std::string, Known> known_;
    std::set<std::string> unseen_;  // those of the known that can change without an event that names them
};

}  // namespace tokenlet::kube
