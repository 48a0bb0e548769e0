// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/volume_store.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <utility>

#include "agent/shell/direct_directory.h"
#include "agent/shell/make_directory.h"
#include "agent/shell/record_file.h"
#include "agent/shell/token_hash.h"
#include "fsatomic/generation.h"
#include "fsatomic/link.h"

namespace tokenlet::agent {

namespace {

constexpr fsatomic::DirModes kVolumeModes{.above = 0711, .last = 0755, .durability = fsatomic::Durability::Memory};
// Names are no secret: the status socket tells them to everybody, and people want to list them.
constexpr fsatomic::DirModes kNameModes{.above = 0755, .last = 0755, .durability = fsatomic::Durability::Memory};

std::string parent_of(const VolumePath& path) {
    return path.pod_uid + "/volumes/" + path.plugin_directory;
}

Result<std::string> real_path(const std::string& path) {
    const std::unique_ptr<char, decltype(&::free)> resolved(::realpath(path.c_str(), nullptr), &::free);
    if (!resolved)
        return fail_errno(errno, "realpath", path);
    return std::string(resolved.get());
}

// What stands at the name and is not ours stays. A link that cannot be read is an error: it may be ours, and would be left.
Result<> remove_name(const UniqueFd& dir, const std::string& name, const std::string& our_target) {
    const auto target = fsatomic::read_link(dir, name);
    if (target)
        return *target == our_target ? fsatomic::remove_link(dir, name) : Result<>();
    if (target.error().code == Errc::NotFound || target.error().code == Errc::Conflict)
        return {};
    return std::unexpected(target.error());
}

// What cannot be looked at may be anything.
bool lies_in_memory(const std::string& path) {
    const auto directory = fsatomic::open_root(path);
    return directory && fsatomic::is_memory(*directory).value_or(false);
}

// Those that files lie in, each once.
std::vector<std::string> directories_of(const fsatomic::Payload& payload) {
    std::set<std::string> directories;
    for (const auto& [path, file] : payload.files)
        for (std::size_t end = path.rfind('/'); end != std::string::npos; end = path.rfind('/', end - 1))
            directories.insert(path.substr(0, end));
    return {directories.begin(), directories.end()};
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
    return std::ranges::find(names, name) != names.end();
}

}  // namespace

Result<VolumeStore> VolumeStore::open(const Volumes& settings, std::function<std::uint64_t()> random) {
    VolumeStore store;
    store.random_ = std::move(random);
    store.root_ = TRY(make_safe_directory(settings.root, {.above = 0711, .last = 0711}), "volumes.root");
    store.by_name_ = TRY(make_safe_directory(settings.by_name, {.above = 0711, .last = 0755}), "volumes.byName");
    const std::filesystem::path root = TRY(real_path(settings.root), "volumes.root");
    const std::string by_name = TRY(real_path(settings.by_name), "volumes.byName");
    store.names_to_root_ = root.lexically_relative(by_name + "/namespace/pod").string();
    // Said now, once, and not later for each volume.
    for (const auto& [dir, path] :
         {std::pair(&store.root_, &settings.root), std::pair(&store.by_name_, &settings.by_name)})
        if (::faccessat(dir->get(), ".", W_OK | X_OK, AT_EACCESS) < 0)
            return fail_errno(errno, "write", *path);
    if (TRY(fsatomic::is_memory(store.root_), "volumes.root"))
        store.durability_ = fsatomic::Durability::Memory;
    else if (settings.memory == MemoryRule::Require)
        return fail(Errc::Invalid,
                    "volumes.root: " + settings.root +
                        " lies on a disk, and volumes.memory is require; mount a tmpfs there, or say warn");
    store.direct_ = settings.direct;
    store.memory_ = settings.memory;
    store.may_block_ = !store.is_memory() || !std::ranges::all_of(settings.direct, lies_in_memory);
    return store;
}

VolumeStore::Known& VolumeStore::known(const VolumePath& path, const std::vector<std::string>& keep) {
    const auto [found, is_new] = known_.try_emplace(path.str());
    // After a restart the generations of the earlier run are known by name only.
    if (is_new)
        for (const std::string& name : keep)
            found->second.retained.push_back({.name = name, .size_bytes = 0});
    return found->second;
}

Result<VolumeStore::Place> VolumeStore::make_place(const PublishVolume& command) {
    const VolumePath& path = command.path;
    if (path.direct.empty()) {
        fsatomic::DirModes modes = kVolumeModes;
        modes.durability = durability_;
        fsatomic::MadeDir made = TRY(fsatomic::make_dirs_beneath(root_, path.str(), modes), "volume directory");
        return Place{.volume = std::move(made.dir),
                     .repaired = std::move(made.repaired),
                     .durability = durability_,
                     .mode = modes.last,
                     .strangers = fsatomic::Strangers::Replace};
    }
    UniqueFd volume = TRY(make_direct(direct_, path.direct));
    const bool is_memory = TRY(fsatomic::is_memory(volume), path.direct);
    if (!is_memory && memory_ == MemoryRule::Require)
        return fail(Errc::Invalid, path.direct + " lies on a disk, and volumes.memory is require");
    const kube::ObjectKey pod{command.record.ns, command.record.pod};
    const auto record = read_record(root_, path);
    if (!record && record.error().code != Errc::NotFound && record.error().code != Errc::Invalid)
        return std::unexpected(Error(record.error()).with("record"));
    TRY(check_claim(volume, path, pod, record ? Claim::Again : Claim::First), path.direct);
    // Before anything stands there: else a crash would leave what no later run knows of.
    if (!record)
        TRY(write_record(root_, path, text_of(command.record), durability_), "record");
    TRY(mark(volume, path, pod), path.direct);
    return Place{.volume = std::move(volume),
                 .repaired = {},
                 .durability = is_memory ? fsatomic::Durability::Memory : fsatomic::Durability::Disk,
                 .mode = {},
                 .strangers = fsatomic::Strangers::Leave};
}

Result<UniqueFd> VolumeStore::open_volume(const VolumePath& path) const {
    return path.direct.empty() ? fsatomic::open_dir_beneath(root_, path.str()) : open_direct(direct_, path.direct);
}

Result<PublishOutcome> VolumeStore::publish(const PublishVolume& command, WallTime now) {
    Place place = TRY(make_place(command));

    Known& known = this->known(command.path, command.keep);
    fsatomic::Options options{.now = now,
                              .digits = random_(),
                              .durability = place.durability,
                              .volume_mode = place.mode,
                              .strangers = place.strangers,
                              .retained = known.retained,
                              .caps = {},
                              .trust = command.audit ? fsatomic::Trust::Bytes : fsatomic::Trust::Stamps,
                              .witness = std::exchange(known.witness, {})};
    auto published = fsatomic::publish(place.volume, command.payload, std::move(options));
    if (!published)
        return std::unexpected(std::move(published.error()));  // what stands there now is looked at anew
    known.witness = std::move(published->witness);
    known.retained = std::move(published->retained);
    TRY(publish_record(command, known), "record");
    TRY(publish_names(command.path, command.names), "volumes.byName");

    if (watch_ && (published->change != fsatomic::Change::None || !watch_->is_watched(command.path)))
        (void)watch_->watch(command.path, place.volume, published->generation, directories_of(command.payload));

    PublishOutcome outcome{.wrote = published->change == fsatomic::Change::Published,
                           .repaired = published->was_damaged || !place.repaired.empty(),
                           .reason = std::move(place.repaired.empty() ? published->reason : place.repaired),
                           .generation = std::move(published->generation),
                           .older = {},
                           .blocked = std::move(published->blocked)};
    for (const fsatomic::Generation& generation : known.retained)
        outcome.older.push_back(generation.name);
    return outcome;
}

Result<> VolumeStore::publish_record(const PublishVolume& command, Known& known) {
    VolumeRecord record = command.record;
    for (TokenRecord& token : record.tokens)
        if (const auto file = command.payload.files.find(token.path); file != command.payload.files.end())
            token.sha256 = sha256_hex(file->second.bytes.view());
    const std::string text = text_of(record);
    const std::size_t hash = std::hash<std::string>{}(text);
    if (hash == known.record_hash)
        return {};
    TRY(write_record(root_, command.path, text, durability_));
    known.record_hash = hash;
    return {};
}

Result<> VolumeStore::publish_names(const VolumePath& path, const std::vector<VolumeName>& names) {
    for (const VolumeName& name : names) {
        const UniqueFd dir = TRY(fsatomic::make_dirs_beneath(by_name_, name.ns + "/" + name.pod, kNameModes)).dir;
        (void)TRY(fsatomic::ensure_link(dir, name.name, link_target(path)), name.name);
    }
    return {};
}

std::string VolumeStore::link_target(const VolumePath& path) const {
    return path.direct.empty() ? names_to_root_ + "/" + path.str() : path.direct;
}

Result<> VolumeStore::sweep(const SweepVolume& command) {
    auto volume = open_volume(command.path);
    if (!volume && volume.error().code == Errc::NotFound)
        return {};
    if (!volume)
        return std::unexpected(std::move(volume.error()));
    if (!command.path.direct.empty() && !TRY(is_claimed(*volume, command.path), command.path.direct))
        return {};

    Known& known = this->known(command.path, command.keep);
    if (!known.swept) {
        (void)TRY(fsatomic::sweep(*volume, command.keep));
        known.swept = true;
        known.witness.settled = false;
        std::erase_if(known.retained,
                      [&](const fsatomic::Generation& generation) { return !contains(command.keep, generation.name); });
        return {};
    }
    for (auto generation = known.retained.begin(); generation != known.retained.end();) {
        if (contains(command.keep, generation->name)) {
            ++generation;
            continue;
        }
        TRY(fsatomic::retire(*volume, generation->name, &known.witness));
        generation = known.retained.erase(generation);
    }
    return {};
}

Result<> VolumeStore::remove(const RemoveVolume& command) {
    // Names first: a reader then finds a name or none, never one that leads nowhere.
    if (watch_)
        watch_->forget(command.path);
    TRY(remove_names(command.path, command.names), "volumes.byName");
    TRY(clear_place(command.path));
    known_.erase(command.path.str());
    // The record last: until then the next start knows whose volume that was.
    TRY(remove_record(root_, command.path), "record");
    TRY(fsatomic::remove_empty_dirs_beneath(root_, command.path.pod_uid + "/records"));
    return fsatomic::remove_empty_dirs_beneath(root_, parent_of(command.path));
}

// What is not there any more is gone.
Result<> VolumeStore::clear_place(const VolumePath& path) {
    auto opened = path.direct.empty() ? fsatomic::open_dir_beneath(root_, parent_of(path)) : open_volume(path);
    if (!opened && opened.error().code == Errc::NotFound)
        return {};
    if (!opened)
        return std::unexpected(std::move(opened.error()));
    return path.direct.empty() ? fsatomic::remove_volume(*opened, path.volume) : clear_direct(*opened, path);
}

Result<> VolumeStore::remove_names(const VolumePath& path, const std::vector<VolumeName>& names) {
    for (const VolumeName& name : names) {
        const std::string parent = name.ns + "/" + name.pod;
        const auto dir = fsatomic::open_dir_beneath(by_name_, parent);
        if (dir)
            TRY(remove_name(*dir, name.name, link_target(path)), name.name);
        else if (dir.error().code != Errc::NotFound)
            return std::unexpected(dir.error());
        // Absent, too: the last try may have ended between a directory and the one above it.
        TRY(fsatomic::remove_empty_dirs_beneath(by_name_, parent));
    }
    return {};
}

}  // namespace tokenlet::agent
