// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/file_mounts.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <memory>
#include <set>

#include "base/file_bytes.h"
#include "base/is_within.h"
#include "base/unique_fd.h"
#include "fsatomic/generation.h"

namespace tokenlet::agent {

namespace {

constexpr std::size_t kMostBytes = std::size_t{64} << 20;  // 100 000 mounts take 20 MB
constexpr std::string_view kDeleted = "//deleted";

std::string_view next_field(std::string_view& line) {
    const std::string_view field = line.substr(0, line.find(' '));
    line.remove_prefix(std::min(field.size() + 1, line.size()));
    return field;
}

// Blanks, tabs, line feeds and backslashes are "\ooo" there.
std::string unescaped(std::string_view text) {
    std::string plain;
    while (!text.empty()) {
        unsigned char byte = 0;
        const std::string_view digits = text.substr(1, 3);
        if (text.front() == '\\' && digits.size() == 3 &&
            std::from_chars(digits.data(), digits.data() + 3, byte, 8).ptr == digits.data() + 3) {
            plain += static_cast<char>(byte);
            text.remove_prefix(4);
            continue;
        }
        plain += text.front();
        text.remove_prefix(1);
    }
    return plain;
}

std::optional<unsigned> leading_id(std::string_view text) {
    unsigned id = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), id).ec != std::errc())
        return {};
    return id;
}

std::vector<Mount> mounts_of(std::string_view table) {
    std::vector<Mount> mounts;
    while (!table.empty()) {
        const std::string_view line = table.substr(0, table.find('\n'));
        table.remove_prefix(std::min(line.size() + 1, table.size()));
        if (std::optional<Mount> mount = parse_mount(line))
            mounts.push_back(std::move(*mount));
    }
    return mounts;
}

std::vector<Mount> read_mounts(const std::string& process, std::set<unsigned>& seen) {
    const UniqueFd file(::open(("/proc/" + process + "/mountinfo").c_str(), O_RDONLY | O_CLOEXEC));
    if (!file)
        return {};
    // The first mount's id is no other namespace's: so much tells whether the rest is known already.
    char start[16];
    const ssize_t size = ::pread(file.get(), start, sizeof start, 0);
    const auto first = leading_id({start, static_cast<std::size_t>(std::max<ssize_t>(size, 0))});
    if (!first || !seen.insert(*first).second)
        return {};
    const Result<Secret> table = read_all(file.get(), kMostBytes, "mountinfo");
    return table ? mounts_of(table->view()) : std::vector<Mount>();
}

std::optional<VolumesPlace> place_of(const std::string& directory, std::string prefix) {
    const std::unique_ptr<char, decltype(&::free)> real(::realpath(directory.c_str(), nullptr), &::free);
    struct statx found{};
    if (!real || ::statx(AT_FDCWD, real.get(), 0, STATX_MNT_ID, &found) < 0 || (found.stx_mask & STATX_MNT_ID) == 0)
        return {};
    std::set<unsigned> seen;
    for (const Mount& mount : read_mounts("self", seen)) {
        if (mount.id != found.stx_mnt_id || !is_within(real.get(), mount.point))
            continue;
        const std::string below = mount.point == "/" ? real.get() : std::string(real.get()).substr(mount.point.size());
        std::string root = (mount.root == "/" ? "" : mount.root) + below;
        return VolumesPlace{.device = mount.device, .root = root.empty() ? "/" : root, .prefix = std::move(prefix)};
    }
    return {};
}

}  // namespace

std::optional<Mount> parse_mount(std::string_view line) {
    const std::optional<unsigned> id = leading_id(next_field(line));
    next_field(line);  // the parent's id
    const std::string_view device = next_field(line);
    const std::string_view root = next_field(line);
    const std::string_view point = next_field(line);
    if (!id || device.find(':') == device.npos || !root.starts_with('/') || !point.starts_with('/'))
        return {};
    return Mount{*id, std::string(device), unescaped(root), unescaped(point)};
}

std::optional<FileMount> file_mount_in(const VolumesPlace& place, const Mount& mount) {
    if (mount.device != place.device || !is_within(mount.root, place.root))
        return {};
    std::string_view rest = mount.root;
    if (rest.ends_with(kDeleted))
        rest.remove_suffix(kDeleted.size());
    rest.remove_prefix(std::min(rest.size(), place.root == "/" ? 1 : place.root.size() + 1));
    for (std::size_t at = 0; at < rest.size();) {
        const std::size_t end = std::min(rest.find('/', at), rest.size());
        if (fsatomic::is_generation_name(rest.substr(at, end - at))) {
            std::string volume = place.prefix + std::string(rest.substr(0, at));
            if (volume.ends_with('/'))
                volume.pop_back();
            return FileMount{.volume = std::move(volume),
                             .file = std::string(rest.substr(std::min(end + 1, rest.size()))),
                             .point = mount.point};
        }
        at = end + 1;
    }
    return {};
}

FileMounts FileMounts::open(const Volumes& settings) {
    FileMounts mounts;
    if (auto place = place_of(settings.root, ""))
        mounts.places_.push_back(std::move(*place));
    for (const std::string& direct : settings.direct)
        if (auto place = place_of(direct, direct + "/"))
            mounts.places_.push_back(std::move(*place));
    return mounts;
}

std::vector<FileMount> FileMounts::find() const {
    std::set<FileMount> found;
    std::set<unsigned> seen;
    const auto look_at = [&](const std::string& process) {
        for (const Mount& mount : read_mounts(process, seen))
            for (const VolumesPlace& place : places_)
                if (auto file_mount = file_mount_in(place, mount); file_mount && found.size() < kMostFileMounts)
                    found.insert(std::move(*file_mount));
    };
    look_at("self");
    const std::unique_ptr<DIR, int (*)(DIR*)> processes(::opendir("/proc"), ::closedir);
    while (processes && found.size() < kMostFileMounts) {
        const dirent* process = ::readdir(processes.get());
        if (process == nullptr)
            break;
        if (leading_id(process->d_name))
            look_at(process->d_name);
    }
    return {found.begin(), found.end()};
}

}  // namespace tokenlet::agent
