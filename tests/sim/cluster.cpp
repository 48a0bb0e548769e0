// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/cluster.h"

#include <utility>
#include <vector>

#include "kube/decode.h"

namespace tokenlet::sim {

void Cluster::put(const agent::WatchedObject& what, const std::string& manifest) {
    objects_[what] = manifest;
    later_(delay, [this, what] { tell(what); });
}

void Cluster::drop(const agent::WatchedObject& what) {
    objects_.erase(what);
    later_(delay, [this, what] { tell(what); });
}

void Cluster::see(const agent::WatchObjects& watch) {
    for (const agent::WatchedObject& what : watch.removed) {
        watched_.erase(what);
        on_unwatched(what);
    }
    for (const agent::WatchedObject& what : watch.added) {
        watched_[what] = false;
        later_(delay, [this, what] { tell(what); });
    }
}

void Cluster::agent_died() {
    watched_.clear();
}

void Cluster::mend() {
    down_.reset();
    std::vector<agent::WatchedObject> all;
    for (const auto& [what, told] : watched_)
        all.push_back(what);
    for (const agent::WatchedObject& what : all)
        tell(what);
}

void Cluster::tell(const agent::WatchedObject& what) {
    const auto watched = watched_.find(what);
    if (watched == watched_.end())
        return;
    agent::ObjectNews news;
    if (down_) {
        if (watched->second)
            return;
        news = std::unexpected(*down_);
    } else {
        watched->second = true;
        const auto object = objects_.find(what);
        if (object != objects_.end())
            news->push_back(std::move(*kube::decode_manifests(object->second, "cluster").front().object));
        on_news(what, object != objects_.end());
    }
    world_.act([&](agent::Core& core, Now now) { core.on_object(now, what, std::move(news)); });
}

}  // namespace tokenlet::sim
