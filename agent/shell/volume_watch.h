// SPDX-License-Identifier: Apache-2.0
// Which published volumes somebody else has touched, by inotify: files changed, links gone, the directory itself removed.
//
// Shapes   watch(volume, ...) after each publish that wrote something: what that publish did itself is not news. fd() is
//          readable when drain() has some.
// Units    the budget counts inotify watches: one for the volume, one for each directory of its generation.
// Owns     an inotify instance.
// Threads  one at a time.
// Errors   make(): when the kernel refuses inotify. A volume that cannot be watched (budget, limits) is left to the audit;
//          watch() says so.
//
// The comings and goings of old generations, which are ours, are no news; nor are reads. Inotify sees names, not mounts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/core/command.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace tokenlet::agent {

class VolumeWatch {
public:
    // Half of what the kernel lets this user watch: others of the same user want to watch, too.
    [[nodiscard]] static std::size_t usual_budget();

    [[nodiscard]] static Result<VolumeWatch> make(std::size_t budget);

    [[nodiscard]] int fd() const noexcept { return inotify_.get(); }

    // `directory` is the volume's; `directories` are those of the generation, relative to it, without itself. Takes the place
    // of what was watched of the volume. False: not all of it is watched.
    bool watch(const VolumePath& volume, const UniqueFd& directory, const std::string& generation,
               const std::vector<std::string>& directories);
    void forget(const VolumePath& volume);
    [[nodiscard]] bool is_watched(const VolumePath& volume) const { return volumes_.contains(volume); }
    // Some watch() has returned false.
    [[nodiscard]] bool has_missed() const noexcept { return missed_; }

    // Unset: the kernel has lost events, and it may be any of them.
    [[nodiscard]] std::optional<std::vector<VolumePath>> drain();

private:
    struct Watched {
        std::string generation;
        std::vector<int> watches;  // the volume's first
    };
    using Volumes = std::map<VolumePath, Watched>;

    explicit VolumeWatch(std::size_t budget) : budget_(budget) {}
    bool add(Volumes::iterator volume, const std::string& path, std::uint32_t events);
    void drop(Volumes::iterator volume);
    [[nodiscard]] bool is_news(const Volumes::value_type& volume, int watch, std::uint32_t mask,
                               std::string_view name) const;

    std::size_t budget_;
    bool missed_ = false;
    UniqueFd inotify_;
    Volumes volumes_;
    std::unordered_map<int, Volumes::iterator> by_watch_;
};

}  // namespace tokenlet::agent
