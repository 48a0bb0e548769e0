// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/driver.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

namespace tokenlet::agent {

Driver::Driver(Parts parts) : parts_(std::move(parts)), self_(std::make_shared<Driver*>(this)) {}

Driver::~Driver() {
    *self_ = nullptr;
}

Result<> Driver::start(Task on_settled, std::function<void(const Error&)> on_listing_failed) {
    on_settled_ = std::move(on_settled);
    on_listing_failed_ = std::move(on_listing_failed);
    timers_ = TRY(Timers::start(
        parts_.loop, [this] { on_alarm(); },
        [this] {
            // The core finds the step itself, by comparing the two clocks.
            tell([](Core& core, Now now) { core.on_timer(now); });
        }));
    manifests_watch_ = TRY(parts_.loop.watch_readable(parts_.manifests.fd(), [this] {
        if (!parts_.manifests.drain())
            return;
        const Now now = parts_.clock();
        look_at_manifests(kube::Look::Touched, now);
        carry_out_pending(now);
    }));
    return watch_volumes();
}

Result<> Driver::watch_volumes() {
    if (parts_.volume_watch)
        volumes_watch_ =
            TRY(parts_.loop.watch_readable(parts_.volume_watch->fd(), [this] { look_at_touched_volumes(); }));
    return {};
}

void Driver::look_at_touched_volumes() {
    const std::optional<std::vector<VolumePath>> touched = parts_.volume_watch->drain();
    if (touched && touched->empty())
        return;  // our own doing
    volumes_watch_ = {};
    const Now now = parts_.clock();
    chores_.set(Chore::WatchVolumes, now.boot + kTouchInterval);
    parts_.core->on_touched(now, touched);
    carry_out_pending(now);
}

void Driver::say_what_is_not_watched() {
    if (!parts_.volume_watch || !parts_.volume_watch->has_missed() || std::exchange(said_what_is_not_watched_, true))
        return;
    report({.level = Report::Level::Warn,
            .event = "not every volume can be watched, damage to the others shows at the next audit; raise "
                     "fs.inotify.max_user_watches",
            .fields = {}});
}

void Driver::plan_look_at_mounts() {
    if (!parts_.mounts || chores_.deadline(Chore::LookAtMounts))
        return;
    const BootTime soon = parts_.clock().boot + kMountsDelay;
    chores_.set(Chore::LookAtMounts, mounts_seen_ ? std::max(soon, *mounts_seen_ + kMountsInterval) : soon);
}

// In the pool: it reads a file for each process.
void Driver::look_at_mounts() {
    parts_.loop.work([mounts = parts_.mounts, self = self_]() -> Task {
        return [found = mounts->find(), self]() mutable {
            if (*self != nullptr)
                (*self)->say_what_is_mounted(std::move(found));
        };
    });
}

void Driver::say_what_is_mounted(std::vector<FileMount> found) {
    std::vector<FileMount> added;
    std::ranges::set_difference(found, file_mounts_, std::back_inserter(added));
    file_mounts_ = std::move(found);
    if (added.empty())
        return;
    for (const PodStatus& pod : status().pods)
        for (const VolumeStatus& volume : pod.volumes)
            for (const FileMount& mount : added)
                if (mount.volume == volume.path)
                    report({.level = Report::Level::Warn,
                            .event = "a mount shows one generation of a volume and will never show another; mount the "
                                     "volume's directory, as `tokenlet mounts` prints it",
                            .fields = {{"pod", pod.ns + "/" + pod.name},
                                       {"volume", volume.name},
                                       {"file", mount.file},
                                       {"mounted_at", mount.point}}});
}

// The way of every event.
template <class Event>
void Driver::tell(Event event) {
    const Now now = parts_.clock();
    event(*parts_.core, now);
    carry_out_pending(now);
}

void Driver::carry_out_pending(Now now) {
    if (std::exchange(carrying_out_, true))
        return;  // an answer given at once: whoever carries out commands further up takes the new ones, too
    const BootTime until = now.boot + kTurn;
    for (;;) {
        for (Command& command : parts_.core->take_commands())
            pending_.push_back(std::move(command));
        if (pending_.empty())
            break;
        const Now at = parts_.clock();
        if (at.boot >= until && !going_on_) {
            going_on_ = true;
            parts_.loop.post([this, self = self_] {
                if (*self == nullptr)
                    return;
                going_on_ = false;
                carry_out_pending(parts_.clock());
            });
        }
        if (at.boot >= until)
            break;
        Command command = std::move(pending_.front());
        pending_.pop_front();
        std::visit([&](auto& what) { carry_out(std::move(what), at); }, command);
    }
    issuer_due_ = parts_.issuer.maintain(now);
    objects_due_ = parts_.objects == nullptr ? std::nullopt : parts_.objects->maintain(now);
    carrying_out_ = false;
    settle_up(now);
    arm(now);
}

void Driver::settle_up(Now now) {
    if (!on_settled_ || unanswered_ > 0 || !pending_.empty() || !parts_.core->status(now).settled)
        return;
    std::exchange(on_settled_, nullptr)();
}

void Driver::arm(Now now) {
    std::optional<BootTime> next;
    for (const std::optional<BootTime>& due :
         {parts_.core->next_deadline(), parts_.publisher->next_deadline(), issuer_due_, objects_due_, chores_.next()})
        if (due && (!next || *due < *next))
            next = due;
    timers_->arm(next, now.boot);
}

void Driver::on_alarm() {
    const Now now = parts_.clock();
    while (const std::optional<Chore> chore = chores_.pop_due(now.boot)) {
        switch (*chore) {
            case Chore::Resync:
                look_at_manifests(kube::Look::Everything, now);
                plan_look_at_mounts();
                break;
            case Chore::Watchdog:
                watchdog_->feed();
                chores_.set(Chore::Watchdog, now.boot + watchdog_->period);
                break;
            case Chore::WatchVolumes:
                if (!watch_volumes())
                    chores_.set(Chore::WatchVolumes, now.boot + kTouchInterval);
                break;
            case Chore::LookAtMounts:
                mounts_seen_ = now.boot;
                look_at_mounts();
                break;
            case Chore::Call:
                if (Task call = std::exchange(call_, nullptr))
                    call();
                break;
        }
    }
    parts_.publisher->on_timer(now);
    if (const auto due = parts_.core->next_deadline(); due && *due <= now.boot)
        parts_.core->on_timer(now);
    carry_out_pending(now);
}

void Driver::call_after(Duration delay, Task task) {
    call_ = std::move(task);
    const Now now = parts_.clock();
    chores_.set(Chore::Call, now.boot + delay);
    arm(now);
}

void Driver::watch_over(Watchdog watchdog) {
    watchdog_ = std::move(watchdog);
    const Now now = parts_.clock();
    chores_.set(Chore::Watchdog, now.boot + watchdog_->period);
    arm(now);
}

void Driver::list_manifests() {
    const Now now = parts_.clock();
    look_at_manifests(kube::Look::Everything, now);
    carry_out_pending(now);
}

void Driver::on_root_ca(const std::string& pem) {
    tell([&](Core& core, Now now) { core.on_root_ca(now, pem); });
}

void Driver::on_issuer_name(const std::string& name) {
    tell([&](Core& core, Now now) { core.on_issuer_name(now, name); });
}

void Driver::on_object(const WatchedObject& what, ObjectNews news) {
    tell([&](Core& core, Now now) { core.on_object(now, what, std::move(news)); });
}

void Driver::look_at_time() {
    carry_out_pending(parts_.clock());
}

void Driver::on_issuer_keys(std::vector<std::string> key_ids) {
    tell([&](Core& core, Now now) { core.on_issuer_keys(now, std::move(key_ids)); });
}

void Driver::on_issuer_clock(WallTime issuer_now) {
    tell([&](Core& core, Now now) { core.on_issuer_clock(now, issuer_now); });
}

void Driver::release_removals() {
    tell([](Core& core, Now now) { core.release_removals(now); });
}

Result<> Driver::rotate_now(const kube::ObjectKey& pod, const std::string& volume) {
    Result<> result;
    tell([&](Core& core, Now now) { result = core.rotate_now(now, pod, volume); });
    return result;
}

void Driver::report(const Report& report) {
    parts_.logger.write(report, parts_.clock().wall);
}

Status Driver::status() const {
    return parts_.core->status(parts_.clock());
}

void Driver::look_at_manifests(kube::Look look, Now now) {
    Result<kube::Listing> listing = parts_.manifests.list(look);
    if (!listing && on_listing_failed_)
        on_listing_failed_(listing.error());
    const Duration untrusted = std::min<Duration>(parts_.resync, kUntrustedResync);
    const bool trusted = parts_.manifests.inotify_trusted();
    if (look == kube::Look::Everything || !trusted || !chores_.deadline(Chore::Resync))
        chores_.set(Chore::Resync, now.boot + (trusted ? parts_.resync : untrusted));
    parts_.core->on_listed(now, std::move(listing));
}

void Driver::carry_out(ListManifests&&, Now now) {
    look_at_manifests(kube::Look::Everything, now);
}

// In the pool, because it waits for the disk; one at a time, because the file has an order.
void Driver::carry_out(SaveIdentities&& command, Now) {
    ++unanswered_;
    saves_.push_back(std::move(command));
    if (saves_.size() == 1)
        save_next();
}

void Driver::save_next() {
    const SaveIdentities& save = saves_.front();
    parts_.loop.work([store = parts_.identities, added = save.added, removed = save.removed, self = self_]() -> Task {
        return [result = store->save(added, removed), self] {
            Driver* driver = *self;
            if (driver == nullptr)
                return;
            const std::uint64_t ticket = driver->saves_.front().ticket;
            driver->saves_.pop_front();
            if (!driver->saves_.empty())
                driver->save_next();
            --driver->unanswered_;
            driver->tell([&](Core& core, Now now) { core.on_identities_saved(now, ticket, result); });
        };
    });
}

void Driver::carry_out(TellIssuer&& command, Now) {
    ++unanswered_;
    const std::uint64_t ticket = command.ticket;
    parts_.issuer.tell(std::move(command), [this, ticket](const Result<IssuerAnswer>& answer) {
        --unanswered_;
        tell([&](Core& core, Now now) { core.on_issuer_told(now, ticket, answer); });
    });
}

void Driver::carry_out(RequestToken&& command, Now) {
    ++unanswered_;
    const RequestId id = command.id;
    parts_.issuer.issue(std::move(command), [this, id](TokenAnswer answer) {
        --unanswered_;
        tell([&](Core& core, Now now) { core.on_token(now, id, std::move(answer)); });
    });
}

void Driver::carry_out(WatchObjects&& command, Now now) {
    if (parts_.objects != nullptr)
        parts_.objects->watch(std::move(command), now);
}

void Driver::carry_out(PublishVolume&& command, Now now) {
    ++unanswered_;
    VolumePath path = command.path;
    parts_.publisher->publish(std::move(command), now,
                              [this, path = std::move(path)](const Result<PublishOutcome>& outcome) {
                                  --unanswered_;
                                  if (outcome && outcome->wrote)
                                      plan_look_at_mounts();
                                  tell([&](Core& core, Now at) { core.on_published(at, path, outcome); });
                                  say_what_is_not_watched();
                              });
}

void Driver::carry_out(SweepVolume&& command, Now now) {
    std::string path = command.path.str();
    parts_.publisher->sweep(std::move(command), now, [this, path = std::move(path)](const Result<>& result) {
        if (!result)
            report({.level = Report::Level::Warn,
                    .event = "old generations cannot be removed, the next sweep tries again",
                    .fields = {{"volume", path}, {"err", result.error().what}}});
    });
}

void Driver::carry_out(RemoveVolume&& command, Now now) {
    VolumePath path = command.path;
    parts_.publisher->remove(std::move(command), now, [this, path = std::move(path)](const Result<>& result) {
        tell([&](Core& core, Now at) { core.on_removed(at, path, result); });
    });
}

void Driver::carry_out(Report&& command, Now now) {
    parts_.logger.write(command, now.wall);
}

}  // namespace tokenlet::agent
