// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/core/state.h"

namespace tokenlet::agent {
namespace {

constexpr Duration kHold = std::chrono::hours(1);
constexpr std::size_t kFewPods = 4;  // fewer cannot vanish "together"

}  // namespace

void Core::State::see_absent(Now now, const kube::Identity& object) {
    // Editors, git and rsync unlink and create: only absence that lasts is leaving.
    if (object.kind != "Pod") {
        absent_objects_[object] = now.boot;
    } else if (const auto pod = pods_by_key_.find(object.key); pod != pods_by_key_.end()) {
        pod->second->absent_since = now.boot;
        report(Report::Level::Info, "manifest of a pod has vanished, waiting for it to come back",
               {{"pod", object.key.str()}, {"for", go_duration(settings_.removal_delay)}});
    }
    deadlines_.set({DeadlineKind::List}, now.boot + settings_.removal_delay);
}

void Core::State::see_returned(const kube::Identity& object) {
    absent_objects_.erase(object);
    if (object.kind != "Pod")
        return;
    if (const auto pod = pods_by_key_.find(object.key); pod != pods_by_key_.end()) {
        pod->second->absent_since.reset();
        pod->second->released = false;
    }
}

// What an earlier run knew and this directory does not have counts as absent from now on.
void Core::State::see_first_listing(Now now) {
    first_listed_ = now.boot;
    deadlines_.set({DeadlineKind::Audit}, now.boot + settings_.audit_interval);
    deadlines_.set({DeadlineKind::List}, now.boot + settings_.removal_delay);
    for (const auto& [id, pod] : pods_) {
        const auto current = pods_by_key_.find(pod->key);
        const bool here =
            current != pods_by_key_.end() && current->second == pod.get() && manifests_.pod(pod->key) != nullptr;
        if (!here && !pod->gone && !pod->absent_since)
            pod->absent_since = now.boot;
    }
}

// Called after each complete listing, so whatever is absent is absent now.
void Core::State::consider_removals(Now now) {
    // A document that cannot be read may be the one of a Pod that this process has never seen.
    if (!manifests_.problems().empty())
        all_read_since_.reset();
    else if (!all_read_since_)
        all_read_since_ = now.boot;
    if (removals_held(now))
        return;
    volumes_to_remove_.merge(std::exchange(overdue_volumes_, {}));
    const auto over = [&](BootTime since) { return since + settings_.removal_delay <= now.boot; };
    std::vector<PodState*> leaving;
    std::optional<BootTime> next;
    const auto wait_for = [&](BootTime since) {
        next = std::min(next.value_or(BootTime::max()), since + settings_.removal_delay);
    };
    for (const auto& [id, pod] : pods_) {
        if (!pod->absent_since || pod->gone || (!pod->seen && !all_read_since_))
            continue;
        const BootTime since = pod->seen ? *pod->absent_since : std::max(*pod->absent_since, *all_read_since_);
        if (over(since))
            leaving.push_back(pod.get());
        else
            wait_for(since);
    }
    for (PodState* pod : leaving) {
        const auto current = pods_by_key_.find(pod->key);
        const bool named = current != pods_by_key_.end() && current->second == pod;
        const kube::Identity identity{"Pod", pod->key};
        leave(now, *pod);
        if (named)
            take_changes(now, manifests_.forget(identity));
    }

    for (auto object = absent_objects_.begin(); object != absent_objects_.end();) {
        if (!over(object->second)) {
            wait_for(object->second);
            ++object;
            continue;
        }
        const kube::Identity identity = object->first;
        object = absent_objects_.erase(object);
        report(Report::Level::Info, "object has left", {{"kind", identity.kind}, {"name", identity.key.str()}});
        const kube::Changes changes = manifests_.forget(identity);
        if (identity.kind == "ServiceAccount") {
            accounts_gone_.push_back(identity.key);
            if (settings_.objects_from == ObjectsFrom::Manifests)
                account_uids_.erase(identity.key);
            accounts_to_tell_.erase(identity.key);
            if (identity.key.name == kube::kDefaultServiceAccount)
                accounts_to_tell_.insert(identity.key);  // goes on to exist, as another one
            wake_account(identity.key);
        } else {
            wake_users(identity);
        }
        take_changes(now, changes);
    }

    // Only now is it sure that what is on the issuer's record and in no manifest has really gone.
    if (!told_everything_ && all_read_since_) {
        const BootTime sure = std::max(*first_listed_, *all_read_since_);
        // A Pod whose manifest is refused is not told, and has not gone.
        const auto is_told = [](const auto& entry) { return entry.second->plan || entry.second->gone; };
        if (!over(sure))
            wait_for(sure);
        else if (std::ranges::all_of(pods_, is_told))
            everything_to_tell_ = told_everything_ = true;
    }
    if (next)
        deadlines_.set({DeadlineKind::List}, *next);
}

bool Core::State::removals_held(Now now) {
    const bool release = std::exchange(release_asked_, false);
    std::size_t absent = 0;
    std::size_t all = 0;
    for (const auto& [id, pod] : pods_) {
        if (pod->gone)
            continue;
        ++all;
        pod->released |= release && pod->absent_since;
        absent += pod->absent_since && !pod->released ? 1 : 0;
    }
    if (absent == 0) {
        if (std::exchange(held_until_, std::nullopt))
            report(Report::Level::Info, "removals are no longer held: every pod is back", {});
        deadlines_.cancel({DeadlineKind::Guard});
        held_why_.clear();
        directory_changed_ = false;
        return false;
    }
    if (held_until_)
        return true;

    if (directory_changed_)
        held_why_ = "the manifest directory has become another one and " + std::to_string(absent) + " of " +
                    std::to_string(all) + " pods are not in it";
    else if (all >= kFewPods && absent * 2 > all)
        held_why_ = std::to_string(absent) + " of " + std::to_string(all) + " pods vanished together";
    else
        return false;
    held_until_ = now.boot + kHold;
    deadlines_.set({DeadlineKind::Guard}, *held_until_);
    report(Report::Level::Error, "removal of pods is held: run `tokenlet prune` if they are really to go",
           {{"why", held_why_}, {"until", rfc3339(now.wall + kHold)}});
    return true;
}

// By a person, or because the hour is over: what is absent at the next complete listing goes, and nothing else.
void Core::State::release_removals() {
    release_asked_ = true;
    held_until_.reset();
    held_why_.clear();
    deadlines_.cancel({DeadlineKind::Guard});
    list_manifests();
}

void Core::State::leave(Now now, PodState& pod) {
    report(Report::Level::Info, "pod has left, its tokens die and its volumes are removed",
           {{"pod", pod.key.str()}, {"uid", pod.uid}});
    pod.gone = true;
    // The issuer is told only when the uid is off the disk: else a crash in between would bring it back from the dead.
    (pod.drawn ? identities_to_remove_ : pods_gone_).push_back({pod.key, pod.uid});
    pods_to_save_.erase(pod.id);
    pods_to_tell_.erase(pod.id);
    dirty_pods_.erase(pod.id);
    pods_waiting_for_place_.erase(pod.id);
    pods_waiting_for_ids_.erase(pod.id);
    if (const auto current = pods_by_key_.find(pod.key); current != pods_by_key_.end() && current->second == &pod)
        pods_by_key_.erase(current);
    file_under(pod, {});
    for (VolumeState* volume : pod.volumes) {
        unwant(*volume);
        remove(*volume);
    }
    erase_if_empty(now, pod);
}

void Core::State::erase_if_empty(Now now, PodState& pod) {
    if (!pod.gone || !pod.volumes.empty())
        return;
    pods_by_uid_.erase(pod.uid);
    pods_.erase(pod.id);
    for (const kube::ObjectKey& key : std::exchange(pods_waiting_for_uid_, {}))
        take_pod(now, key);
}

}  // namespace tokenlet::agent
