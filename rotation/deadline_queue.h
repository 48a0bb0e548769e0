// SPDX-License-Identifier: Apache-2.0
// What is due next: one queue for all deadlines, so that one timer suffices.
//
// Shapes   each id has at most one deadline; setting it again moves it. Ids are small ordered values.
// Owns     the ids.     Threads  one.     Errors  none.     Cost  logarithmic in the number of ids.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/time.h"

namespace tokenlet::rotation {

template <class Id>
class DeadlineQueue {
public:
    void set(const Id& id, BootTime at) {
        cancel(id);
        deadlines_.emplace(id, at);
        order_.emplace(at, id);
    }

    void cancel(const Id& id) {
        if (const auto found = deadlines_.find(id); found != deadlines_.end()) {
            order_.erase({found->second, id});
            deadlines_.erase(found);
        }
    }

    [[nodiscard]] std::optional<BootTime> next() const {
        return order_.empty() ? std::nullopt : std::optional(order_.begin()->first);
    }

    [[nodiscard]] std::optional<BootTime> deadline(const Id& id) const {
        const auto found = deadlines_.find(id);
        return found == deadlines_.end() ? std::nullopt : std::optional(found->second);
    }

    // Takes out the earliest id whose deadline has come; among equals the smallest.
    std::optional<Id> pop_due(BootTime now) {
        if (order_.empty() || order_.begin()->first > now)
            return std::nullopt;
        Id id = order_.begin()->second;
        order_.erase(order_.begin());
        deadlines_.erase(id);
        return id;
    }

    [[nodiscard]] std::size_t size() const { return order_.size(); }

private:
    std::map<Id, BootTime> deadlines_;
    std::set<std::pair<BootTime, Id>> order_;
};

}  // namespace tokenlet::rotation
