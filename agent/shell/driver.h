// SPDX-License-Identifier: Apache-2.0
// Drives the core: brings it events, carries out its commands, and sees to it that nothing is forgotten.
//
// Shapes   every event goes one way: read the clocks, tell the core, carry out commands until there are none, arm the one
//          timer for what is due next. A turn ends after kTurn, and the rest is carried out on the next one.
// Units    base/time.h. This is the one place of the shell that reads the clocks.
// Owns     the core and what carries its commands out; the loop, the logger, the issuer and the object source are lent.
// Threads  the loop's.
// Errors   start(): timers and descriptors that the kernel refuses. Everything later belongs to a Pod, a volume or the
//          manifest directory, and is the core's to deal with.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/core/core.h"
#include "agent/shell/file_mounts.h"
#include "agent/shell/identity_store.h"
#include "agent/shell/log.h"
#include "agent/shell/loop.h"
#include "agent/shell/object_source.h"
#include "agent/shell/publisher.h"
#include "agent/shell/timers.h"
#include "agent/shell/token_issuer.h"
#include "agent/shell/volume_watch.h"
#include "base/result.h"
#include "base/time.h"
#include "kube/manifest_directory.h"
#include "rotation/deadline_queue.h"

namespace tokenlet::agent {

// Between two looks at what was touched: somebody may touch things without end.
inline constexpr std::chrono::seconds kTouchInterval{1};

// From something published to a look at who has mounted single files, and between two looks. A mount is stale then, not before,
// and a container's is made in a while.
inline constexpr std::chrono::seconds kMountsDelay{1};
inline constexpr std::chrono::seconds kMountsInterval{10};

// Where inotify does not tell of every change, looking often has to do.
inline constexpr std::chrono::seconds kUntrustedResync{20};

struct Watchdog {
    Duration period;
    Task feed;
};

class Driver {
public:
    struct Parts {
        Loop& loop;
        Logger& logger;
        TokenIssuer& issuer;
        std::function<Now()> clock;
        std::unique_ptr<Core> core;
        std::unique_ptr<Publisher> publisher;
        std::shared_ptr<IdentityStore> identities;
        kube::ManifestDirectory manifests;
        Duration resync;
        ObjectSource* objects = nullptr;                 // null: manifests are all there is
        std::shared_ptr<VolumeWatch> volume_watch = {};  // null: damage shows at the audit
        std::shared_ptr<const FileMounts> mounts = {};   // null: nobody looks
    };

    explicit Driver(Parts parts);
    Driver(const Driver&) = delete;
    Driver& operator=(const Driver&) = delete;
    ~Driver();

    // The first listing is made on the loop's first turn. `on_settled` is called once, when every Pod of it is published or
    // says why not; `on_listing_failed` whenever the directory as a whole could not be listed.
    [[nodiscard]] Result<> start(Task on_settled, std::function<void(const Error&)> on_listing_failed);

    // Calls `task` once, after `delay`.
    void call_after(Duration delay, Task task);
    void watch_over(Watchdog watchdog);

    // News from outside the core.
    void list_manifests();
    void on_root_ca(const std::string& pem);
    void on_issuer_name(const std::string& name);
    void on_issuer_keys(std::vector<std::string> key_ids);
    void on_issuer_clock(WallTime issuer_now);
    void on_object(const WatchedObject& what, ObjectNews news);
    // Something of the issuer's or the object source's own may be due.
    void look_at_time();
    void release_removals();
    [[nodiscard]] Result<> rotate_now(const kube::ObjectKey& pod, const std::string& volume);

    void report(const Report& report);
    [[nodiscard]] Status status() const;
    [[nodiscard]] const std::vector<FileMount>& file_mounts() const noexcept { return file_mounts_; }

private:
    enum class Chore { Resync, Watchdog, Call, WatchVolumes, LookAtMounts };

    template <class Event>
    void tell(Event event);
    void carry_out_pending(Now now);
    void look_at_manifests(kube::Look look, Now now);
    [[nodiscard]] Result<> watch_volumes();
    void look_at_touched_volumes();
    void say_what_is_not_watched();
    void plan_look_at_mounts();
    void look_at_mounts();
    void say_what_is_mounted(std::vector<FileMount> found);
    void settle_up(Now now);
    void arm(Now now);
    void on_alarm();

    void carry_out(ListManifests&& command, Now now);
    void carry_out(SaveIdentities&& command, Now now);
    void carry_out(TellIssuer&& command, Now now);
    void carry_out(RequestToken&& command, Now now);
    void carry_out(WatchObjects&& command, Now now);
    void carry_out(PublishVolume&& command, Now now);
    void carry_out(SweepVolume&& command, Now now);
    void carry_out(RemoveVolume&& command, Now now);
    void carry_out(Report&& command, Now now);
    void save_next();

    Parts parts_;
    std::unique_ptr<Timers> timers_;
    Watch manifests_watch_;
    Watch volumes_watch_;
    bool said_what_is_not_watched_ = false;
    std::vector<FileMount> file_mounts_;   // of the last look, sorted
    std::optional<BootTime> mounts_seen_;  // when that was
    std::deque<Command> pending_;
    std::deque<SaveIdentities> saves_;  // the first is under way in the pool
    std::size_t unanswered_ = 0;
    bool carrying_out_ = false;
    bool going_on_ = false;  // the next turn has been asked for
    rotation::DeadlineQueue<Chore> chores_;
    Task on_settled_;
    std::function<void(const Error&)> on_listing_failed_;
    Task call_;
    std::optional<Watchdog> watchdog_;
    std::optional<BootTime> issuer_due_;
    std::optional<BootTime> objects_due_;
    std::shared_ptr<Driver*> self_;  // emptied when we go: answers on their way find nobody
};

}  // namespace tokenlet::agent
