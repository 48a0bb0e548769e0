// SPDX-License-Identifier: Apache-2.0
#include "kube/manifest_set.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <tuple>
#include <type_traits>
#include <variant>

namespace tokenlet::kube {
namespace {

auto content_of(const Pod& pod) {
    return std::tie(pod.meta, pod.service_account_name, pod.automount_service_account_token, pod.run_as_user,
                    pod.fs_group, pod.supplemental_groups, pod.init_containers, pod.containers,
                    pod.ephemeral_containers, pod.volumes);
}

auto content_of(const ServiceAccount& account) {
    return std::tie(account.meta, account.automount_service_account_token);
}

auto content_of(const ConfigMap& map) {
    return std::tie(map.meta, map.data, map.binary_data, map.immutable);
}

auto content_of(const Secret& secret) {
    return std::tie(secret.meta, secret.type, secret.data, secret.immutable);
}

auto content_of(const ClusterTrustBundle& bundle) {
    return std::tie(bundle.meta, bundle.signer_name, bundle.trust_bundle);
}

// Where a document stands is not part of what it says.
bool same_content(const Object& a, const Object& b) {
    if (a.index() != b.index())
        return false;
    return std::visit(
        [&b](const auto& object) {
            return content_of(object) == content_of(std::get<std::remove_cvref_t<decltype(object)>>(b));
        },
        a);
}

bool same_data(const ConfigMap& a, const ConfigMap& b) {
    return a.data == b.data && a.binary_data == b.binary_data;
}

bool same_data(const Secret& a, const Secret& b) {
    return a.data == b.data;
}

template <class Data>
bool data_may_become(const Data& old, const Data& fresh) {
    return !old.immutable || (fresh.immutable && same_data(old, fresh));
}

// Source: pkg/apis/core/validation, ValidateConfigMapUpdate and ValidateSecretUpdate.
bool may_become(const Object& old, const Object& fresh) {
    if (const auto* map = std::get_if<ConfigMap>(&old))
        return data_may_become(*map, std::get<ConfigMap>(fresh));
    if (const auto* secret = std::get_if<Secret>(&old))
        return data_may_become(*secret, std::get<Secret>(fresh));
    return true;
}

// A Pod's uid, "" where the manifest gives none. Only Pods have volumes that are told apart by it.
std::string pod_uid(const Object& object) {
    const Pod* const pod = std::get_if<Pod>(&object);
    return pod == nullptr ? std::string() : pod->meta.uid;
}

std::string place_of(const Origin& origin) {
    std::string text;
    if (origin.document > 1)
        text = "document " + std::to_string(origin.document) + ": ";
    return text + "line " + std::to_string(origin.line);
}

}  // namespace

// One apply() or forget() at work.
class ManifestSet::Step {
public:
    explicit Step(ManifestSet& set) : set_(set) {}

    void take(Listing listing) {
        changes_.complete = listing.complete;
        changes_.directory_changed = set_.directory_ && *set_.directory_ != listing.directory;
        set_.directory_ = listing.directory;

        // First all that lets go, then all that takes: a document that moved from one file to another is neither
        // absent nor a duplicate.
        for (const std::string& file : vanished(listing))
            drop_file(file);
        for (const FileUpdate& update : listing.updates)
            release(update);
        for (FileUpdate& update : listing.updates)
            if (update.documents)
                place_all(update.file, std::move(*update.documents));
        promote();
    }

    void forget(const Identity& identity) {
        const auto held = set_.held_.find(identity);
        if (held == set_.held_.end() || held->second.state != State::Absent)
            return;
        free_uid(held->second.object);
        set_.held_.erase(held);
        promote();
    }

    Changes finish() {
        for (const Identity& identity : released_)
            if (set_.is_absent(identity))
                changes_.absent.push_back(identity);
        changes_.changed.assign(changed_.begin(), changed_.end());
        changes_.returned.assign(returned_.begin(), returned_.end());
        std::vector<Problem> before = std::exchange(set_.problems_, problems());
        std::ranges::set_difference(set_.problems_, before, std::back_inserter(changes_.raised));
        std::ranges::set_difference(before, set_.problems_, std::back_inserter(changes_.cleared));
        return std::move(changes_);
    }

private:
    [[nodiscard]] std::vector<std::string> vanished(const Listing& listing) const {
        if (!listing.whole || !listing.complete)
            return listing.vanished;
        std::set<std::string> there;
        for (const FileUpdate& update : listing.updates)
            there.insert(update.file);
        std::vector<std::string> gone;
        for (const auto& [file, holds] : set_.files_)
            if (!there.contains(file))
                gone.push_back(file);
        return gone;
    }

    void drop_file(const std::string& name) {
        const auto file = set_.files_.find(name);
        if (file == set_.files_.end())
            return;
        for (const Identity* identity : file->second)
            lose(*identity);
        drop_waiting(name);
        set_.complaints_.erase(name);
        set_.files_.erase(file);
    }

    void drop_waiting(const std::string& name) {
        auto at = set_.waiting_.lower_bound({name, 0});
        while (at != set_.waiting_.end() && at->first.first == name)
            at = set_.waiting_.erase(at);
    }

    void lose(const Identity& identity) {
        set_.held_.at(identity).state = State::Absent;
        released_.insert(identity);
    }

    // What the file no longer says becomes absent; what it may still say, but not readably, stays as its last good
    // version.
    void release(const FileUpdate& update) {
        std::set<const Identity*>& holds = set_.files_[update.file];
        set_.complaints_.erase(update.file);
        if (!update.documents) {
            set_.complaints_[update.file].push_back({update.documents.error().what, std::nullopt});
            for (const Identity* identity : holds)
                set_.held_.at(*identity).state = State::LastGood;
            reclaim(update.file, [](const Identity&) { return true; });
            return;
        }
        drop_waiting(update.file);
        std::set<Identity> good;
        std::set<Identity> bad;
        bool may_be_anything = false;
        for (const Decoded& document : *update.documents) {
            if (document.object) {
                good.insert(identity_of(*document.object));
                continue;
            }
            set_.complaints_[update.file].push_back({document.object.error().what, document.identity});
            if (document.identity)
                bad.insert(*document.identity);
            else
                may_be_anything = true;
        }
        for (auto at = holds.begin(); at != holds.end();) {
            const Identity& identity = **at;
            if (!good.contains(identity) && !may_be_anything && !bad.contains(identity)) {
                lose(identity);
                at = holds.erase(at);
                continue;
            }
            if (!good.contains(identity))
                set_.held_.at(identity).state = State::LastGood;
            ++at;
        }
        if (may_be_anything || !bad.empty())
            reclaim(update.file, [&](const Identity& identity) {
                return !good.contains(identity) && (may_be_anything || bad.contains(identity));
            });
    }

    // An absent object whose file is back, but cannot be read, may be what it says: an editor that unlinks and creates
    // writes mistakes as any other does.
    void reclaim(const std::string& file, const std::function<bool(const Identity&)>& may_be) {
        for (auto& [identity, held] : set_.held_) {
            if (held.state != State::Absent || file_of(held) != file || released_.contains(identity) ||
                !may_be(identity))
                continue;
            held.state = State::LastGood;
            set_.files_[file].insert(&identity);
            returned_.insert(identity);
        }
    }

    void place_all(const std::string& file, std::vector<Decoded> documents) {
        std::set<Identity> placed;
        for (std::size_t i = 0; i < documents.size(); ++i) {
            if (!documents[i].object)
                continue;
            Object object = std::move(*documents[i].object);
            Identity identity = identity_of(object);
            const bool is_first = placed.insert(identity).second;
            const auto held = set_.held_.find(identity);
            const bool is_ours = is_first && held != set_.held_.end() && file_of(held->second) == file &&
                                 held->second.state != State::Absent;
            if (is_first && (is_ours || is_name_free(identity)) && !is_frozen(identity, object) &&
                is_uid_free(identity, object)) {
                accept(file, identity, std::move(object));
                continue;
            }
            // Its new version cannot be used: the old one stays as the last good.
            if (is_ours)
                held->second.state = State::LastGood;
            set_.waiting_.emplace(Place{file, i}, Waiting{std::move(identity), std::move(object)});
        }
    }

    // Those that wait and now can, in order; one that moves on may free the uid that another waits for.
    void promote() {
        for (bool again = true; again;) {
            again = false;
            for (auto at = set_.waiting_.begin(); at != set_.waiting_.end();) {
                auto& [place, waiting] = *at;
                if (!is_name_free(waiting.identity) || is_frozen(waiting.identity, waiting.object) ||
                    !is_uid_free(waiting.identity, waiting.object)) {
                    ++at;
                    continue;
                }
                accept(place.first, waiting.identity, std::move(waiting.object));
                at = set_.waiting_.erase(at);
                again = true;
            }
        }
    }

    [[nodiscard]] bool is_name_free(const Identity& identity) const {
        const auto held = set_.held_.find(identity);
        return held == set_.held_.end() || held->second.state != State::Current;
    }

    // Whether the object is there already, immutable, and otherwise. Until it is forgotten, also when it is absent.
    [[nodiscard]] bool is_frozen(const Identity& identity, const Object& object) const {
        const auto held = set_.held_.find(identity);
        return held != set_.held_.end() && !may_become(held->second.object, object);
    }

    [[nodiscard]] bool is_uid_free(const Identity& identity, const Object& object) const {
        const auto owner = set_.uids_.find(pod_uid(object));
        return owner == set_.uids_.end() || owner->second == identity.key;
    }

    void accept(const std::string& file, const Identity& identity, Object object) {
        const std::string uid = pod_uid(object);
        auto held = set_.held_.find(identity);
        if (held == set_.held_.end()) {
            changed_.insert(identity);
            held = set_.held_.emplace(identity, Held{std::move(object), State::Current}).first;
        } else {
            Held& old = held->second;
            if (old.state == State::Absent && !released_.contains(identity))
                returned_.insert(identity);
            if (!same_content(old.object, object))
                changed_.insert(identity);
            if (const auto holder = set_.files_.find(file_of(old));
                holder != set_.files_.end() && holder->first != file)
                holder->second.erase(&held->first);
            free_uid(old.object);
            old = {std::move(object), State::Current};
        }
        if (!uid.empty())
            set_.uids_.emplace(uid, identity.key);
        set_.files_[file].insert(&held->first);
    }

    void free_uid(const Object& object) {
        const auto owner = set_.uids_.find(pod_uid(object));
        if (owner != set_.uids_.end() && owner->second == meta_of(object).key())
            set_.uids_.erase(owner);
    }

    [[nodiscard]] std::vector<Problem> problems() const {
        std::vector<Problem> found;
        if (set_.listing_error_)
            found.push_back({"", set_.listing_error_->what});
        for (const auto& [name, complaints] : set_.complaints_)
            for (const Complaint& complaint : complaints)
                found.push_back(
                    {name, complaint.what + (keeps_last_good(set_.files_.at(name), complaint) ? kStays : "")});
        for (const auto& [place, waiting] : set_.waiting_)
            found.push_back({place.first, why_waiting(waiting)});
        std::ranges::sort(found);
        return found;
    }

    [[nodiscard]] bool keeps_last_good(const std::set<const Identity*>& holds, const Complaint& complaint) const {
        const auto is_last_good = [this](const Identity* identity) {
            return set_.held_.at(*identity).state == State::LastGood;
        };
        if (complaint.identity) {
            const auto held = set_.held_.find(*complaint.identity);
            return held != set_.held_.end() && holds.contains(&held->first) && is_last_good(&held->first);
        }
        return std::ranges::any_of(holds, is_last_good);
    }

    [[nodiscard]] std::string why_waiting(const Waiting& waiting) const {
        const Identity& identity = waiting.identity;
        std::string text = place_of(origin_of(waiting.object)) + ": ";
        if (!is_name_free(identity)) {
            const Held& first = set_.held_.at(identity);
            return text + identity.kind + " " + identity.key.str() + " already stands in " + file_of(first) + ", " +
                   place_of(origin_of(first.object)) + "; this one is not used";
        }
        if (is_frozen(identity, waiting.object))
            return text + identity.kind + " " + identity.key.str() +
                   (set_.is_absent(identity)
                        ? ", of which this is another version, is immutable and leaving; this one waits until it has "
                          "left"
                        : " is immutable, and this is another version: give it another name, or take the old one away "
                          "first and wait until it has left" +
                              std::string(kStays));
        const std::string uid = pod_uid(waiting.object);
        const Identity owner{identity.kind, set_.uids_.at(uid)};
        const Held& first = set_.held_.at(owner);
        text += "metadata.uid: " + uid + " is the uid of Pod " + owner.key.str();
        if (first.state == State::Absent)
            text += ", which is leaving; " + identity.key.str() + " waits until it has left";
        else
            text += " in " + file_of(first) + ", " + place_of(origin_of(first.object)) + "; this one is not used";
        return text + (set_.held_.contains(identity) ? kStays : "");
    }

    static const std::string& file_of(const Held& held) { return origin_of(held.object).file; }

    static constexpr const char* kStays = "; the last good version stays in use";

    ManifestSet& set_;
    Changes changes_;
    std::set<Identity> released_;
    std::set<Identity> changed_;
    std::set<Identity> returned_;
};

Changes ManifestSet::apply(Result<Listing> listing) {
    Step step(*this);
    listing_error_.reset();
    if (listing)
        step.take(std::move(*listing));
    else
        listing_error_ = std::move(listing.error());
    return step.finish();
}

Changes ManifestSet::forget(const Identity& identity) {
    Step step(*this);
    step.forget(identity);
    return step.finish();
}

const Object* ManifestSet::find(const Identity& identity) const {
    const auto held = held_.find(identity);
    return held == held_.end() ? nullptr : &held->second.object;
}

template <class T>
const T* ManifestSet::find_as(const char* kind, const ObjectKey& key) const {
    return std::get_if<T>(find({kind, key}));
}

const Pod* ManifestSet::pod(const ObjectKey& key) const {
    return find_as<Pod>("Pod", key);
}

const ServiceAccount* ManifestSet::service_account(const ObjectKey& key) const {
    return find_as<ServiceAccount>("ServiceAccount", key);
}

const ConfigMap* ManifestSet::config_map(const ObjectKey& key) const {
    return find_as<ConfigMap>("ConfigMap", key);
}

const Secret* ManifestSet::secret(const ObjectKey& key) const {
    return find_as<Secret>("Secret", key);
}

const ClusterTrustBundle* ManifestSet::trust_bundle(const std::string& name) const {
    return find_as<ClusterTrustBundle>("ClusterTrustBundle", {"", name});
}

// A kind's objects stand side by side in the map.
template <class T>
std::vector<const T*> ManifestSet::all(const char* kind) const {
    std::vector<const T*> found;
    for (auto at = held_.lower_bound({kind, {}}); at != held_.end() && at->first.kind == kind; ++at)
        found.push_back(&std::get<T>(at->second.object));
    return found;
}

std::vector<const Pod*> ManifestSet::pods() const {
    return all<Pod>("Pod");
}

std::vector<const ServiceAccount*> ManifestSet::service_accounts() const {
    return all<ServiceAccount>("ServiceAccount");
}

std::vector<const ConfigMap*> ManifestSet::config_maps() const {
    return all<ConfigMap>("ConfigMap");
}

std::vector<const Secret*> ManifestSet::secrets() const {
    return all<Secret>("Secret");
}

std::vector<const ClusterTrustBundle*> ManifestSet::trust_bundles() const {
    return all<ClusterTrustBundle>("ClusterTrustBundle");
}

std::vector<Identity> ManifestSet::absent() const {
    std::vector<Identity> found;
    for (const auto& [identity, held] : held_)
        if (held.state == State::Absent)
            found.push_back(identity);
    return found;
}

bool ManifestSet::is_absent(const Identity& identity) const {
    const auto held = held_.find(identity);
    return held != held_.end() && held->second.state == State::Absent;
}

}  // namespace tokenlet::kube
