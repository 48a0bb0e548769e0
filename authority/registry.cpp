// SPDX-License-Identifier: Apache-2.0
#include "authority/registry.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace tokenlet::authority {
namespace {

template <class Map>
auto find_or_null(const Map& map, const auto& key) {
    const auto found = map.find(key);
    return found == map.end() ? nullptr : &found->second;
}

}  // namespace

Registry::Registry(std::vector<ServiceAccountRecord> accounts, std::vector<PodRecord> pods,
                   std::vector<NodeRecord> nodes) {
    for (ServiceAccountRecord& account : accounts) {
        const kube::ObjectKey key = account.key;
        accounts_.emplace(key, std::move(account));
    }
    for (PodRecord& pod : pods)
        index(std::move(pod));
    for (NodeRecord& node : nodes) {
        const std::string name = node.name;
        nodes_.emplace(name, std::move(node));
    }
}

Result<std::string> Registry::put_service_account(const kube::ObjectKey& key, std::string_view uid, Entropy& entropy) {
    const ServiceAccountRecord* known = service_account(key);
    ServiceAccountRecord wanted{.key = key, .uid = std::string(uid), .origin = ServiceAccountRecord::Origin::Declared};
    if (wanted.uid.empty())
        wanted.uid = known != nullptr ? known->uid : TRY(random_uuid(entropy), "service account " + key.str());
    if (known == nullptr || *known != wanted) {
        accounts_.insert_or_assign(key, wanted);
        changed_accounts_.insert(key);
        urgency_ = Urgency::Before;
    }
    TRY(imply_default_account(key.ns, entropy));
    return wanted.uid;
}

Result<> Registry::remove_service_account(const kube::ObjectKey& key, Entropy& entropy) {
    if (accounts_.erase(key) == 0)
        return {};
    changed_accounts_.insert(key);
    urgency_ = std::max(urgency_, Urgency::Soon);
    if (has_namespace(key.ns))
        TRY(imply_default_account(key.ns, entropy));
    return {};
}

Result<> Registry::imply_default_account(const std::string& ns, Entropy& entropy) {
    const kube::ObjectKey key{ns, kube::kDefaultServiceAccount};
    if (accounts_.contains(key))
        return {};
    ServiceAccountRecord account{.key = key,
                                 .uid = TRY(random_uuid(entropy), "service account " + key.str()),
                                 .origin = ServiceAccountRecord::Origin::Implied};
    accounts_.emplace(key, std::move(account));
    changed_accounts_.insert(key);
    urgency_ = Urgency::Before;
    return {};
}

Result<> Registry::put_pod(PodRecord pod, Entropy& entropy) {
    if (pod.uid.empty())
        return fail(Errc::Invalid, "pod " + pod.key.str() + ": registered without a uid");
    if (pod.deletion_timestamp)
        pod.deletion_timestamp = std::chrono::floor<std::chrono::seconds>(*pod.deletion_timestamp);
    if (const PodRecord* known = this->pod(pod.key); known != nullptr && *known == pod)
        return {};
    if (const auto holder = pods_by_uid_.find(pod.uid);
        holder != pods_by_uid_.end() && holder->second->key != pod.key) {
        const auto other = pods_.find(holder->second->key);
        // A Pod that was renamed and kept its uid: the old name is on its way out and gives the uid up.
        if (!other->second.deletion_timestamp)
            return fail(Errc::Conflict, "pod " + pod.key.str() + ": its uid " + pod.uid + " belongs to pod " +
                                            other->first.str() + "; give one of them another uid");
        erase_pod(other);
    }
    TRY(imply_default_account(pod.key.ns, entropy));
    if (const auto old = pods_.find(pod.key); old != pods_.end())
        erase_pod(old);
    changed(pod.key);
    index(std::move(pod));
    return {};
}

void Registry::mark_pod_deleted(const kube::ObjectKey& key, WallTime when) {
    const auto found = pods_.find(key);
    if (found == pods_.end() || found->second.deletion_timestamp)
        return;
    const WallTime stamp = std::chrono::floor<std::chrono::seconds>(when);
    found->second.deletion_timestamp = stamp;
    deleted_pods_.emplace(stamp, key);
    changed(key);
}

void Registry::remove_pod(const kube::ObjectKey& key) {
    if (const auto found = pods_.find(key); found != pods_.end())
        erase_pod(found);
}

void Registry::remove_expired_pods(WallTime now) {
    while (!deleted_pods_.empty() && now > deleted_pods_.begin()->first + kDeletionGrace)
        erase_pod(pods_.find(deleted_pods_.begin()->second));
}

std::optional<WallTime> Registry::next_pod_expiry() const {
    if (deleted_pods_.empty())
        return {};
    return deleted_pods_.begin()->first + kDeletionGrace + std::chrono::nanoseconds(1);
}

Result<std::string> Registry::put_node(std::string_view name, std::string_view uid, Entropy& entropy) {
    const NodeRecord* known = node(name);
    NodeRecord wanted{.name = std::string(name), .uid = std::string(uid)};
    if (wanted.uid.empty())
        wanted.uid = known != nullptr ? known->uid : TRY(random_uuid(entropy), "node " + wanted.name);
    if (known == nullptr || *known != wanted) {
        nodes_.insert_or_assign(wanted.name, wanted);
        changed_nodes_.insert(wanted.name);
        urgency_ = Urgency::Before;
    }
    return wanted.uid;
}

bool Registry::has_namespace(std::string_view ns) const {
    const auto uses = [ns](const auto& map) {
        const auto first = map.lower_bound(kube::ObjectKey{std::string(ns), ""});
        return first != map.end() && first->first.ns == ns;
    };
    return uses(accounts_) || uses(pods_);
}

const ServiceAccountRecord* Registry::service_account(const kube::ObjectKey& key) const {
    return find_or_null(accounts_, key);
}

const PodRecord* Registry::pod(const kube::ObjectKey& key) const {
    return find_or_null(pods_, key);
}

const NodeRecord* Registry::node(std::string_view name) const {
    return find_or_null(nodes_, name);
}

RegistryChanges Registry::changes() const {
    RegistryChanges changes;
    for (const kube::ObjectKey& key : changed_accounts_) {
        if (const ServiceAccountRecord* account = service_account(key))
            changes.accounts.push_back(*account);
        else
            changes.removed_accounts.push_back(key);
    }
    for (const kube::ObjectKey& key : changed_pods_) {
        if (const PodRecord* record = pod(key))
            changes.pods.push_back(*record);
        else
            changes.removed_pods.push_back(key);
    }
    for (const std::string& name : changed_nodes_)
        changes.nodes.push_back(nodes_.find(name)->second);
    return changes;
}

void Registry::changes_saved() {
    changed_accounts_.clear();
    changed_pods_.clear();
    changed_nodes_.clear();
    urgency_ = Urgency::None;
}

void Registry::changed(const kube::ObjectKey& pod) {
    changed_pods_.insert(pod);
    urgency_ = std::max(urgency_, Urgency::Soon);
}

void Registry::index(PodRecord pod) {
    const kube::ObjectKey key = pod.key;
    if (pod.deletion_timestamp)
        deleted_pods_.emplace(*pod.deletion_timestamp, key);
    const PodRecord& record = pods_.emplace(key, std::move(pod)).first->second;
    pods_by_uid_.emplace(record.uid, &record);
}

void Registry::erase_pod(std::map<kube::ObjectKey, PodRecord>::iterator pod) {
    changed(pod->first);
    pods_by_uid_.erase(pod->second.uid);
    if (pod->second.deletion_timestamp)
        deleted_pods_.erase({*pod->second.deletion_timestamp, pod->first});
    pods_.erase(pod);
}

}  // namespace tokenlet::authority
