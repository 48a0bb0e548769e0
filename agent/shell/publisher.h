// SPDX-License-Identifier: Apache-2.0
// Carries out volume commands where they cannot hold up the loop.
//
// Shapes   done is called once for each command, with its result; on memory before the call returns, on a disk later. On a
//          disk one command at a time is under way, in the thread pool; the others wait in order.
// Units    a command has kPublishTime from its turn at the disk, or from the moment it was given while the disk hangs.
// Owns     the store, and the commands that wait.
// Threads  the loop's.
// Errors   Unavailable, when the disk did not answer in time: the command may still be carried out later, and whoever
//          asks again gets the truth.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "agent/core/command.h"
#include "agent/shell/loop.h"
#include "agent/shell/volume_store.h"
#include "base/result.h"
#include "base/time.h"

namespace tokenlet::agent {

inline constexpr std::chrono::seconds kPublishTime{30};

class Publisher {
public:
    using Published = std::move_only_function<void(Result<PublishOutcome>)>;
    using Done = std::move_only_function<void(Result<>)>;

    enum class Where { Loop, Pool };

    Publisher(Loop& loop, VolumeStore store, Where where);

    void publish(PublishVolume command, Now now, Published done);
    void sweep(SweepVolume command, Now now, Done done);
    void remove(RemoveVolume command, Now now, Done done);

    // When on_timer() should be called: a command then has waited too long.
    [[nodiscard]] std::optional<BootTime> next_deadline() const;
    void on_timer(Now now);

private:
    struct Job;
    void submit(std::shared_ptr<Job> job);
    void start_next();

    Loop& loop_;
    std::shared_ptr<VolumeStore> store_;  // a job that hangs keeps it
    Where where_;
    std::shared_ptr<Job> running_;
    std::deque<std::shared_ptr<Job>> waiting_;
    std::shared_ptr<Publisher*> self_;  // emptied when the publisher goes: late jobs find nobody
};

}  // namespace tokenlet::agent
