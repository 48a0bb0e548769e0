// SPDX-License-Identifier: Apache-2.0
// Where objects come from that are in no manifest: the seam between the agent and a cluster's watches.
//
// Shapes   watch() carries out WatchObjects; what it finds out is told through `tell`, never before watch() has returned.
//          maintain() does what is due by itself (a watch to be tried again) and says when it wants to be called again.
// Units    base/time.h.
// Owns     what is under way; destroying it drops that, and nothing is told any more.
// Threads  the loop's.     Errors  are news, too.
#pragma once

#include <functional>
#include <optional>

#include "agent/core/command.h"
#include "base/time.h"

namespace tokenlet::agent {

class ObjectSource {
public:
    using Tell = std::function<void(const WatchedObject&, ObjectNews)>;

    ObjectSource() = default;
    ObjectSource(const ObjectSource&) = delete;
    ObjectSource& operator=(const ObjectSource&) = delete;
    virtual ~ObjectSource() = default;

    virtual void watch(WatchObjects what, Now now) = 0;
    virtual std::optional<BootTime> maintain(Now now) = 0;
};

}  // namespace tokenlet::agent
