// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/direct_directory.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "base/is_within.h"
#include "fsatomic/confined_dir.h"
#include "fsatomic/generation.h"
#include "fsatomic/link.h"

namespace tokenlet::agent {

namespace {

constexpr char kNewDirectory[] = "..tokenlet_new";

std::string name_of(const VolumePath& volume, const kube::ObjectKey& pod) {
    return pod.str() + "/" + volume.volume;
}

// The innermost configured directory that holds `path`, opened, and the way from there.
Result<std::pair<UniqueFd, std::string>> start_of(const std::vector<std::string>& allowed, const std::string& path) {
    const std::string* best = nullptr;
    for (const std::string& directory : allowed)
        if (is_within(path, directory) && (best == nullptr || directory.size() > best->size()))
            best = &directory;
    if (best == nullptr)
        return fail(Errc::Denied, "'" + path + "' lies in none of the directories of volumes.direct");
    UniqueFd opened = TRY(fsatomic::open_root(*best));
    return std::pair(std::move(opened), path == *best ? std::string() : path.substr(best->size() + 1));
}

// Made aside and renamed, so that a crash leaves no directory that readers cannot enter.
Result<> make_in(const UniqueFd& parent, const std::string& name) {
    if (::mkdirat(parent.get(), kNewDirectory, 0700) < 0 && errno != EEXIST)
        return fail_errno(errno, "mkdirat", name);
    const UniqueFd made = TRY(fsatomic::open_dir_beneath(parent, kNewDirectory));
    if (::fchmod(made.get(), 0755) < 0)
        return fail_errno(errno, "fchmod", name);
    if (::renameat2(parent.get(), kNewDirectory, parent.get(), name.c_str(), RENAME_NOREPLACE) < 0) {
        const int os_errno = errno;
        (void)::unlinkat(parent.get(), kNewDirectory, AT_REMOVEDIR);
        if (os_errno != EEXIST)  // else somebody was faster
            return fail_errno(os_errno, "renameat2", name);
    }
    if (!TRY(fsatomic::is_memory(parent)) && ::fsync(parent.get()) < 0)
        return fail_errno(errno, "fsync", name);
    return {};
}

std::unexpected<Error> taken_by(std::string_view mark) {
    const std::size_t at = mark.rfind('@');
    const std::string_view name = mark.substr(0, at);
    const std::size_t slash = name.rfind('/');
    if (at == mark.npos || slash == name.npos)
        return fail(Errc::Conflict,
                    std::string(kOwnerLink) + " is not a mark of tokenlet's; remove it, or name another path");
    return fail(Errc::Conflict, "volume " + std::string(name.substr(slash + 1)) + " of Pod " +
                                    std::string(name.substr(0, slash)) +
                                    " is published there; name another path, or empty it if that Pod is no more");
}

// Where one volume is published, another would swing its ..data.
Result<> check_unused(const UniqueFd& directory) {
    struct stat found{};
    if (::fstatat(directory.get(), fsatomic::kDataLink, &found, AT_SYMLINK_NOFOLLOW) == 0)
        return fail(Errc::Conflict,
                    "..data stands there already and was not published by tokenlet; empty it, or name "
                    "another path");
    if (errno != ENOENT)
        return fail_errno(errno, "fstatat", fsatomic::kDataLink);
    return {};
}

}  // namespace

Result<UniqueFd> open_direct(const std::vector<std::string>& allowed, const std::string& path) {
    auto [start, rest] = TRY(start_of(allowed, path));
    if (rest.empty())
        return std::move(start);
    return TRY(fsatomic::open_dir_beneath(start, rest, fsatomic::Mounts::Enter), path);
}

Result<UniqueFd> make_direct(const std::vector<std::string>& allowed, const std::string& path) {
    auto [current, rest] = TRY(start_of(allowed, path));
    while (!rest.empty()) {
        const std::string name = rest.substr(0, rest.find('/'));
        rest.erase(0, std::min(name.size() + 1, rest.size()));
        auto opened = fsatomic::open_dir_beneath(current, name, fsatomic::Mounts::Enter);
        if (!opened && opened.error().code == Errc::NotFound) {
            TRY(make_in(current, name), path);
            opened = fsatomic::open_dir_beneath(current, name, fsatomic::Mounts::Enter);
        }
        current = TRY(std::move(opened), path);
    }
    return std::move(current);
}

Result<> check_claim(const UniqueFd& directory, const VolumePath& volume, const kube::ObjectKey& pod, Claim claim) {
    const auto found = fsatomic::read_link(directory, kOwnerLink);
    if (found && found->starts_with(name_of(volume, pod) + "@"))
        return {};
    if (found)
        return taken_by(*found);
    if (found.error().code == Errc::Conflict)
        return taken_by("");
    if (found.error().code != Errc::NotFound)
        return std::unexpected(found.error());
    return claim == Claim::First ? check_unused(directory) : Result<>();
}

Result<> mark(const UniqueFd& directory, const VolumePath& volume, const kube::ObjectKey& pod) {
    (void)TRY(fsatomic::ensure_link(directory, kOwnerLink, name_of(volume, pod) + "@" + volume.pod_uid));
    return {};
}

Result<bool> is_claimed(const UniqueFd& directory, const VolumePath& volume) {
    const auto found = fsatomic::read_link(directory, kOwnerLink);
    if (found)
        return found->ends_with("/" + volume.volume + "@" + volume.pod_uid);
    if (found.error().code == Errc::NotFound || found.error().code == Errc::Conflict)
        return false;
    return std::unexpected(found.error());
}

Result<> clear_direct(const UniqueFd& directory, const VolumePath& volume) {
    if (!TRY(is_claimed(directory, volume)))
        return {};
    TRY(fsatomic::clear_volume(directory));
    return fsatomic::remove_link(directory, kOwnerLink);
}

}  // namespace tokenlet::agent
