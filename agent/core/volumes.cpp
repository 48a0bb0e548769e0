// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/core/state.h"
#include "projector/admission.h"

namespace tokenlet::agent {

namespace {

// After a repair.
constexpr Duration kSoonestLook = std::chrono::seconds(1);
constexpr Duration kLatestLook = std::chrono::seconds(30);

// As projector names it; empty: no volume of ours stands there.
std::string_view known_plugin(std::string_view directory) {
    for (const kube::VolumeKind kind : {kube::VolumeKind::Projected, kube::VolumeKind::Secret,
                                        kube::VolumeKind::ConfigMap, kube::VolumeKind::DownwardApi}) {
        if (projector::plugin_directory(kind) == directory)
            return projector::plugin_directory(kind);
    }
    return {};
}

}  // namespace

VolumePath VolumeState::path() const {
    return {.pod_uid = pod->uid,
            .plugin_directory = std::string(plugin_directory),
            .volume = name,
            .direct = direct ? *direct : std::string()};
}

std::vector<VolumeName> VolumeState::names() const {
    const kube::ObjectKey& key = pod->key;
    if (key.name.empty())
        return {};  // an earlier run's, without a record
    std::vector<VolumeName> names{{key.ns, key.name, name}};
    if (projector::is_injected_name(name))
        names.push_back({key.ns, key.name, std::string(projector::kInjectedVolume)});
    return names;
}

VolumeState* PodState::volume(std::string_view plugin_directory, std::string_view name, std::string_view direct) const {
    const auto found = std::ranges::find_if(volumes, [&](const VolumeState* volume) {
        return volume->name == name && volume->plugin_directory == plugin_directory &&
               (volume->direct ? *volume->direct == direct : direct.empty());
    });
    return found == volumes.end() ? nullptr : *found;
}

void Core::State::adopt(Now now, std::vector<FoundVolume> found) {
    measure_skew(now, found);
    for (FoundVolume& volume : found) {
        const std::string_view plugin = known_plugin(volume.path.plugin_directory);
        if (plugin.empty())
            continue;
        const auto known = pods_by_uid_.find(volume.path.pod_uid);
        PodState& pod = known != pods_by_uid_.end() ? *known->second : make_pod({}, volume.path.pod_uid);
        if (pod.key == kube::ObjectKey{} && volume.record) {
            pod.key = {volume.record->ns, volume.record->pod};
            // When stateDir was lost a Pod of this name keeps its uid, and its readers their files. Else the uid is missing
            // there because the Pod has left, and its volume is what a crash kept from going.
            if (no_identities_)
                pods_by_key_.try_emplace(pod.key, &pod);
        }
        VolumeState& state =
            make_volume(pod, plugin, volume.path.volume,
                        volume.path.direct.empty() ? Boxed<std::string>() : Boxed<std::string>(volume.path.direct));
        retain(now, state, volume.older);
        state.found = std::move(volume);
    }
}

// The youngest record tells how far the issuer's clock was from ours: without it, every adopted token of an issuer with
// another clock would look refused and be asked for again. Of one boot its own clock tells which is younger, for ours may
// have been stepped in between.
void Core::State::measure_skew(Now now, const std::vector<FoundVolume>& found) {
    if (settings_.issuer_clock != IssuerClock::Measured)
        return;
    const TokenRecord* youngest = nullptr;
    const std::string* boot = nullptr;
    const auto is_younger = [&](const TokenRecord& token, const std::string& token_boot) {
        if (youngest == nullptr)
            return true;
        if (token_boot == *boot)
            return token.times.received > youngest->times.received;
        if (token_boot == settings_.boot_id || *boot == settings_.boot_id)
            return token_boot == settings_.boot_id;
        return token.received_wall > youngest->received_wall;
    };
    for (const FoundVolume& volume : found) {
        if (!volume.record)
            continue;
        for (const TokenRecord& token : volume.record->tokens) {
            if (!is_younger(token, volume.record->boot_id))
                continue;
            youngest = &token;
            boot = &volume.record->boot_id;
        }
    }
    if (youngest == nullptr)
        return;
    // Of this boot, the age that no step touches says what our clock would have shown then.
    const WallTime received =
        *boot == settings_.boot_id ? now.wall - (now.boot - youngest->times.received) : youngest->received_wall;
    skew_ = youngest->times.issued - received;
}

VolumeState* Core::State::find_volume(const VolumePath& path) const {
    const auto pod = pods_by_uid_.find(path.pod_uid);
    return pod == pods_by_uid_.end() ? nullptr : pod->second->volume(path.plugin_directory, path.volume, path.direct);
}

VolumeState& Core::State::make_volume(PodState& pod, std::string_view plugin_directory, std::string name,
                                      const Boxed<std::string>& direct) {
    auto volume = std::make_unique<VolumeState>();
    volume->id = ++last_id_;
    volume->pod = &pod;
    volume->plugin_directory = plugin_directory;
    volume->name = std::move(name);
    volume->direct = direct;
    VolumeState& made = *volume;
    claim_place(made);
    pod.volumes.push_back(&made);
    volumes_.emplace(made.id, std::move(volume));
    return made;
}

void Core::State::set_volumes(Now now, PodState& pod) {
    for (VolumeState* volume : pod.volumes) {
        if (volume->plan != nullptr)
            set_users(*volume, nullptr);  // the plan it points to is no more
    }
    for (const projector::VolumePlan& plan : pod.plan->volumes) {
        const std::string_view plugin = projector::plugin_directory(plan.kind);
        VolumeState* const known = pod.volume(plugin, plan.name, plan.place());
        VolumeState& volume = known != nullptr ? *known : make_volume(pod, plugin, plan.name, plan.direct);
        set_users(volume, &plan);
        deadlines_.cancel({DeadlineKind::Remove, volume.id});
        overdue_volumes_.erase(volume.id);
        set_tokens(now, volume);
        dirty_volumes_.insert(volume.id);
    }
    for (VolumeState* volume : pod.volumes) {
        if (volume->plan == nullptr && !volume->removing && !deadlines_.deadline({DeadlineKind::Remove, volume->id})) {
            unwant(*volume);
            deadlines_.set({DeadlineKind::Remove, volume->id}, now.boot + settings_.removal_delay);
        }
    }
}

// The new ones are wanted before the old ones are released, so that what both share is kept.
void Core::State::set_tokens(Now now, VolumeState& volume) {
    std::vector<std::uint64_t> tokens;
    volume.stands = volume.found && volume.found->record;
    for (const projector::TokenSource* source : projector::token_sources(*volume.plan)) {
        const std::uint64_t id = want_token(volume, projector::token_request(*volume.pod->plan, *source));
        TokenUse& use = uses_.at(id);
        volume.stands = adopt_token(now, volume, use, source->path) && volume.stands;
        tokens.push_back(id);
    }
    volume.found.reset();
    const std::vector<std::uint64_t> before = std::exchange(volume.tokens, std::move(tokens));
    for (const std::uint64_t id : before) {
        if (std::ranges::find(volume.tokens, id) == volume.tokens.end())
            std::erase(uses_.at(id).volumes, volume.id);
        release_token(id);
    }
}

// Files the volume under the objects it uses, so that their changes wake it; a null plan takes it out.
void Core::State::set_users(VolumeState& volume, const projector::VolumePlan* plan) {
    watches_stale_ = true;
    for (const VolumesByObject::iterator users : std::exchange(volume.objects, {})) {
        users->second.erase(volume.id);
        if (users->second.empty())
            users_.erase(users);
    }
    volume.plan = plan;
    if (plan == nullptr)
        return;
    for (const projector::Source& source : plan->sources) {
        UsedObject used{projector::ObjectKind::ClusterTrustBundle, {}};  // selectors may mean any bundle
        if (const auto* object = std::get_if<projector::ObjectSource>(&source))
            used = {object->kind, {volume.pod->key.ns, object->name}};
        else if (!std::holds_alternative<projector::BundleSource>(source))
            continue;
        const auto users = users_.try_emplace(std::move(used)).first;
        if (users->second.insert(volume.id).second)
            volume.objects.push_back(users);
    }
}

void Core::State::unwant(VolumeState& volume) {
    set_users(volume, nullptr);
    for (const std::uint64_t id : std::exchange(volume.tokens, {})) {
        std::erase(uses_.at(id).volumes, volume.id);
        release_token(id);
    }
    volume.error.reset();
    deadlines_.cancel({DeadlineKind::Publish, volume.id});
    dirty_volumes_.erase(volume.id);
}

void Core::State::look_at_volume(VolumeState& volume) {
    if (volume.publishing || volume.removing) {
        volume.look_again = true;
        return;
    }
    if (volume.plan == nullptr)
        return;

    std::vector<projector::TokenBytes> bytes;
    VolumeState::Published pending;
    volume.waiting = awaits_object(volume);
    const Error* const no_account = account_trouble(*volume.pod);
    for (const std::uint64_t id : volume.tokens) {
        const TokenCache::Token& token = *uses_.at(id).token;
        if (!token.held) {
            volume.waiting = volume.waiting || (!token.error && no_account == nullptr);
            bytes.emplace_back(token.error             ? std::unexpected(*token.error)
                               : no_account != nullptr ? std::unexpected(*no_account)
                                                       : fail(Errc::Unavailable, "waiting for the issuer"));
            pending.token_counts.push_back(0);
            continue;
        }
        bytes.emplace_back(token.held->bytes.view());
        const rotation::TokenTimes& times = token.held->times;
        pending.lost_at = std::min(pending.lost_at.value_or(BootTime::max()), times.received + times.ttl);
        pending.endangered_at =
            std::min(pending.endangered_at.value_or(BootTime::max()), times.received + times.ttl - times.ttl / 10);
        pending.valid_from = std::max(pending.valid_from.value_or(WallTime::min()), times.issued - rotation::kLeeway);
        pending.expires = std::min(pending.expires.value_or(WallTime::max()), times.expires);
        pending.token_counts.push_back(token.received);
    }
    const Error* const no_bundle = bundle_trouble(volume);
    Result<fsatomic::Payload> payload = no_bundle != nullptr
                                            ? std::unexpected(*no_bundle)
                                            : projector::build(*volume.pod->plan, *volume.plan, bytes, *this);
    if (!payload) {
        // What an earlier run published serves its readers, although what it was made of cannot be looked up now.
        if (volume.stands && !volume.published && payload.error().code == Errc::Unavailable)
            volume.published = std::move(pending);
        // What it lacks is a token or an object: the mark comes with it.
        if (!volume.error || volume.error->what != payload.error().what) {
            const bool waiting = payload.error().code == Errc::Unavailable;
            report(
                waiting ? Report::Level::Debug : Report::Level::Error,
                volume.published ? "volume cannot be built, its files stay as they are" : "volume cannot be built yet",
                about(volume, {{"err", payload.error().what}}));
        }
        volume.error = std::move(payload.error());
        return;
    }
    PublishVolume publish{.path = volume.path(),
                          .names = volume.names(),
                          .payload = std::move(*payload),
                          .record = make_record(volume),
                          .keep = {},
                          .audit = std::exchange(volume.audit, false)};
    for (const VolumeState::Retained& retained : volume.retained)
        publish.keep.push_back(retained.generation);
    volume.publishing = true;
    volume.pending = std::move(pending);
    ++publishes_under_way_;
    commands_.emplace_back(std::move(publish));
}

void Core::State::on_published(Now now, const VolumePath& path, const Result<PublishOutcome>& outcome) {
    VolumeState* const known = find_volume(path);
    if (known == nullptr || !known->publishing)
        return;
    VolumeState& volume = *known;
    volume.publishing = false;
    --publishes_under_way_;
    if (!outcome) {
        volume_failed(now, volume, outcome.error());
    } else {
        ++publishes_;
        const bool failed_before = std::exchange(volume.failures, 0) > 0;
        volume.failed_at.reset();
        if (!outcome->repaired)
            volume.repairs = 0;
        if (std::exchange(volume.error, std::nullopt) && volume.published)
            report(Report::Level::Info, "volume is well again", about(volume, {}));
        if (outcome->repaired || failed_before)
            compare_again(now, volume);
        if (outcome->repaired) {
            ++repairs_;
            report(Report::Level::Warn, "volume was damaged, it has been repaired",
                   about(volume, {{"was", outcome->reason}}));
        }
        const std::vector<std::uint64_t> before =
            volume.published ? volume.published->token_counts : std::vector<std::uint64_t>{};
        if (outcome->wrote && !volume.published)
            report(Report::Level::Info, "volume published", about(volume, {{"generation", outcome->generation}}));
        volume.published = std::move(*volume.pending);
        volume.pending.reset();
        if (outcome->wrote) {
            ++volume.rotations;
            report_rotations(now, volume, before);
        }
        retain(now, volume, outcome->older);
        take_blocked(volume, outcome->blocked);
    }
    if (volume.plan == nullptr && !deadlines_.deadline({DeadlineKind::Remove, volume.id}) &&
        !overdue_volumes_.contains(volume.id))
        remove(volume);  // its time came while it was being published
    else if (std::exchange(volume.look_again, false))
        dirty_volumes_.insert(volume.id);
}

// Whoever damages a volume may be at it still, and the end of publishing it hides what happens meanwhile from those who watch.
// Later and later, for a file system may be unable to keep what it is told.
void Core::State::compare_again(Now now, VolumeState& volume) {
    const Duration delay = std::min(kSoonestLook * (1U << std::min(volume.repairs, 10U)), kLatestLook);
    ++volume.repairs;
    deadlines_.set({DeadlineKind::Publish, volume.id}, now.boot + delay);
}

// Something of somebody else where a name of the volume belongs: it may be a mount point, so it is left alone, but readers
// do not find the file.
void Core::State::take_blocked(VolumeState& volume, const std::vector<std::string>& blocked) {
    volume.blocked = !blocked.empty();
    if (blocked.empty())
        return;
    volume.error =
        Error{Errc::Io, blocked.front() + ": something else stands where the link to the file belongs; remove it"};
    report(Report::Level::Error, "volume is published, but not all of it can be found",
           about(volume, {{"err", volume.error->what}}));
}

void Core::State::report_rotations(Now now, const VolumeState& volume, const std::vector<std::uint64_t>& before) {
    if (volume.plan == nullptr)
        return;
    const std::vector<const projector::TokenSource*> sources = projector::token_sources(*volume.plan);
    for (std::size_t i = 0; i < volume.tokens.size() && i < sources.size(); ++i) {
        const TokenUse& use = uses_.at(volume.tokens[i]);
        if (!use.token->held || before.size() != volume.tokens.size() || before[i] == use.token->received)
            continue;
        const rotation::HeldToken& held = *use.token->held;
        const rotation::Due due = rotation::due(held.times, held.jitter, tokens_.policy());
        report(Report::Level::Info, "token rotated",
               about(volume, {{"path", sources[i]->path},
                              {"audience", sources[i]->audience},
                              {"ttl", go_duration(held.times.ttl)},
                              {"next", go_duration(due.at - now.boot)}}));
    }
}

void Core::State::volume_failed(Now now, VolumeState& volume, Error error) {
    std::optional<Duration> left;
    if (volume.published && volume.published->lost_at)
        left = *volume.published->lost_at - now.boot;
    volume.failed_at = now.boot;
    const Duration delay = backoff(++volume.failures, error.code, left);
    deadlines_.set({DeadlineKind::Publish, volume.id}, now.boot + delay);
    if (!volume.retained.empty())
        deadlines_.set({DeadlineKind::Sweep, volume.id}, now.boot + grace_of(volume));
    if (!volume.error || volume.error->what != error.what)
        report(Report::Level::Error,
               volume.published ? "volume cannot be published, its files stay as they are"
                                : "volume cannot be published yet",
               about(volume, {{"err", error.what}, {"retry_in", go_duration(delay)}}));
    volume.error = std::move(error);
}

Duration Core::State::grace_of(const VolumeState& volume) const {
    const std::optional<projector::Plan>& plan = volume.pod->plan;
    return plan && plan->grace ? *plan->grace : settings_.grace;
}

// Readers that resolved ..data before a switch get the grace time to open what they found.
void Core::State::retain(Now now, VolumeState& volume, const std::vector<std::string>& older) {
    const Duration grace = grace_of(volume);
    std::vector<VolumeState::Retained> retained;
    for (const std::string& generation : older) {
        const auto known = std::ranges::find(volume.retained, generation, &VolumeState::Retained::generation);
        retained.push_back(known != volume.retained.end() ? *known
                                                          : VolumeState::Retained{generation, now.boot + grace});
    }
    volume.retained = std::move(retained);
    if (volume.retained.empty())
        deadlines_.cancel({DeadlineKind::Sweep, volume.id});
    else
        deadlines_.set({DeadlineKind::Sweep, volume.id}, volume.retained.front().until);
}

void Core::State::sweep(Now now, VolumeState& volume) {
    // Neither is the name known of what a publish under way replaces, or one that failed after it had switched.
    if (volume.publishing)
        return;  // its end sets the deadline again
    if (volume.failed_at && now.boot < *volume.failed_at + grace_of(volume)) {
        deadlines_.set({DeadlineKind::Sweep, volume.id}, *volume.failed_at + grace_of(volume));
        return;
    }
    std::erase_if(volume.retained, [&](const VolumeState::Retained& old) { return old.until <= now.boot; });
    if (!volume.removing) {
        SweepVolume sweep{volume.path(), {}};
        for (const VolumeState::Retained& old : volume.retained)
            sweep.keep.push_back(old.generation);
        commands_.emplace_back(std::move(sweep));
    }
    if (!volume.retained.empty())
        deadlines_.set({DeadlineKind::Sweep, volume.id}, volume.retained.front().until);
}

void Core::State::remove(VolumeState& volume) {
    if (volume.publishing || std::exchange(volume.removing, true))
        return;
    deadlines_.cancel({DeadlineKind::Sweep, volume.id});
    commands_.emplace_back(RemoveVolume{volume.path(), volume.names()});
}

// One that could not be published has its own time to be tried again, which whoever touches it must not move.
void Core::State::on_touched(const std::optional<std::vector<VolumePath>>& volumes) {
    const auto compare = [this](const VolumeState& volume) {
        if (volume.failures == 0 && (volume.published || volume.publishing))
            dirty_volumes_.insert(volume.id);
    };
    if (!volumes) {
        for (const auto& [id, volume] : volumes_)
            compare(*volume);
        return;
    }
    for (const VolumePath& path : *volumes) {
        if (const VolumeState* const volume = find_volume(path))
            compare(*volume);
    }
}

void Core::State::on_removed(Now now, const VolumePath& path, const Result<>& result) {
    VolumeState* const known = find_volume(path);
    if (known == nullptr || !known->removing)
        return;
    VolumeState& volume = *known;
    PodState& pod = *volume.pod;
    volume.removing = false;
    volume.published.reset();
    volume.retained.clear();
    if (!result) {
        if (!volume.error || volume.error->what != result.error().what)
            report(Report::Level::Error, "volume cannot be removed, trying again",
                   about(volume, {{"err", result.error().what}, {"retry_in", go_duration(rotation::kMaxRetry)}}));
        volume.error = result.error();
        if (volume.plan == nullptr)
            deadlines_.set({DeadlineKind::Remove, volume.id}, now.boot + rotation::kMaxRetry);
    }
    if (volume.plan != nullptr) {  // wanted again meanwhile
        volume.look_again = false;
        dirty_volumes_.insert(volume.id);
        return;
    }
    if (!result)
        return;
    report(Report::Level::Info, "volume removed", about(volume, {}));
    std::erase(pod.volumes, &volume);
    release_place(volume);
    volumes_.erase(volume.id);
    erase_if_empty(now, pod);
}

VolumeRecord Core::State::make_record(const VolumeState& volume) const {
    VolumeRecord record{.pod_uid = volume.pod->uid,
                        .ns = volume.pod->key.ns,
                        .pod = volume.pod->key.name,
                        .volume = volume.name,
                        .boot_id = settings_.boot_id,
                        .tokens = {}};
    const std::vector<const projector::TokenSource*> sources = projector::token_sources(*volume.plan);
    for (std::size_t i = 0; i < sources.size(); ++i) {
        const TokenUse& use = uses_.at(volume.tokens[i]);
        const rotation::HeldToken& held = *use.token->held;
        record.tokens.push_back({.path = sources[i]->path,
                                 .key = std::string(use.token->key),
                                 .issuer = std::string(held.issuer),
                                 .key_id = std::string(held.key_id),
                                 .service_account_uid = std::string(held.service_account_uid),
                                 .sha256 = {},
                                 .received_wall = held.received_wall,
                                 .jitter = held.jitter,
                                 .times = held.times,
                                 .valid_until = held.valid_until});
    }
    return record;
}

std::vector<Core::State::Field> Core::State::about(const VolumeState& volume, std::vector<Field> more) {
    std::vector<Field> fields{{"pod", volume.pod->key.str()}, {"volume", volume.name}};
    fields.insert(fields.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    return fields;
}

}  // namespace tokenlet::agent
