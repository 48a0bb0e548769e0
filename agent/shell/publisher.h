// SPDX-License-Identifier: Apache-2.0
// Carries out volume commands where they cannot hold up the loop.
//
// Shapes   done is called once for each command, with its result; on memory before the call returns, on a disk later. On a
//          disk one command at a time is under way, in the thread pool; the others wait in order.
// Units    a command has kPublishTime from its turn at the disk.
// Owns     the store, and the commands that wait.
// Threads  the loop's.
// Errors   Unavailable, when the disk did not answer in time, for that command, for those that wait, and for new ones until
//          the disk answers. The command may still be carried out: whoever asks again gets the truth.
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
    Publisher(const Publisher&) = delete;
    Publisher& operator=(const Publisher&) = delete;
    ~Publisher();

    void publish(PublishVolume command, Now now, Published done);
    void sweep(SweepVolume command, Now now, Done done);
    void remove(RemoveVolume command, Now now, Done done);

    // When on_timer() should be called: the command under way has taken too long then.
    [[nodiscard]] std::optional<BootTime> next_deadline() const;
    void on_timer(Now now);

private:
    struct Job;
    template <class Command, class Answer>
    void carry_out(Command command, Now now, std::move_only_function<void(Answer)> done,
                   Answer (*act)(VolumeStore&, const Command&, WallTime));
    void start_next(BootTime now);

    Loop& loop_;
    std::shared_ptr<VolumeStore> store_;  // shared with the command under way, which may outlive us
    Where where_;
    std::shared_ptr<Job> running_;
    BootTime running_until_;
    bool hung_ = false;  // running_ is overdue and was answered in its place
    std::deque<std::shared_ptr<Job>> waiting_;
    std::shared_ptr<Publisher*> self_;  // emptied when we go: late answers find nobody
};

}  // namespace tokenlet::agent
