// SPDX-License-Identifier: Apache-2.0
// The volumes on disk: what PublishVolume, SweepVolume and RemoveVolume mean in files.
//
//     <root>/<uid>/volumes/<plugin>/<volume>/     the volume, as fsatomic publishes it
//     <root>/<uid>/records/<plugin>~<volume>.json what is known of its tokens, for the agent alone (0700, 0600)
//     <byName>/<ns>/<pod>/<name> -> ../../../pods/<uid>/volumes/<plugin>/<volume>
//
// A volume with a path of its own (tokenlet.dev/path) stands there instead, see direct_directory.h; record and names as ever:
//
//     <root>/<uid>/records/<plugin>~<volume>~:shared:sa.json     there before the first file is
//     <byName>/<ns>/<pod>/<name> -> /shared/sa
//
// Shapes   open() makes root and byName where they are missing; publish(), sweep() and remove() carry one command out.
// Units    modes are permission bits: 0711 above volumes (0750 would shut readers out whatever a file says), 0755 for names.
// Owns     the directories' descriptors, and a witness for each volume, which makes the check of an unchanged one cheap.
// Threads  any, one call at a time. Calls block as long as the file system does.
// Errors   open(): what is wrong with the configured place. The rest: as fsatomic says, with the step in front; the old
//          set stays, and the same call again mends what is left.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/config.h"
#include "agent/core/command.h"
#include "agent/shell/volume_watch.h"
#include "base/result.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "fsatomic/confined_dir.h"
#include "fsatomic/publish.h"

namespace tokenlet::agent {

class VolumeStore {
public:
    // `random` gives 64 uniform bits a call; it is called where publish() is.
    [[nodiscard]] static Result<VolumeStore> open(const Volumes& settings, std::function<std::uint64_t()> random);

    // From now on `watch` is told what stands where, so that it knows what somebody else changes. Only where all calls are the
    // loop's.
    void tell(std::shared_ptr<VolumeWatch> watch) { watch_ = std::move(watch); }

    [[nodiscard]] Result<PublishOutcome> publish(const PublishVolume& command, WallTime now);
    [[nodiscard]] Result<> sweep(const SweepVolume& command);
    [[nodiscard]] Result<> remove(const RemoveVolume& command);

    [[nodiscard]] const UniqueFd& root() const noexcept { return root_; }
    [[nodiscard]] const UniqueFd& by_name() const noexcept { return by_name_; }
    [[nodiscard]] bool is_memory() const noexcept { return durability_ == fsatomic::Durability::Memory; }
    // Whether a volume may lie where a call waits for a disk.
    [[nodiscard]] bool may_block() const noexcept { return may_block_; }

private:
    struct Known {
        fsatomic::Witness witness;
        std::vector<fsatomic::Generation> retained;
        std::size_t record_hash = 0;
        bool swept = false;  // nothing of an earlier run is left in it
    };

    // Where a volume is published, and what is different there.
    struct Place {
        UniqueFd volume;
        std::string repaired;  // of the way there
        fsatomic::Durability durability;
        std::optional<mode_t> mode;
        fsatomic::Strangers strangers;
    };

    VolumeStore() = default;
    [[nodiscard]] Result<Place> make_place(const PublishVolume& command);
    [[nodiscard]] Result<UniqueFd> open_volume(const VolumePath& path) const;
    Result<> clear_place(const VolumePath& path);
    Known& known(const VolumePath& path, const std::vector<std::string>& keep);
    Result<> publish_record(const PublishVolume& command, Known& known);
    Result<> publish_names(const VolumePath& path, const std::vector<VolumeName>& names);
    Result<> remove_names(const VolumePath& path, const std::vector<VolumeName>& names);
    [[nodiscard]] std::string link_target(const VolumePath& path) const;

    UniqueFd root_;
    UniqueFd by_name_;
    std::vector<std::string> direct_;
    MemoryRule memory_ = MemoryRule::Warn;
    bool may_block_ = false;
    std::string names_to_root_;  // the way from a Pod's names to root, where the kernel has both
    fsatomic::Durability durability_ = fsatomic::Durability::Disk;
    std::function<std::uint64_t()> random_;
    std::shared_ptr<VolumeWatch> watch_;  // null: nobody watches
    std::map<std::string, Known> known_;  // by path
};

}  // namespace tokenlet::agent
