// SPDX-License-Identifier: Apache-2.0
#include "agent/core/core.h"

#include "agent/core/state.h"

namespace tokenlet::agent {
namespace {

// A clock that is slewed moves by less between two looks; what it adds up to is seen at the next audit.
constexpr Duration kClockStep = std::chrono::seconds(1);

}  // namespace

Core::State::State(CoreSettings settings, std::function<std::uint64_t()> random)
    : settings_(std::move(settings)), random_(std::move(random)), tokens_(settings_.rotation) {}

void Core::State::on_timer(Now now) {
    while (const std::optional<DeadlineId> due = deadlines_.pop_due(now.boot)) {
        switch (due->kind) {
            case DeadlineKind::List:
                list_manifests();
                break;
            case DeadlineKind::SaveIdentities:
                break;  // settle() tries again, now that no deadline stands in the way
            case DeadlineKind::TellIssuer:
                break;
            case DeadlineKind::Guard:
                release_removals();
                break;
            case DeadlineKind::Audit:
                wake_all_tokens();
                for (const auto& [id, volume] : volumes_) {
                    volume->audit = true;
                    dirty_volumes_.insert(id);
                }
                deadlines_.set(*due, now.boot + settings_.audit_interval);
                break;
            case DeadlineKind::Token:
                waking_tokens_.insert(due->id);
                break;
            case DeadlineKind::Publish:
                dirty_volumes_.insert(due->id);
                break;
            case DeadlineKind::Sweep:
                sweep(now, *volumes_.at(due->id));
                break;
            case DeadlineKind::Remove:
                if (VolumeState& volume = *volumes_.at(due->id); volume.pod->gone) {
                    remove(volume);
                } else {
                    overdue_volumes_.insert(due->id);  // goes when a complete listing has it out still
                    list_manifests();
                }
                break;
        }
    }
}

// In the order of the data: Pods make tokens and volumes, tokens make volumes. What a later step marks for an earlier one
// waits for an answer anyway.
void Core::State::settle(Now now) {
    notice_clock_step(now);
    while (!dirty_pods_.empty()) {
        const std::uint64_t id = *dirty_pods_.begin();
        dirty_pods_.erase(dirty_pods_.begin());
        plan_pod(now, *pods_.at(id));
    }
    for (const std::uint64_t id : std::exchange(volumes_to_remove_, {})) {
        if (const auto volume = volumes_.find(id); volume != volumes_.end() && volume->second->plan == nullptr)
            remove(*volume->second);
    }
    watch_objects();
    save_identities();
    tell_issuer();
    for (const std::uint64_t id : std::exchange(waking_tokens_, {})) {
        if (const auto use = uses_.find(id); use != uses_.end())
            look_at_token(now, use->second);
    }
    ask_for_tokens(now);
    publish_dirty_volumes();
}

// Round and round from where the last turn ended, so that volumes which are often dirty cannot starve the others.
void Core::State::publish_dirty_volumes() {
    for (std::size_t looks = dirty_volumes_.size(); looks > 0; --looks) {
        if (publishes_under_way_ >= settings_.publishes_at_once)
            return;
        auto next = dirty_volumes_.upper_bound(publish_cursor_);
        if (next == dirty_volumes_.end())
            next = dirty_volumes_.begin();
        publish_cursor_ = *next;
        dirty_volumes_.erase(next);
        if (const auto volume = volumes_.find(publish_cursor_); volume != volumes_.end())
            look_at_volume(*volume->second);
    }
}

void Core::State::notice_clock_step(Now now) {
    const Duration offset = now.wall.time_since_epoch() - now.boot.time_since_epoch();
    const Duration step = offset - wall_minus_boot_.value_or(offset);
    wall_minus_boot_ = offset;
    if (step < kClockStep && step > -kClockStep)
        return;
    if (settings_.issuer_clock == IssuerClock::Measured)
        skew_ -= step;  // the issuer's goes on as it did
    report(Report::Level::Warn, "wall clock stepped, checking every token", {{"by", go_duration(step)}});
    wake_all_tokens();
}

void Core::State::wake_all_tokens() {
    for (const auto& [id, use] : uses_)
        waking_tokens_.insert(id);
}

void Core::State::list_manifests() {
    if (std::exchange(listing_, true))
        return;
    commands_.emplace_back(ListManifests{});
}

void Core::State::report(Report::Level level, std::string event, std::vector<Field> fields) {
    commands_.emplace_back(Report{level, std::move(event), std::move(fields)});
}

Duration Core::State::backoff(unsigned failures, Errc code, std::optional<Duration> left) {
    return rotation::retry_delay({.count = failures, .code = code, .retry_after = {}}, left, random_());
}

Core::Core(CoreSettings settings, std::function<std::uint64_t()> random)
    : state_(std::make_unique<State>(std::move(settings), std::move(random))) {}

Core::~Core() = default;

void Core::load_identities(std::vector<PodIdentity> identities) {
    state_->load_identities(std::move(identities));
}

void Core::adopt(Now now, std::vector<FoundVolume> found) {
    state_->adopt(now, std::move(found));
}

void Core::on_listed(Now now, Result<kube::Listing> listing) {
    state_->on_listed(now, std::move(listing));
    state_->settle(now);
}

void Core::on_identities_saved(Now now, std::uint64_t ticket, const Result<>& result) {
    state_->on_identities_saved(now, ticket, result);
    state_->settle(now);
}

void Core::on_issuer_told(Now now, std::uint64_t ticket, const Result<IssuerAnswer>& answer) {
    state_->on_issuer_told(now, ticket, answer);
    state_->settle(now);
}

void Core::on_token(Now now, RequestId id, TokenAnswer answer) {
    state_->on_token(now, id, std::move(answer));
    state_->settle(now);
}

void Core::on_published(Now now, const VolumePath& path, const Result<PublishOutcome>& outcome) {
    state_->on_published(now, path, outcome);
    state_->settle(now);
}

void Core::on_touched(Now now, const std::optional<std::vector<VolumePath>>& volumes) {
    state_->on_touched(volumes);
    state_->settle(now);
}

void Core::on_removed(Now now, const VolumePath& path, const Result<>& result) {
    state_->on_removed(now, path, result);
    state_->settle(now);
}

void Core::on_root_ca(Now now, const std::string& pem) {
    state_->on_root_ca(pem);
    state_->settle(now);
}

void Core::on_issuer_keys(Now now, std::vector<std::string> key_ids) {
    state_->on_issuer_keys(std::move(key_ids));
    state_->settle(now);
}

void Core::on_issuer_name(Now now, const std::string& name) {
    state_->on_issuer_name(name);
    state_->settle(now);
}

void Core::on_issuer_clock(Now now, WallTime issuer_now) {
    state_->on_issuer_clock(now, issuer_now);
    state_->settle(now);
}

void Core::on_object(Now now, const WatchedObject& what, ObjectNews news) {
    state_->on_object(what, std::move(news));
    state_->settle(now);
}

void Core::on_timer(Now now) {
    state_->on_timer(now);
    state_->settle(now);
}

std::optional<BootTime> Core::next_deadline() const {
    return state_->next_deadline();
}

void Core::release_removals(Now now) {
    state_->release_removals();
    state_->settle(now);
}

Result<> Core::rotate_now(Now now, const kube::ObjectKey& pod, const std::string& volume) {
    Result<> result = state_->rotate_now(pod, volume);
    state_->settle(now);
    return result;
}

std::vector<Command> Core::take_commands() {
    return state_->take_commands();
}

Status Core::status(Now now) const {
    return state_->status(now);
}

}  // namespace tokenlet::agent
