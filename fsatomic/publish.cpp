// SPDX-License-Identifier: Apache-2.0
#include "fsatomic/publish.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "fsatomic/comparison.h"
#include "fsatomic/generation_writer.h"
#include "fsatomic/layout.h"
#include "fsatomic/link.h"
#include "fsatomic/list_dir.h"

namespace tokenlet::fsatomic {
namespace {

using namespace std::chrono_literals;

// Ten ticks of the slowest kernel (HZ=100): the clock that stamps changes lags behind by one, on a busy machine by a few
// (half a millisecond beyond the tick was seen once in 500 times).
constexpr Duration kTick = 100ms;

// Another name per try; more would mean that the caller's digits are not random at all.
constexpr int kNameTries = 100;

// That a ConfigMap or Secret may hold.
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 20;

std::string link_target(const std::string& name) {
    return std::string(kDataLink) + "/" + name;
}

bool contains(const std::vector<std::string>& sorted, const std::string& name) {
    return std::binary_search(sorted.begin(), sorted.end(), name);
}

// What step 2 finds.
struct Look {
    std::string current;               // empty: none
    std::string damage;                // why there is none, where there should be
    std::vector<std::string> shown;    // names whose link is right, sorted
    std::vector<std::string> blocked;  // names known to be blocked, sorted
    bool mode_repaired = false;
    std::optional<gid_t> group;  // that the volume gives to what is made in it
};

// Whether `name` is a link of ours.
Result<bool> is_shown(const UniqueFd& volume, const std::string& name) {
    auto target = read_link(volume, name);
    if (target)
        return *target == link_target(name);
    if (target.error().code == Errc::NotFound || target.error().code == Errc::Conflict)
        return false;
    return std::unexpected(std::move(target.error()));
}

Result<std::vector<std::string>> shown_names(const UniqueFd& volume) {
    const UniqueFd fresh = TRY(open_dir_beneath(volume, "."));
    const std::vector<DirEntry> entries = TRY(list_dir(fresh, "volume"));
    std::vector<std::string> names;
    for (const DirEntry& entry : entries) {
        if ((entry.type != DT_LNK && entry.type != DT_UNKNOWN) || entry.name.starts_with(".."))
            continue;
        if (TRY(is_shown(volume, entry.name)))
            names.push_back(entry.name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

Result<Look> look_at(const UniqueFd& volume, const Options& options) {
    struct stat found{};
    if (::fstat(volume.get(), &found) < 0)
        return fail_errno(errno, "fstat", "volume");
    Look look;
    if (found.st_mode & S_ISGID)
        look.group = found.st_gid;
    if (options.volume_mode && (found.st_mode & 07777) != *options.volume_mode) {
        if (::fchmod(volume.get(), *options.volume_mode) < 0)
            return fail_errno(errno, "fchmod", "volume");
        look.mode_repaired = true;
    }
    const Witness& witness = options.witness;
    const bool looks_untouched = !witness.generation.empty() && stamp_of(found) == witness.volume;
    if (looks_untouched && witness.settled) {
        // Nothing was made, renamed or removed in the volume since: its names and ..data are as they were left.
        look.current = witness.generation;
        look.blocked = witness.blocked;
        std::set_difference(witness.names.begin(), witness.names.end(), witness.blocked.begin(), witness.blocked.end(),
                            std::back_inserter(look.shown));
        return look;
    }
    if (auto current = current_generation(volume)) {
        look.current = std::move(*current);
    } else if (current.error().code == Errc::NotFound || current.error().code == Errc::Conflict) {
        look.damage = std::move(current.error().what);
    } else {
        return std::unexpected(std::move(current.error()));
    }
    if (!looks_untouched) {
        look.shown = TRY(shown_names(volume));
        return look;
    }
    // Touched in the tick of the last look, if at all: of its names some may be gone, and of others there are none.
    look.blocked = witness.blocked;
    for (const std::string& name : witness.names) {
        if (!contains(look.blocked, name) && TRY(is_shown(volume, name)))
            look.shown.push_back(name);
    }
    return look;
}

// Steps 4 to 7, under the first name that is free.
struct Written {
    std::string name;
    Made made;
};
Result<Written> write_under_free_name(const UniqueFd& volume, const Layout& layout, const Payload& payload,
                                      const Options& options) {
    for (int attempt = 0;; ++attempt) {
        std::string name = generation_name(options.now, options.digits + static_cast<std::uint64_t>(attempt));
        auto written = write_generation(volume, name, layout, payload.directories, options.durability);
        if (written)
            return Written{std::move(name), *written};
        if (written.error().code != Errc::Conflict || attempt == kNameTries)
            return std::unexpected(std::move(written.error()));
    }
}

bool is_full(const Result<Written>& written) {
    return !written && (written.error().os_errno == ENOSPC || written.error().os_errno == EDQUOT);
}

// A reader that owns its file can grow it until nothing else has room, and leave it so. What is larger than all that was
// published, or can have been where that is not known, is not what was published: nobody loses by its going. Whether
// anything has gone.
bool make_room(const UniqueFd& volume, const std::string& generation, std::uint64_t published_bytes,
               const Layout& layout) {
    bool any = false;
    for (const auto& [path, contents] : layout.directories) {
        const auto directory = open_dir_beneath(volume, path.empty() ? generation : join(generation, path));
        if (!directory)
            continue;
        for (const auto& [name, file] : contents.files) {
            struct stat found{};
            if (::fstatat(directory->get(), name.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(found.st_mode) &&
                static_cast<std::uint64_t>(found.st_size) > published_bytes)
                any = ::unlinkat(directory->get(), name.c_str(), 0) == 0 || any;
        }
    }
    return any;
}

Result<> rename_over_data_link(const UniqueFd& volume) {
    if (::renameat(volume.get(), kNewDataLink, volume.get(), kDataLink) == 0)
        return {};
    if (errno != EISDIR)
        return fail_errno(errno, "renameat", kDataLink);
    // A directory stands at ..data (a copy that resolved links makes one): exchanged, which is as atomic, then removed.
    if (::renameat2(volume.get(), kNewDataLink, volume.get(), kDataLink, RENAME_EXCHANGE) < 0)
        return fail_errno(errno, "renameat2", kDataLink);
    (void)remove_tree(volume, kNewDataLink);  // what stays goes with the next sweep
    return {};
}

Result<> swap_in(const UniqueFd& volume, const std::string& generation) {
    // 8. Two calls, because symlinkat() cannot replace.
    if (::symlinkat(generation.c_str(), volume.get(), kNewDataLink) < 0) {
        if (errno != EEXIST)
            return fail_errno(errno, "symlinkat", kNewDataLink);
        TRY(remove_tree(volume, kNewDataLink));  // a crash left it
        if (::symlinkat(generation.c_str(), volume.get(), kNewDataLink) < 0)
            return fail_errno(errno, "symlinkat", kNewDataLink);
    }
    // 9.
    auto renamed = rename_over_data_link(volume);
    if (!renamed)
        ::unlinkat(volume.get(), kNewDataLink, 0);
    return renamed;
}

// Steps 10 and 11. Returns what was mended first, or "".
Result<std::string> mend_names(const UniqueFd& volume, const Layout& layout, const Look& look, Strangers strangers,
                               Outcome& outcome) {
    std::string mended;
    const auto note = [&mended](std::string what) {
        if (mended.empty())
            mended = std::move(what);
    };
    for (const std::string& name : layout.names) {
        if (contains(look.shown, name))
            continue;
        if (contains(look.blocked, name)) {
            outcome.blocked.push_back(name);
            continue;
        }
        const auto change = strangers == Strangers::Leave ? make_link(volume, name, link_target(name))
                                                          : ensure_link(volume, name, link_target(name));
        if (change && *change != LinkChange::None)
            note(name + (*change == LinkChange::Made ? ": the link was missing" : ": was not our link"));
        else if (!change && change.error().code == Errc::Conflict)
            outcome.blocked.push_back(name);
        else if (!change)
            return std::unexpected(change.error());
    }
    for (const std::string& name : look.shown) {
        if (contains(layout.names, name) || !TRY(is_shown(volume, name)))
            continue;
        if (::unlinkat(volume.get(), name.c_str(), 0) < 0 && errno != ENOENT)
            return fail_errno(errno, "unlinkat", name);
        note(name + ": the link was left over");
    }
    return mended;
}

// Step 13. What cannot be removed stays listed, and is tried again by the caller's retire().
std::vector<Generation> apply_caps(const UniqueFd& volume, std::vector<Generation> retained, const Caps& caps) {
    std::uint64_t size_bytes = 0;
    for (const Generation& generation : retained)
        size_bytes += generation.size_bytes;
    std::size_t count = retained.size();
    std::vector<Generation> kept;
    for (Generation& generation : retained) {
        const bool over = count > caps.generations || size_bytes > caps.size_bytes;
        const std::uint64_t size = generation.size_bytes;
        if (!over || !is_generation_name(generation.name) || !remove_tree(volume, generation.name)) {
            kept.push_back(std::move(generation));
            continue;
        }
        --count;
        size_bytes -= size;
    }
    return kept;
}

bool is_settled(const Witness& witness, WallTime now) {
    std::int64_t newest = witness.volume.changed_ns;
    for (const Witness::Seen& seen : witness.seen)
        newest = std::max(newest, seen.stamp.changed_ns);
    return !witness.seen.empty() && now.time_since_epoch() - std::chrono::nanoseconds(newest) >= kTick;
}

}  // namespace

Result<Outcome> publish(const UniqueFd& volume, const Payload& payload, Options options) {
    const Digests digests = TRY(digest(payload));
    Outcome outcome;
    Witness& witness = options.witness;
    const bool same_content = !witness.generation.empty() && witness.content == digests.content;
    const bool same_payload = same_content && witness.access == digests.access;
    // The cheap way through steps 1 to 3: this payload was found in place before, and nothing was changed since.
    if (same_payload && witness.settled && options.trust == Trust::Stamps && look_again(volume, witness)) {
        outcome.generation = witness.generation;
        outcome.blocked = witness.blocked;
        outcome.retained = std::move(options.retained);
        outcome.witness = std::move(witness);
        return outcome;
    }

    // 1.
    const Layout layout = TRY(lay_out(payload));
    // 2.
    Look look = TRY(look_at(volume, options));
    // 3.
    const bool is_ours = !look.current.empty() && look.current == witness.generation;
    Made made = witness.made;
    Comparison found;
    if (look.current.empty()) {
        found = {.difference = look.damage, .content_differs = true, .size_bytes = 0, .seen = {}};
    } else if (is_ours && !same_payload) {
        found = {.difference = same_content ? "access differs" : "content differs",
                 .content_differs = !same_content,
                 .size_bytes = witness.size_bytes,
                 .seen = {}};
    } else {
        if (!is_ours)
            made = {::geteuid(), look.group ? *look.group : ::getegid()};
        found = compare(volume, look.current, layout, payload.directories, {.made = made, .is_ours = is_ours});
    }

    outcome.generation = look.current;
    outcome.retained = std::move(options.retained);
    if (!found.difference.empty()) {
        outcome.change = Change::Published;
        outcome.content_changed = found.content_differs;
        outcome.was_damaged = same_payload;
        outcome.reason = std::move(found.difference);
        auto fresh = write_under_free_name(volume, layout, payload, options);
        if (is_full(fresh) && !look.current.empty() &&
            make_room(volume, look.current, is_ours ? witness.size_bytes : kMostBytes, layout))
            fresh = write_under_free_name(volume, layout, payload, options);
        Written written = TRY(std::move(fresh));
        outcome.generation = std::move(written.name);
        made = written.made;
        if (auto swapped = swap_in(volume, outcome.generation); !swapped) {
            (void)remove_tree(volume, outcome.generation);  // as far as possible; the next sweep does the rest
            return std::unexpected(std::move(swapped.error()));
        }
        if (!look.current.empty()) {
            outcome.previous = Generation{look.current, found.size_bytes};
            outcome.retained.push_back(*outcome.previous);
        }
        found.seen.clear();
    }

    const std::string mended = TRY(mend_names(volume, layout, look, options.strangers, outcome));
    if (outcome.change == Change::None && (look.mode_repaired || !mended.empty())) {
        outcome.change = Change::Repaired;
        outcome.was_damaged = true;
        outcome.reason = mended.empty() ? "volume: mode differs" : mended;
    }
    // 12.
    if (outcome.change != Change::None && options.durability == Durability::Disk && ::fsync(volume.get()) < 0)
        return fail_errno(errno, "fsync", "volume");
    if (outcome.change == Change::Published)
        outcome.retained = apply_caps(volume, std::move(outcome.retained), options.caps);

    struct stat left{};
    if (::fstat(volume.get(), &left) < 0)
        return fail_errno(errno, "fstat", "volume");
    outcome.witness = {.generation = outcome.generation,
                       .size_bytes = layout.size_bytes,
                       .made = made,
                       .content = digests.content,
                       .access = digests.access,
                       .volume = stamp_of(left),
                       .seen = std::move(found.seen),
                       .names = layout.names,
                       .blocked = outcome.blocked,
                       .settled = false};
    outcome.witness.settled = is_settled(outcome.witness, options.now);
    return outcome;
}

}  // namespace tokenlet::fsatomic
