// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstdio>

#include "agent/core/state.h"
#include "projector/admission.h"
#include "projector/annotations.h"

namespace tokenlet::agent {

void Core::State::load_identities(std::vector<PodIdentity> identities) {
    no_identities_ = identities.empty();
    for (PodIdentity& known : identities) {
        PodState& pod = make_pod(known.pod, known.uid);
        pod.drawn = true;
        pods_by_key_[pod.key] = &pod;
    }
}

PodState& Core::State::make_pod(kube::ObjectKey key, std::string uid) {
    auto pod = std::make_unique<PodState>();
    pod->id = ++last_id_;
    pod->key = std::move(key);
    pod->uid = std::move(uid);
    PodState& made = *pod;
    pods_by_uid_[made.uid] = &made;
    pods_.emplace(made.id, std::move(pod));
    return made;
}

// A version 4 UUID.
std::string Core::State::draw_uid() {
    const std::uint64_t high = (random_() & ~std::uint64_t{0xf000}) | 0x4000;
    const std::uint64_t low = (random_() & ~(std::uint64_t{3} << 62)) | std::uint64_t{2} << 62;
    std::array<char, 37> text{};
    std::snprintf(text.data(), text.size(), "%08x-%04x-%04x-%04x-%012llx", static_cast<unsigned>(high >> 32),
                  static_cast<unsigned>(high >> 16 & 0xffff), static_cast<unsigned>(high & 0xffff),
                  static_cast<unsigned>(low >> 48), static_cast<unsigned long long>(low & 0xffffffffffff));
    return text.data();
}

void Core::State::on_listed(Now now, Result<kube::Listing> listing) {
    listing_ = false;
    std::optional<Error> error;
    if (!listing)
        error = listing.error();
    const kube::Changes changes = manifests_.apply(std::move(listing));
    for (const kube::Problem& problem : changes.raised) {
        if (problem.file.empty())
            report(Report::Level::Error, "manifests cannot be listed, everything stays as it is",
                   {{"err", problem.what}});
        else
            report(Report::Level::Error, "manifest refused, what was good before stays in force",
                   {{"file", problem.file}, {"err", problem.what}});
    }
    for (const kube::Problem& problem : changes.cleared) {
        if (problem.file.empty())
            report(Report::Level::Info, "manifests can be listed again", {});
        else
            report(Report::Level::Info, "manifest problem is over", {{"file", problem.file}, {"was", problem.what}});
    }
    directory_changed_ |= changes.directory_changed;
    dirty_pods_.merge(std::exchange(pods_waiting_for_ids_, {}));  // the host tells nobody when that has changed

    if (changes.complete) {
        listing_failures_ = 0;
        deadlines_.cancel({DeadlineKind::List});
    } else {
        deadlines_.set({DeadlineKind::List},
                       now.boot + backoff(++listing_failures_, error ? Errc::Io : Errc::Unavailable, std::nullopt));
    }
    take_changes(now, changes);
    if (!changes.complete)
        return;
    if (!first_listed_)
        see_first_listing(now);
    consider_removals(now);
}

void Core::State::take_changes(Now now, const kube::Changes& changes) {
    for (const kube::Identity& object : changes.returned)
        see_returned(object);
    for (const kube::Identity& object : changes.absent)
        see_absent(now, object);
    for (const kube::Identity& object : changes.changed) {
        if (object.kind == "Pod")
            take_pod(now, object.key);
        else if (object.kind == "ServiceAccount")
            take_account(object.key);
        else
            wake_users(object);
    }
}

// The uid: what the manifest says, else the one drawn for this name before, else a new one.
void Core::State::take_pod(Now now, const kube::ObjectKey& key) {
    const kube::Pod* manifest = manifests_.pod(key);
    if (manifest == nullptr)
        return;
    const std::string wanted = manifest->meta.uid;
    const auto known = pods_by_key_.find(key);
    PodState* pod = known == pods_by_key_.end() ? nullptr : known->second;

    if (pod != nullptr && !wanted.empty() && pod->uid != wanted) {
        report(Report::Level::Info, "pod replaced: its manifest has another uid",
               {{"pod", key.str()}, {"was", pod->uid}, {"uid", wanted}});
        leave(now, *pod);
        pod = nullptr;
    }
    if (pod == nullptr) {
        const std::string uid = wanted.empty() ? draw_uid() : wanted;
        const auto same_uid = pods_by_uid_.find(uid);
        // On its way out, or of another name: what an earlier run left there leaves by the rules, its stable names with it.
        const auto keeps_it = [&](const PodState& other) {
            return other.gone || (!other.key.name.empty() && other.key != key);
        };
        if (same_uid != pods_by_uid_.end() && keeps_it(*same_uid->second)) {
            pods_waiting_for_uid_.insert(key);  // erase_if_empty() comes back here
            return;
        }
        pod = same_uid != pods_by_uid_.end() ? same_uid->second : &make_pod(key, uid);
        pod->key = key;
        pods_by_key_[key] = pod;
    }
    if (wanted.empty() && !pod->drawn) {
        pod->drawn = true;
        pod->saved = false;
        pods_to_save_.insert(pod->id);
    }
    pod->seen = true;
    pod->absent_since.reset();
    pod->released = false;
    dirty_pods_.insert(pod->id);
}

void Core::State::take_account(const kube::ObjectKey& key) {
    accounts_to_tell_.insert(key);
    wake_account(key);
}

void Core::State::wake_account(const kube::ObjectKey& key) {
    if (const auto pods = pods_by_account_.find(key); pods != pods_by_account_.end())
        dirty_pods_.insert(pods->second.begin(), pods->second.end());
}

void Core::State::wake_users(const kube::Identity& object) {
    watches_stale_ = true;  // a manifest may have come before what is watched, or left
    UsedObject used{projector::ObjectKind::ConfigMap, object.key};
    if (object.kind == "Secret")
        used.first = projector::ObjectKind::Secret;
    else if (object.kind == "ClusterTrustBundle")
        used = {projector::ObjectKind::ClusterTrustBundle, {}};
    if (const auto users = users_.find(used); users != users_.end())
        dirty_volumes_.insert(users->second.begin(), users->second.end());
}

void Core::State::on_root_ca(const std::string& pem) {
    if (root_ca_pem_ == pem)
        return;
    root_ca_pem_ = pem;
    root_cas_.clear();
    for (const auto& [object, users] : users_) {
        if (object.first == projector::ObjectKind::ConfigMap && object.second.name == kube::kRootCaConfigMap)
            dirty_volumes_.insert(users.begin(), users.end());
    }
}

void Core::State::plan_pod(Now now, PodState& pod) {
    const kube::Pod* manifest = manifests_.pod(pod.key);
    if (manifest == nullptr || pod.gone)
        return;
    const kube::ObjectKey account = projector::account_of(*manifest);
    Result<projector::Plan> plan = make_plan(*manifest, pod);
    if (!plan) {
        file_under(pod, pod.plan ? std::set{account, planned_account(pod)} : std::set{account});
        if (!pod.error || pod.error->what != plan.error().what)
            report(Report::Level::Error,
                   pod.plan ? "pod refused, its last good version stays in force" : "pod refused, nothing is projected",
                   {{"pod", pod.key.str()}, {"file", manifest->origin.file}, {"err", plan.error().what}});
        pod.error = std::move(plan.error());
        if (manifest->meta.annotations.contains(projector::kUidMapAnnotation))
            pods_waiting_for_ids_.insert(pod.id);
        return;
    }
    file_under(pod, {account});
    if (std::exchange(pod.error, std::nullopt))
        report(Report::Level::Info, "pod accepted", {{"pod", pod.key.str()}});
    if (pod.plan && *pod.plan == *plan)
        return;
    if (!pod.plan)
        report(first_listed_ ? Report::Level::Info : Report::Level::Debug, "pod seen",
               {{"pod", pod.key.str()}, {"uid", pod.uid}, {"serviceAccount", plan->service_account}});
    for (const std::string& volume : plan->unmounted)
        report(Report::Level::Info, "volume is mounted by no container and not projected",
               {{"pod", pod.key.str()}, {"volume", volume}});
    const bool told = pod.plan && pod.plan->service_account == plan->service_account;
    pod.plan = std::move(*plan);
    if (!told) {
        pod.registered = false;
        pods_to_tell_.insert(pod.id);
        if (!account_uids_.contains(account))
            accounts_to_tell_.insert(account);
    }
    set_volumes(now, pod);
}

Result<projector::Plan> Core::State::make_plan(const kube::Pod& manifest, const PodState& pod) {
    const kube::ObjectKey account = projector::account_of(manifest);
    const kube::ServiceAccount implied{
        .meta = {.ns = account.ns, .name = account.name, .uid = {}, .labels = {}, .annotations = {}},
        .origin = {},
        .automount_service_account_token = {}};
    kube::Pod admitted = TRY(projector::admit(manifest, service_account(account, implied)));
    TRY(kube::check(admitted, settings_.policy));
    admitted.meta.uid = pod.uid;
    const projector::RootlessIds* rootless_ids = settings_.rootless_ids ? &settings_.rootless_ids : nullptr;
    projector::Plan plan = TRY(projector::compile(admitted, projector::Host{.ownership = settings_.ownership,
                                                                            .allocatable = settings_.allocatable,
                                                                            .direct = &settings_.direct,
                                                                            .rootless_ids = rootless_ids}));
    // That user can become any of its containers' users.
    if (plan.readership.root_user != 0)
        TRY(kube::check_id(plan.readership.root_user,
                           std::string("metadata.annotations['") + projector::kUidMapAnnotation + "']",
                           settings_.policy));
    for (const fsatomic::Reader& reader : plan.readership.readers)
        TRY(kube::check_id(reader.id, std::string("metadata.annotations['") + projector::kReadersAnnotation + "']",
                           settings_.policy));
    TRY(check_places(plan, pod));
    return plan;
}

kube::ObjectKey Core::State::planned_account(const PodState& pod) {
    return {pod.key.ns, pod.plan->service_account};
}

void Core::State::file_under(PodState& pod, const std::set<kube::ObjectKey>& accounts) {
    if (std::ranges::equal(pod.accounts, accounts, {},
                           [](const auto& pods) -> const kube::ObjectKey& { return pods->first; }))
        return;
    watches_stale_ = true;
    for (const PodsByAccount::iterator pods : std::exchange(pod.accounts, {})) {
        pods->second.erase(pod.id);
        if (pods->second.empty())
            pods_by_account_.erase(pods);
    }
    for (const kube::ObjectKey& account : accounts) {
        const auto pods = pods_by_account_.try_emplace(account).first;
        pods->second.insert(pod.id);
        pod.accounts.push_back(pods);
    }
}

Result<const kube::ConfigMap*> Core::State::config_map(const kube::ObjectKey& key) const {
    if (const kube::ConfigMap* found = manifests_.config_map(key))
        return found;
    if (key.name != kube::kRootCaConfigMap || root_ca_pem_.empty())
        return watched_object<kube::ConfigMap>(WatchedObject::Kind::ConfigMap, key);
    kube::ConfigMap& published = root_cas_[key.ns];
    if (published.data.empty()) {
        published.meta.ns = key.ns;
        published.meta.name = key.name;
        published.data["ca.crt"] = root_ca_pem_;
    }
    return &published;
}

Result<const kube::Secret*> Core::State::secret(const kube::ObjectKey& key) const {
    if (const kube::Secret* found = manifests_.secret(key))
        return found;
    return watched_object<kube::Secret>(WatchedObject::Kind::Secret, key);
}

}  // namespace tokenlet::agent
