// SPDX-License-Identifier: Apache-2.0
// The objects of a cluster, and the watch by which an agent is told of them.
//
// Shapes   put() and drop() are what people do there; see() is what the agent wants to be told of. News take their time, and
//          while the watch is down none arrive: later only what there is then is told.
// Units    simulated time.     Owns  the objects; the world is the caller's and outlives it.
// Threads  one.     Errors  `down`, told of objects that nothing is known of.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "agent/core/command.h"
#include "tests/sim/world.h"

namespace tokenlet::sim {

class Cluster {
public:
    using Later = std::function<void(Duration, std::function<void()>)>;
    Cluster(World& world, Later later) : world_(world), later_(std::move(later)) {}

    // A manifest says what it is.
    void put(const agent::WatchedObject& what, const std::string& manifest);
    void drop(const agent::WatchedObject& what);

    void see(const agent::WatchObjects& watch);
    void agent_died();

    void cut(Error error) { down_ = std::move(error); }
    void mend();

    Duration delay = std::chrono::milliseconds(5);
    // Just before the agent is told: whether the object is there.
    std::function<void(const agent::WatchedObject&, bool)> on_news;
    // Just after the agent has been told to forget what it knows.
    std::function<void(const agent::WatchedObject&)> on_unwatched;

private:
    void tell(const agent::WatchedObject& what);

    World& world_;
    Later later_;
    std::map<agent::WatchedObject, std::string> objects_;
    std::map<agent::WatchedObject, bool> watched_;  // whether anything has been told
    std::optional<Error> down_;
};

}  // namespace tokenlet::sim
