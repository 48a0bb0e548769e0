// SPDX-License-Identifier: Apache-2.0
#include "fsatomic/generation.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

#include "base/file_bytes.h"
#include "fsatomic/comparison.h"
#include "fsatomic/confined_dir.h"
#include "fsatomic/link.h"
#include "fsatomic/list_dir.h"
#include "fsatomic/path.h"
#include "fsatomic/publish.h"

namespace tokenlet::fsatomic {
namespace {

// A digit stands for any digit.
constexpr std::string_view kTimePattern = "..0000_00_00_00_00_00.";
constexpr std::size_t kMaxDigits = 20;  // of a 64-bit number

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

Result<std::vector<DirEntry>> entries_of(const UniqueFd& volume) {
    const UniqueFd fresh = TRY(open_dir_beneath(volume, "."));
    return list_dir(fresh, "volume");
}

void note_first(Result<>& first, Result<> next) {
    if (first && !next)
        first = std::move(next);
}

Result<UniqueFd> open_quietly(const UniqueFd& volume, const std::string& path) {
    constexpr int kFlags = O_RDONLY | O_NONBLOCK | O_NOCTTY;
    auto opened = open_beneath(volume, path, kFlags | O_NOATIME);
    // O_NOATIME is for the owner alone.
    if (!opened && opened.error().os_errno == EPERM)
        opened = open_beneath(volume, path, kFlags);
    return opened;
}

}  // namespace

std::string generation_name(WallTime time, std::uint64_t digits) {
    using namespace std::chrono;
    const auto second = floor<seconds>(time);
    const auto day = floor<days>(second);
    const year_month_day date(day);
    const hh_mm_ss clock(second - day);
    std::array<char, 64> name;
    std::snprintf(name.data(), name.size(), "..%04d_%02u_%02u_%02d_%02d_%02d.%llu", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                  static_cast<int>(clock.seconds().count()), static_cast<unsigned long long>(digits));
    return name.data();
}

bool is_generation_name(std::string_view name) {
    if (name.size() <= kTimePattern.size() || name.size() > kTimePattern.size() + kMaxDigits)
        return false;
    for (std::size_t i = 0; i < kTimePattern.size(); ++i)
        if (is_digit(kTimePattern[i]) ? !is_digit(name[i]) : name[i] != kTimePattern[i])
            return false;
    return std::all_of(name.begin() + kTimePattern.size(), name.end(), is_digit);
}

Result<std::string> current_generation(const UniqueFd& volume) {
    std::string target = TRY(read_link(volume, kDataLink));
    if (!is_generation_name(target))
        return fail(Errc::Conflict, std::string(kDataLink) + ": does not name a generation");
    return target;
}

Result<Secret> read_current(const UniqueFd& volume, std::string_view path, std::size_t max_bytes) {
    const std::string clean = TRY(clean_path(path));
    const std::string generation = TRY(current_generation(volume));
    const UniqueFd file = TRY(open_quietly(volume, generation + "/" + clean));
    struct stat found{};
    if (::fstat(file.get(), &found) < 0)
        return fail_errno(errno, "fstat", clean);
    if (!S_ISREG(found.st_mode))
        return fail(Errc::Invalid, clean + ": is not a regular file");
    return read_all(file.get(), max_bytes, clean);
}

Result<> retire(const UniqueFd& volume, const std::string& generation, Witness* witness) {
    if (!is_generation_name(generation))
        return fail(Errc::Invalid, generation + ": is no generation's name");
    struct stat before{};
    if (::fstat(volume.get(), &before) < 0)
        return fail_errno(errno, "fstat", "volume");
    const bool holds = witness != nullptr && stamp_of(before) == witness->volume;
    std::string current;
    if (holds) {
        current = witness->generation;
    } else if (auto found = current_generation(volume)) {
        current = std::move(*found);
    } else if (found.error().code != Errc::NotFound && found.error().code != Errc::Conflict) {
        return std::unexpected(std::move(found.error()));
    }
    if (generation == current)
        return fail(Errc::Conflict, generation + ": is the current generation");
    TRY(remove_tree(volume, generation));
    if (struct stat after{}; holds && ::fstat(volume.get(), &after) == 0) {
        witness->volume = stamp_of(after);
        witness->settled = false;
    }
    return {};
}

Result<std::vector<std::string>> sweep(const UniqueFd& volume, std::span<const std::string> keep) {
    std::string current;
    if (auto found = current_generation(volume))
        current = std::move(*found);
    else if (found.error().code != Errc::NotFound)
        return std::unexpected(std::move(found.error()));
    const std::vector<DirEntry> entries = TRY(entries_of(volume));
    std::vector<std::string> removed;
    Result<> first;
    for (const DirEntry& entry : entries) {
        const std::string& name = entry.name;
        const bool is_old = is_generation_name(name) && name != current && std::ranges::find(keep, name) == keep.end();
        if (!is_old && name != kNewDataLink && name != kLinkTemp)
            continue;
        auto done = remove_tree(volume, name);
        if (done)
            removed.push_back(name);
        note_first(first, std::move(done));
    }
    if (!first)
        return std::unexpected(std::move(first.error()));
    return removed;
}

Result<> clear_volume(const UniqueFd& volume) {
    const std::vector<DirEntry> entries = TRY(entries_of(volume));
    Result<> first;
    for (const DirEntry& entry : entries) {
        if (entry.name.starts_with("..") || (entry.type != DT_LNK && entry.type != DT_UNKNOWN))
            continue;
        const auto target = read_link(volume, entry.name);
        if (target && *target == std::string(kDataLink) + "/" + entry.name)
            note_first(first, remove_tree(volume, entry.name));
        else if (!target && target.error().code != Errc::NotFound && target.error().code != Errc::Conflict)
            note_first(first, std::unexpected(target.error()));  // it may be ours
    }
    for (const char* name : {kDataLink, kNewDataLink, kLinkTemp})
        note_first(first, remove_tree(volume, name));
    for (const DirEntry& entry : entries)
        if (is_generation_name(entry.name))
            note_first(first, remove_tree(volume, entry.name));
    return first;
}

Result<> remove_volume(const UniqueFd& parent, const std::string& name) {
    auto volume = open_dir_beneath(parent, name);
    if (!volume && volume.error().code == Errc::NotFound)
        return {};
    if (!volume && volume.error().os_errno == EXDEV)
        return std::unexpected(std::move(volume.error()));
    Result<> first;
    if (volume)
        note_first(first, clear_volume(*volume));
    // Where a link or a file stands at the name instead, it goes as such.
    note_first(first, remove_tree(parent, name));
    return first;
}

}  // namespace tokenlet::fsatomic
