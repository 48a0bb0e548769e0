// SPDX-License-Identifier: Apache-2.0
#include <iterator>

#include "agent/core/state.h"

namespace tokenlet::agent {
namespace {

using Kind = WatchedObject::Kind;

}  // namespace

std::string_view to_string(WatchedObject::Kind kind) {
    switch (kind) {
        case Kind::ServiceAccount:
            return "ServiceAccount";
        case Kind::ConfigMap:
            return "ConfigMap";
        case Kind::Secret:
            return "Secret";
        case Kind::ClusterTrustBundle:
        case Kind::BundlesOfSigner:
            break;
    }
    return "ClusterTrustBundle";
}

// Only what some Pod needs is watched, so that rights to those objects alone suffice. Accounts are watched even where a
// manifest describes them: their uid is the cluster's.
void Core::State::watch_objects() {
    if (settings_.objects_from == ObjectsFrom::Manifests || !std::exchange(watches_stale_, false))
        return;
    std::set<WatchedObject> wanted;
    for (const auto& [account, pods] : pods_by_account_)
        wanted.insert({Kind::ServiceAccount, account});
    for (const auto& [object, users] : users_) {
        if (object.first == projector::ObjectKind::ConfigMap) {
            if (manifests_.config_map(object.second) == nullptr)
                wanted.insert({Kind::ConfigMap, object.second});
        } else if (object.first == projector::ObjectKind::Secret) {
            if (manifests_.secret(object.second) == nullptr)
                wanted.insert({Kind::Secret, object.second});
        } else {
            for (const std::uint64_t id : users) {
                for (WatchedObject& bundle : watches_of(*volumes_.at(id)))
                    if (bundle.kind == Kind::BundlesOfSigner || manifests_.trust_bundle(bundle.key.name) == nullptr)
                        wanted.insert(std::move(bundle));
            }
        }
    }
    WatchObjects watch;
    for (auto known = watched_.begin(); known != watched_.end();) {
        if (wanted.contains(known->first)) {
            ++known;
            continue;
        }
        if (known->first.kind == Kind::ServiceAccount)
            account_uids_.erase(known->first.key);
        watch.removed.push_back(known->first);
        known = watched_.erase(known);
    }
    for (const WatchedObject& what : wanted)
        if (watched_.try_emplace(what).second)
            watch.added.push_back(what);
    if (!watch.added.empty() || !watch.removed.empty())
        commands_.emplace_back(std::move(watch));
}

void Core::State::on_object(const WatchedObject& what, ObjectNews news) {
    const auto found = watched_.find(what);
    if (found == watched_.end())
        return;  // no longer wanted
    Watched& known = found->second;
    const std::vector<Field> about{{"kind", std::string(to_string(what.kind))}, {"name", what.key.str()}};
    if (!news) {
        if (!known.error) {
            auto fields = about;
            fields.emplace_back("err", news.error().what);
            report(Report::Level::Warn, "object cannot be watched, what is known of it stays", std::move(fields));
        }
        known.error = std::move(news.error());
    } else {
        if (std::exchange(known.error, std::nullopt))
            report(Report::Level::Info, "object is watched", about);
        if (known.known && !known.objects.empty() && news->empty() && what.kind != Kind::BundlesOfSigner)
            report(Report::Level::Warn, "object was deleted, files made of it stay", about);
        known.objects = std::move(*news);
        known.known = true;
    }
    if (what.kind == Kind::ServiceAccount)
        take_watched_account(what.key, known);
    else
        wake_users({std::string(to_string(what.kind)), what.key});
}

// No token is asked for before it is known what the account is like: it may forbid the volume that a plan made without it has.
// One that we have no right to read is taken as it would be by default.
void Core::State::take_watched_account(const kube::ObjectKey& key, const Watched& account) {
    if (!account.objects.empty())
        take_account_uid(key, meta_of(account.objects.front()).uid);
    else if (account.known)
        account_uids_.erase(key);
    else if (account.error->code == Errc::Denied)
        take_account_uid(key, "");
    wake_account(key);
    const auto pods = pods_by_account_.find(key);
    if (pods == pods_by_account_.end())
        return;
    for (const std::uint64_t id : pods->second) {
        const PodState& pod = *pods_.at(id);
        wake_tokens(pod);
        for (const VolumeState* volume : pod.volumes)
            dirty_volumes_.insert(volume->id);
    }
}

const Watched* Core::State::watched(Kind kind, const kube::ObjectKey& key) const {
    const auto found = watched_.find({kind, key});
    return found == watched_.end() ? nullptr : &found->second;
}

template <class T>
Result<const T*> Core::State::watched_object(Kind kind, const kube::ObjectKey& key) const {
    if (settings_.objects_from == ObjectsFrom::Manifests)
        return fail(Errc::NotFound, "not found");
    const Watched* found = watched(kind, key);
    if (found == nullptr || found->is_waiting())
        return std::unexpected(waiting_for_cluster_);
    if (found->known)
        return found->objects.empty() ? Result<const T*>(fail(Errc::NotFound, "not found"))
                                      : std::get_if<T>(&found->objects.front());
    return std::unexpected(*found->error);
}

template Result<const kube::ConfigMap*> Core::State::watched_object(Kind kind, const kube::ObjectKey& key) const;
template Result<const kube::Secret*> Core::State::watched_object(Kind kind, const kube::ObjectKey& key) const;

// The manifest's, else the cluster's; `implied` where neither can be asked, or the API server is about to make it.
const kube::ServiceAccount* Core::State::service_account(const kube::ObjectKey& key,
                                                         const kube::ServiceAccount& implied) const {
    if (const kube::ServiceAccount* described = manifests_.service_account(key))
        return described;
    const Watched* known = watched(Kind::ServiceAccount, key);
    if (known != nullptr && !known->objects.empty())
        return std::get_if<kube::ServiceAccount>(&known->objects.front());
    const bool unasked = settings_.objects_from == ObjectsFrom::Cluster && (known == nullptr || !known->known);
    return unasked || key.name == kube::kDefaultServiceAccount ? &implied : nullptr;
}

// Why no token of its account can be asked for; not set while the answer is on its way, or when the plan says it already.
const Error* Core::State::account_trouble(const PodState& pod) const {
    if (settings_.objects_from == ObjectsFrom::Manifests || !pod.plan)
        return nullptr;
    const kube::ObjectKey key = planned_account(pod);
    const Watched* account = watched(Kind::ServiceAccount, key);
    if (account == nullptr || account_uids_.contains(key))
        return nullptr;
    return account->known ? &no_account_ : account->error ? &*account->error : nullptr;
}

std::vector<WatchedObject> Core::State::watches_of(const VolumeState& volume) {
    std::vector<WatchedObject> watches;
    for (const projector::Source& source : volume.plan->sources) {
        const auto* bundle = std::get_if<projector::BundleSource>(&source);
        if (bundle == nullptr || bundle->selection->by == projector::BundleSelection::By::Nothing)
            continue;
        const bool by_name = bundle->selection->by == projector::BundleSelection::By::Name;
        watches.push_back({by_name ? Kind::ClusterTrustBundle : Kind::BundlesOfSigner, {{}, bundle->selection->name}});
    }
    return watches;
}

bool Core::State::awaits_object(const VolumeState& volume) const {
    if (settings_.objects_from == ObjectsFrom::Manifests)
        return false;
    const auto waits = [&](Kind kind, const kube::ObjectKey& key) {
        const Watched* object = watched(kind, key);
        return object != nullptr && object->is_waiting();
    };
    for (const VolumesByObject::iterator users : volume.objects) {
        const auto& [kind, key] = users->first;
        if (kind == projector::ObjectKind::ClusterTrustBundle) {
            for (const WatchedObject& bundle : watches_of(volume))
                if (waits(bundle.kind, bundle.key))
                    return true;
        } else if (waits(kind == projector::ObjectKind::Secret ? Kind::Secret : Kind::ConfigMap, key)) {
            return true;
        }
    }
    return false;
}

// Selected bundles of which nothing is known yet would look like bundles that do not exist.
const Error* Core::State::bundle_trouble(const VolumeState& volume) const {
    if (settings_.objects_from == ObjectsFrom::Manifests)
        return nullptr;
    for (const WatchedObject& bundle : watches_of(volume)) {
        const Watched* known = watched(bundle.kind, bundle.key);
        if (known == nullptr && bundle.kind == Kind::ClusterTrustBundle &&
            manifests_.trust_bundle(bundle.key.name) != nullptr)
            continue;
        if (known == nullptr || known->is_waiting())
            return &waiting_for_cluster_;
        if (!known->known)
            return &*known->error;
    }
    return nullptr;
}

Result<std::vector<const kube::ClusterTrustBundle*>> Core::State::trust_bundles() const {
    std::map<std::string_view, const kube::ClusterTrustBundle*> bundles;
    for (const kube::ClusterTrustBundle* bundle : manifests_.trust_bundles())
        bundles.emplace(bundle->meta.name, bundle);
    for (const Kind kind : {Kind::ClusterTrustBundle, Kind::BundlesOfSigner}) {
        for (auto at = watched_.lower_bound({kind, {}}); at != watched_.end() && at->first.kind == kind; ++at)
            for (const kube::Object& object : at->second.objects)
                if (const auto* bundle = std::get_if<kube::ClusterTrustBundle>(&object))
                    bundles.emplace(bundle->meta.name, bundle);
    }
    std::vector<const kube::ClusterTrustBundle*> all;
    for (const auto& [name, bundle] : bundles)
        all.push_back(bundle);
    return all;
}

}  // namespace tokenlet::agent
