// SPDX-License-Identifier: Apache-2.0
// What waits until a server may be asked: the most urgent goes first.
//
// Shapes   push(needed_by, item); pop(now) gives the item that is needed first, when the pace allows one; next(now) when it
//          is worth asking again. Times are absolute, so that what waits becomes the most urgent by and by: thousands that
//          are due hold up no urgent one, and none of them waits for ever.
// Units    base/time.h.     Owns  its items.     Threads  one.     Errors  none.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <utility>

#include "base/time.h"
#include "rotation/pace.h"

namespace tokenlet::agent {

template <class Item>
class PacedQueue {
public:
    explicit PacedQueue(const rotation::PaceSettings& settings) : pace_(settings) {}

    void push(BootTime needed_by, Item item) { waiting_.emplace(needed_by, std::move(item)); }

    std::optional<Item> pop(BootTime now) {
        if (waiting_.empty() || !pace_.take(now))
            return std::nullopt;
        return std::move(waiting_.extract(waiting_.begin()).mapped());
    }

    [[nodiscard]] std::optional<BootTime> next(BootTime now) const {
        return waiting_.empty() ? std::nullopt : std::optional(pace_.next(now));
    }

    [[nodiscard]] std::size_t size() const { return waiting_.size(); }

private:
    rotation::Pace pace_;
    std::multimap<BootTime, Item> waiting_;
};

}  // namespace tokenlet::agent
