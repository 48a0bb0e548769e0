// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/volume_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

namespace tokenlet::agent {

namespace {

constexpr std::size_t kBudgetWithoutALimit = 8192;  // the kernel's own least
constexpr std::uint32_t kSelf = IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
constexpr std::uint32_t kNames = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;
// A reader may have put a link where a directory was. Not IN_CLOSE_WRITE alone: who keeps a file open may go on changing it.
constexpr std::uint32_t kInside = kSelf | kNames | IN_MODIFY | IN_DONT_FOLLOW;

}  // namespace

std::size_t VolumeWatch::usual_budget() {
    std::size_t limit = 0;
    std::ifstream("/proc/sys/fs/inotify/max_user_watches") >> limit;
    return limit == 0 ? kBudgetWithoutALimit : limit / 2;
}

Result<VolumeWatch> VolumeWatch::make(std::size_t budget) {
    VolumeWatch watch(budget);
    watch.inotify_.reset(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!watch.inotify_)
        return fail_errno(errno, "inotify_init1", "volumes.root");
    return watch;
}

bool VolumeWatch::watch(const VolumePath& volume, const UniqueFd& directory, const std::string& generation,
                        const std::vector<std::string>& directories) {
    const auto [found, is_new] = volumes_.try_emplace(volume);
    drop(found);
    found->second.generation = generation;
    const std::string top = "/proc/self/fd/" + std::to_string(directory.get());
    bool all = add(found, top, kSelf | kNames) && add(found, top + "/" + generation, kInside);
    for (const std::string& inner : directories)
        all = all && add(found, top + "/" + generation + "/" + inner, kInside);
    missed_ = missed_ || !all;
    return all;
}

void VolumeWatch::forget(const VolumePath& volume) {
    const auto found = volumes_.find(volume);
    if (found == volumes_.end())
        return;
    drop(found);
    volumes_.erase(found);
}

bool VolumeWatch::add(Volumes::iterator volume, const std::string& path, std::uint32_t events) {
    if (by_watch_.size() >= budget_)
        return false;
    const int watch = ::inotify_add_watch(inotify_.get(), path.c_str(), events);
    if (watch < 0)
        return false;
    by_watch_.insert_or_assign(watch, volume);
    volume->second.watches.push_back(watch);
    return true;
}

void VolumeWatch::drop(Volumes::iterator volume) {
    for (const int watch : std::exchange(volume->second.watches, {})) {
        // The kernel has one watch for a directory: where another volume was published in the same one, it is that one's.
        const auto found = by_watch_.find(watch);
        if (found == by_watch_.end() || found->second != volume)
            continue;
        (void)::inotify_rm_watch(inotify_.get(), watch);  // fails where the kernel was first
        by_watch_.erase(found);
    }
}

std::optional<std::vector<VolumePath>> VolumeWatch::drain() {
    bool any = false;
    std::vector<VolumePath> touched;
    alignas(inotify_event) char buffer[64 * 1024];
    for (;;) {
        const ssize_t size = ::read(inotify_.get(), buffer, sizeof buffer);
        if (size <= 0)
            break;
        for (const char* at = buffer; at < buffer + size;) {
            inotify_event event;
            std::memcpy(&event, at, sizeof event);
            const char* const name = at + sizeof event;
            at += sizeof event + event.len;
            if ((event.mask & IN_Q_OVERFLOW) != 0)
                any = true;
            const auto found = by_watch_.find(event.wd);
            if (found == by_watch_.end())
                continue;  // of a watch that was dropped: our own doing
            const auto volume = found->second;
            if ((event.mask & IN_IGNORED) != 0)
                by_watch_.erase(found);
            else if (is_news(*volume, event.wd, event.mask, {name, event.len == 0 ? 0 : ::strnlen(name, event.len)}))
                touched.push_back(volume->first);
        }
    }
    if (any)
        return std::nullopt;
    std::ranges::sort(touched);
    const auto rest = std::ranges::unique(touched);
    touched.erase(rest.begin(), rest.end());
    return touched;
}

bool VolumeWatch::is_news(const Volumes::value_type& volume, int watch, std::uint32_t mask,
                          std::string_view name) const {
    const Watched& watched = volume.second;
    const bool is_of_the_volume = !watched.watches.empty() && watch == watched.watches.front();
    if (!is_of_the_volume || (mask & kNames) == 0)
        return true;
    return !name.starts_with("..") || name == "..data" || name == watched.generation;
}

}  // namespace tokenlet::agent
