// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/core/state.h"
#include "projector/admission.h"

namespace tokenlet::agent {

void Core::State::adopt(Now now, std::vector<FoundVolume> found) {
    measure_skew(found);
    for (FoundVolume& volume : found) {
        const auto known = pods_by_uid_.find(volume.path.pod_uid);
        PodState& pod = known != pods_by_uid_.end() ? *known->second : make_pod({}, volume.path.pod_uid);
        if (pod.key == kube::ObjectKey{} && volume.record)
            pod.key = {volume.record->ns, volume.record->pod};
        VolumeState& state = make_volume(pod, volume.path);
        state.names = names_of(pod, volume.path.volume);
        retain(now, state, volume.older);
        state.found = std::move(volume);
    }
}

std::vector<VolumeName> Core::State::names_of(const PodState& pod, const std::string& volume) {
    if (pod.key.name.empty())
        return {};  // an earlier run's, without a record
    std::vector<VolumeName> names{{pod.key.ns, pod.key.name, volume}};
    if (projector::is_injected_name(volume))
        names.push_back({pod.key.ns, pod.key.name, std::string(projector::kInjectedVolume)});
    return names;
}

// The youngest record tells how far the issuer's clock was from ours: without it, every adopted token of an issuer with
// another clock would look refused and be asked for again.
void Core::State::measure_skew(const std::vector<FoundVolume>& found) {
    if (settings_.issuer_clock != IssuerClock::Measured)
        return;
    WallTime youngest = WallTime::min();
    for (const FoundVolume& volume : found) {
        for (const TokenRecord& token : volume.record ? volume.record->tokens : std::vector<TokenRecord>{}) {
            if (token.received_wall <= youngest)
                continue;
            youngest = token.received_wall;
            skew_ = token.times.issued - token.received_wall;
        }
    }
}

VolumeState& Core::State::make_volume(PodState& pod, const VolumePath& path) {
    auto volume = std::make_unique<VolumeState>();
    volume->id = ++last_id_;
    volume->pod = &pod;
    volume->path = path;
    VolumeState& made = *volume;
    pod.volumes[{path.plugin_directory, path.volume}] = &made;
    volumes_by_path_[path] = &made;
    volumes_.emplace(made.id, std::move(volume));
    return made;
}

void Core::State::set_volumes(Now now, PodState& pod) {
    for (const auto& [name, volume] : pod.volumes) {
        if (volume->plan != nullptr)
            set_users(*volume, nullptr);  // the plan it points to is no more
    }
    for (const projector::VolumePlan& plan : pod.plan->volumes) {
        const VolumePath path{pod.uid, std::string(projector::plugin_directory(plan.kind)), plan.name};
        const auto known = pod.volumes.find({path.plugin_directory, path.volume});
        VolumeState& volume = known != pod.volumes.end() ? *known->second : make_volume(pod, path);
        set_users(volume, &plan);
        volume.names = names_of(pod, plan.name);
        deadlines_.cancel({DeadlineKind::Remove, volume.id});
        set_tokens(now, volume);
        dirty_volumes_.insert(volume.id);
    }
    for (const auto& [name, volume] : pod.volumes) {
        if (volume->plan == nullptr && !volume->removing && !deadlines_.deadline({DeadlineKind::Remove, volume->id})) {
            unwant(*volume);
            deadlines_.set({DeadlineKind::Remove, volume->id}, now.boot + settings_.removal_delay);
        }
    }
}

// The new ones are wanted before the old ones are released, so that what both share is kept.
void Core::State::set_tokens(Now now, VolumeState& volume) {
    std::vector<std::uint64_t> tokens;
    for (const projector::TokenSource* source : projector::token_sources(*volume.plan)) {
        const std::uint64_t id = want_token(*volume.pod, projector::token_request(*volume.pod->plan, *source));
        TokenUse& use = uses_.at(id);
        use.volumes.insert(volume.id);
        adopt_token(now, volume, use, source->path);
        tokens.push_back(id);
    }
    volume.found.reset();
    const std::vector<std::uint64_t> before = std::exchange(volume.tokens, std::move(tokens));
    for (const std::uint64_t id : before) {
        if (std::ranges::find(volume.tokens, id) == volume.tokens.end())
            uses_.at(id).volumes.erase(volume.id);
        release_token(id);
    }
}

// Files the volume under the objects it uses, so that their changes wake it; a null plan takes it out.
void Core::State::set_users(VolumeState& volume, const projector::VolumePlan* plan) {
    for (const UsedObject& object : std::exchange(volume.objects, {})) {
        const auto users = users_.find(object);
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
        if (users_[used].insert(volume.id).second)
            volume.objects.push_back(std::move(used));
    }
}

void Core::State::unwant(VolumeState& volume) {
    set_users(volume, nullptr);
    for (const std::uint64_t id : std::exchange(volume.tokens, {})) {
        uses_.at(id).volumes.erase(volume.id);
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
    volume.waiting = false;
    for (const std::uint64_t id : volume.tokens) {
        const TokenCache::Token& token = *uses_.at(id).token;
        if (!token.held) {
            volume.waiting = volume.waiting || !token.error;
            bytes.emplace_back(token.error ? std::unexpected(*token.error)
                                           : fail(Errc::Unavailable, "waiting for the issuer"));
            pending.token_counts.push_back(0);
            continue;
        }
        bytes.emplace_back(token.held->bytes.view());
        const rotation::TokenTimes& times = token.held->times;
        pending.lost_at = std::min(pending.lost_at.value_or(BootTime::max()), times.received + times.ttl);
        pending.endangered_at =
            std::min(pending.endangered_at.value_or(BootTime::max()), times.received + times.ttl - times.ttl / 10);
        pending.expires = std::min(pending.expires.value_or(WallTime::max()), times.expires);
        pending.token_counts.push_back(token.received);
    }
    Result<fsatomic::Payload> payload = projector::build(*volume.pod->plan, *volume.plan, bytes, *this);
    if (!payload) {
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
    PublishVolume publish{.path = volume.path,
                          .names = volume.names,
                          .payload = std::move(*payload),
                          .record = make_record(volume),
                          .keep = {}};
    for (const VolumeState::Retained& retained : volume.retained)
        publish.keep.push_back(retained.generation);
    volume.publishing = true;
    volume.pending = std::move(pending);
    ++publishes_under_way_;
    commands_.emplace_back(std::move(publish));
}

void Core::State::on_published(Now now, const VolumePath& path, const Result<PublishOutcome>& outcome) {
    const auto known = volumes_by_path_.find(path);
    if (known == volumes_by_path_.end() || !known->second->publishing)
        return;
    VolumeState& volume = *known->second;
    volume.publishing = false;
    --publishes_under_way_;
    if (!outcome) {
        volume_failed(now, volume, outcome.error());
    } else {
        ++publishes_;
        volume.failures = 0;
        if (std::exchange(volume.error, std::nullopt) && volume.published)
            report(Report::Level::Info, "volume is well again", about(volume, {}));
        if (outcome->repaired)
            report(Report::Level::Warn, "volume was damaged, it has been repaired",
                   about(volume, {{"was", outcome->reason}}));
        const std::vector<std::uint64_t> before =
            volume.published ? volume.published->token_counts : std::vector<std::uint64_t>{};
        if (outcome->wrote && !volume.published)
            report(Report::Level::Info, "volume published", about(volume, {{"generation", outcome->generation}}));
        volume.published = std::exchange(volume.pending, {});
        if (outcome->wrote) {
            ++volume.rotations;
            report_rotations(now, volume, before);
        }
        retain(now, volume, outcome->older);
    }
    if (volume.plan == nullptr && !deadlines_.deadline({DeadlineKind::Remove, volume.id}))
        remove(volume);  // its time came while it was being published
    else if (std::exchange(volume.look_again, false))
        dirty_volumes_.insert(volume.id);
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
    const Duration delay = backoff(++volume.failures, error.code, left);
    deadlines_.set({DeadlineKind::Publish, volume.id}, now.boot + delay);
    if (!volume.error || volume.error->what != error.what)
        report(Report::Level::Error,
               volume.published ? "volume cannot be published, its files stay as they are"
                                : "volume cannot be published yet",
               about(volume, {{"err", error.what}, {"retry_in", go_duration(delay)}}));
    volume.error = std::move(error);
}

// Readers that resolved ..data before a switch get the grace time to open what they found.
void Core::State::retain(Now now, VolumeState& volume, const std::vector<std::string>& older) {
    std::vector<VolumeState::Retained> retained;
    for (const std::string& generation : older) {
        const auto known = std::ranges::find(volume.retained, generation, &VolumeState::Retained::generation);
        retained.push_back(
            known != volume.retained.end() ? *known : VolumeState::Retained{generation, now.boot + settings_.grace});
    }
    volume.retained = std::move(retained);
    if (volume.retained.empty())
        deadlines_.cancel({DeadlineKind::Sweep, volume.id});
    else
        deadlines_.set({DeadlineKind::Sweep, volume.id}, volume.retained.front().until);
}

void Core::State::sweep(Now now, VolumeState& volume) {
    std::erase_if(volume.retained, [&](const VolumeState::Retained& old) { return old.until <= now.boot; });
    if (!volume.removing) {
        SweepVolume sweep{volume.path, {}};
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
    commands_.emplace_back(RemoveVolume{volume.path, volume.names});
}

void Core::State::on_removed(Now now, const VolumePath& path, const Result<>& result) {
    const auto known = volumes_by_path_.find(path);
    if (known == volumes_by_path_.end() || !known->second->removing)
        return;
    VolumeState& volume = *known->second;
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
    pod.volumes.erase({path.plugin_directory, path.volume});
    volumes_by_path_.erase(path);
    volumes_.erase(volume.id);
    erase_if_empty(now, pod);
}

VolumeRecord Core::State::make_record(const VolumeState& volume) const {
    VolumeRecord record{.pod_uid = volume.pod->uid,
                        .ns = volume.pod->key.ns,
                        .pod = volume.pod->key.name,
                        .volume = volume.path.volume,
                        .boot_id = settings_.boot_id,
                        .tokens = {}};
    const std::vector<const projector::TokenSource*> sources = projector::token_sources(*volume.plan);
    for (std::size_t i = 0; i < sources.size(); ++i) {
        const TokenUse& use = uses_.at(volume.tokens[i]);
        const rotation::HeldToken& held = *use.token->held;
        record.tokens.push_back({.path = sources[i]->path,
                                 .key = use.key,
                                 .issuer = held.issuer,
                                 .key_id = held.key_id,
                                 .service_account_uid = held.service_account_uid,
                                 .sha256 = {},
                                 .received_wall = held.received_wall,
                                 .jitter = held.jitter,
                                 .times = held.times});
    }
    return record;
}

std::vector<Core::State::Field> Core::State::about(const VolumeState& volume, std::vector<Field> more) {
    std::vector<Field> fields{{"pod", volume.pod->key.str()}, {"volume", volume.path.volume}};
    fields.insert(fields.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    return fields;
}

}  // namespace tokenlet::agent
