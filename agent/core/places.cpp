// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>

#include "agent/core/state.h"
#include "base/is_within.h"
#include "projector/annotations.h"

namespace tokenlet::agent {

// A directory is its Pod's from the plan that names it until the volume has been removed from it, also over restarts: what an
// earlier run left there was claimed by finding it. One within another is as much in its way as the same one.
Result<> Core::State::check_places(const projector::Plan& plan, const PodState& pod) {
    for (const projector::VolumePlan& volume : plan.volumes) {
        const VolumeState* const other = volume.direct ? find_place(*volume.direct, pod.key) : nullptr;
        if (other == nullptr)
            continue;
        pods_waiting_for_place_.insert(pod.id);
        return fail(Errc::Conflict, std::string("metadata.annotations['") + projector::kPathAnnotation + "']: '" +
                                        *volume.direct + "' is taken: volume " + other->name + " of Pod " +
                                        other->pod->key.str() + " is published in " + *other->direct);
    }
    return {};
}

// A volume of another Pod at `path`, above or below it; null: there is none. A Pod of the same name is the same one with a new
// uid: it takes its directories over.
const VolumeState* Core::State::find_place(const std::string& path, const kube::ObjectKey& pod) const {
    const auto is_in_the_way = [&](const auto& claim) { return claim.second->pod->key != pod; };
    for (std::size_t end = path.size(); end != 0 && end != std::string::npos; end = path.rfind('/', end - 1)) {
        const auto [first, last] = places_.equal_range(path.substr(0, end));
        if (const auto found = std::find_if(first, last, is_in_the_way); found != last)
            return found->second;
    }
    for (auto below = places_.lower_bound(path + "/"); below != places_.end() && is_within(below->first, path); ++below)
        if (is_in_the_way(*below))
            return below->second;
    return nullptr;
}

void Core::State::claim_place(const VolumeState& volume) {
    if (volume.direct)
        places_.emplace(*volume.direct, &volume);
}

// Whoever waited for the directory may have it now: other Pods, and volumes of this one which found it taken.
void Core::State::release_place(const VolumeState& volume) {
    if (!volume.direct)
        return;
    std::erase_if(places_, [&](const auto& claim) { return claim.second == &volume; });
    dirty_pods_.merge(std::exchange(pods_waiting_for_place_, {}));
    for (const VolumeState* other : volume.pod->volumes)
        if (other->direct && other->plan != nullptr)
            dirty_volumes_.insert(other->id);
}

}  // namespace tokenlet::agent
