// SPDX-License-Identifier: Apache-2.0
// What the authority knows: service accounts, Pods, nodes, and their uids.
//
// Shapes   memory only; what changed since the last save is handed out as Changes, which the store writes in one go.
// Units    WallTime for deletion.
// Owns     the records.     Threads  one at a time.
// Errors   Conflict where a uid is already another Pod's; Unavailable where no uid could be drawn.
//
// A uid that is not given is drawn at first sight and kept for as long as the object is. `default` exists in every
// namespace that a Pod or an account uses. A removed account that comes back has a new uid, so its old tokens are dead.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "authority/entropy.h"
#include "authority/records.h"
#include "base/result.h"

namespace tokenlet::authority {

struct RegistryChanges {
    std::vector<ServiceAccountRecord> accounts;
    std::vector<kube::ObjectKey> removed_accounts;
    std::vector<PodRecord> pods;
    std::vector<kube::ObjectKey> removed_pods;
    std::vector<NodeRecord> nodes;
};

// How long a save may wait, in rising order.
enum class Urgency {
    None,    // nothing changed
    Soon,    // Pods: whoever registers them does so again after a crash
    Before,  // a uid was drawn: it must be on disk before a token names it
};

class Registry {
public:
    Registry() = default;
    Registry(Registry&&) = default;
    Registry& operator=(Registry&&) = default;
    Registry(std::vector<ServiceAccountRecord> accounts, std::vector<PodRecord> pods, std::vector<NodeRecord> nodes);

    // `uid` empty: the one on record, else a new one. Returns the uid.
    [[nodiscard]] Result<std::string> put_service_account(const kube::ObjectKey& key, std::string_view uid,
                                                          Entropy& entropy);
    // `default` goes on to exist, with a new uid, while its namespace is in use.
    [[nodiscard]] Result<> remove_service_account(const kube::ObjectKey& key, Entropy& entropy);

    [[nodiscard]] Result<> put_pod(PodRecord pod, Entropy& entropy);
    void mark_pod_deleted(const kube::ObjectKey& key, WallTime when);  // a second mark changes nothing
    void remove_pod(const kube::ObjectKey& key);                       // its tokens are dead at once
    // Removes what was deleted more than kDeletionGrace ago.
    void remove_expired_pods(WallTime now);
    [[nodiscard]] std::optional<WallTime> next_pod_expiry() const;

    [[nodiscard]] Result<std::string> put_node(std::string_view name, std::string_view uid, Entropy& entropy);

    [[nodiscard]] bool has_namespace(std::string_view ns) const;
    [[nodiscard]] const ServiceAccountRecord* service_account(const kube::ObjectKey& key) const;  // null: unknown
    [[nodiscard]] const PodRecord* pod(const kube::ObjectKey& key) const;
    [[nodiscard]] const NodeRecord* node(std::string_view name) const;
    [[nodiscard]] const std::map<kube::ObjectKey, ServiceAccountRecord>& service_accounts() const { return accounts_; }
    [[nodiscard]] const std::map<kube::ObjectKey, PodRecord>& pods() const { return pods_; }

    [[nodiscard]] Urgency urgency() const { return urgency_; }
    [[nodiscard]] RegistryChanges changes() const;
    void changes_saved();

private:
    [[nodiscard]] Result<> imply_default_account(const std::string& ns, Entropy& entropy);
    void changed(const kube::ObjectKey& pod);
    void index(PodRecord pod);
    void erase_pod(std::map<kube::ObjectKey, PodRecord>::iterator pod);

    std::map<kube::ObjectKey, ServiceAccountRecord> accounts_;
    std::map<kube::ObjectKey, PodRecord> pods_;
    std::map<std::string, NodeRecord, std::less<>> nodes_;
    std::map<std::string_view, const PodRecord*> pods_by_uid_;  // into pods_
    std::set<std::pair<WallTime, kube::ObjectKey>> deleted_pods_;
    std::set<kube::ObjectKey> changed_accounts_;
    std::set<kube::ObjectKey> changed_pods_;
    std::set<std::string> changed_nodes_;
    Urgency urgency_ = Urgency::None;
};

}  // namespace tokenlet::authority
