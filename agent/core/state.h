// SPDX-License-Identifier: Apache-2.0
// The core's state, private to agent/core. One class, its parts in files of their own:
//
//   core.cpp      the public face, timers, and settle(): the one place that turns marks into commands
//   pods.cpp      from listings to Pods: uids, admission, plans
//   leaving.cpp   when a Pod or another object is gone, and when it only looks so
//   registers.cpp what must be durable or known to the issuer before a token may be asked for
//   objects.cpp   what is watched at the API server, beside what manifests say
//   tokens.cpp    asking, answers, adoption
//   volumes.cpp   building, publishing, grace, removal
//   places.cpp    who is published in which directory outside of volumes.root
//   snapshot.cpp  status()
//
// A mark (dirty Pod, waking token, dirty volume) says "look again"; the look decides from the present state alone. Marks
// are sets, so that a hundred events make one look. What waits for an answer or a time is woken by it.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/core/core.h"
#include "base/boxed.h"
#include "projector/payload.h"
#include "rotation/deadline_queue.h"
#include "rotation/token_cache.h"

namespace tokenlet::agent {

using rotation::TokenCache;

enum class DeadlineKind : std::uint8_t {
    List,
    SaveIdentities,
    TellIssuer,
    Guard,
    Audit,
    Token,
    Publish,
    Sweep,
    Remove
};

struct DeadlineId {
    DeadlineKind kind;
    std::uint64_t id = 0;  // of the token or volume, where the kind speaks of one
    auto operator<=>(const DeadlineId&) const = default;
};

// A ConfigMap or Secret by name; for trust bundles an empty key, since selectors may mean any of them.
using UsedObject = std::pair<projector::ObjectKind, kube::ObjectKey>;

struct PodState;

using PodsByAccount = std::map<kube::ObjectKey, std::set<std::uint64_t>>;
using VolumesByObject = std::map<UsedObject, std::set<std::uint64_t>>;

// Ten thousand of each of the next three are kept: what another one knows is asked of that one, and what is rarely there
// is Boxed.
struct VolumeState {
    struct Retained {
        std::string generation;
        BootTime until;
    };
    // What the files on disk were made from, as far as later decisions need it.
    struct Published {
        std::optional<BootTime> lost_at;          // when the first of its tokens ends, by age
        std::optional<BootTime> endangered_at;    // when that has used nine tenths of its life
        std::optional<WallTime> valid_from;       // when verifiers accept the last of them, by the issuer's clock
        std::optional<WallTime> expires;          // the same by the issuer's clock
        std::vector<std::uint64_t> token_counts;  // TokenCache::Token::received, one for each source
    };

    std::uint64_t id = 0;
    PodState* pod = nullptr;
    std::string_view plugin_directory;  // projector's
    std::string name;
    Boxed<std::string> direct;                       // VolumePath::direct
    const projector::VolumePlan* plan = nullptr;     // null: no manifest wants it; it is here to be removed
    std::vector<VolumesByObject::iterator> objects;  // that the plan names
    std::vector<std::uint64_t> tokens;               // ids, one for each token source, in order

    bool waiting = false;     // for the first answer about one of its tokens or objects
    bool stands = false;      // what an earlier run published is there, with every token that the plan wants
    bool publishing = false;  // until on_published
    bool removing = false;    // until on_removed
    bool look_again = false;  // something changed meanwhile
    bool audit = false;       // the next publish is to read the bytes
    bool blocked = false;     // something stands where a name of it belongs
    std::optional<BootTime>
        failed_at;             // the last publish, if it failed: it may have replaced a generation all the same
    Boxed<Published> pending;  // becomes published with the answer
    std::optional<Published> published;
    std::vector<Retained> retained;
    Boxed<FoundVolume> found;  // an earlier run's, until its tokens are adopted
    unsigned failures = 0;     // of publishing, in a row
    unsigned repairs = 0;      // in a row
    Boxed<Error> error;
    std::uint64_t rotations = 0;

    [[nodiscard]] VolumePath path() const;
    [[nodiscard]] std::vector<VolumeName> names() const;
};

struct PodState {
    std::uint64_t id = 0;
    kube::ObjectKey key;
    std::string uid;
    bool drawn = false;       // the uid is ours, not the manifest's
    bool saved = true;        // a drawn uid that is on disk, or one that need not be
    bool registered = false;  // the issuer knows the Pod as it is now planned
    bool seen = false;        // this process has read its manifest
    bool gone = false;        // it has left: its volumes are being removed
    std::optional<BootTime> absent_since;
    bool released = false;  // absent, and its removal is not to be held
    std::optional<projector::Plan> plan;
    std::vector<PodsByAccount::iterator> accounts;  // the manifest's and the plan's, mostly one: what wakes it
    Boxed<Error> error;                             // admission, policy, plan; an earlier plan stays in force
    std::vector<VolumeState*> volumes;

    [[nodiscard]] VolumeState* volume(std::string_view plugin_directory, std::string_view name,
                                      std::string_view direct) const;  // or null
};

// A token's place in the queue for a request: the most urgent first. Those that fail come after all others, and in the
// order of their next tries, so that none of them takes the requests of the rest.
struct Turn {
    bool failing = false;
    BootTime at;  // when its readers are lost, or when it may be tried again
    std::uint64_t token = 0;
    auto operator<=>(const Turn&) const = default;
};

// A token, and who projects it.
struct TokenUse {
    enum class Told { Nothing, Failing, NearlyExpired, Expired };
    TokenCache::Token* token = nullptr;
    PodState* pod = nullptr;
    std::vector<std::uint64_t> volumes;
    std::size_t warnings = 0;   // hash of the last answer's, so that the same ones are reported once
    Told told = Told::Nothing;  // how much of a lasting failure has been reported
    std::optional<Turn> turn;   // while it waits for one
    bool overtaken = false;     // the account was made anew after the request that was sent last
};

// What is known of one watched object.
struct Watched {
    std::vector<kube::Object> objects;
    bool known = false;  // there has been an answer, which objects shows
    Boxed<Error> error;  // why there is no newer one; what is known stays

    [[nodiscard]] bool is_waiting() const { return !known && !error; }
};

class Core::State final : public projector::Objects {
public:
    using Field = std::pair<std::string, std::string>;

    State(CoreSettings settings, std::function<std::uint64_t()> random);

    // core.cpp
    void on_timer(Now now);
    void settle(Now now);
    [[nodiscard]] std::optional<BootTime> next_deadline() const { return deadlines_.next(); }
    [[nodiscard]] std::vector<Command> take_commands() { return std::exchange(commands_, {}); }

    // pods.cpp
    void load_identities(std::vector<PodIdentity> identities);
    void on_listed(Now now, Result<kube::Listing> listing);
    void on_root_ca(const std::string& pem);

    // leaving.cpp
    void release_removals();

    // registers.cpp
    void on_identities_saved(Now now, std::uint64_t ticket, const Result<>& result);
    void on_issuer_told(Now now, std::uint64_t ticket, const Result<IssuerAnswer>& answer);

    // tokens.cpp
    void on_token(Now now, RequestId id, TokenAnswer answer);
    void on_issuer_name(const std::string& name);
    void on_issuer_keys(std::vector<std::string> key_ids);
    void on_issuer_clock(Now now, WallTime issuer_time);
    Result<> rotate_now(const kube::ObjectKey& pod, const std::string& volume);

    // objects.cpp
    void on_object(const WatchedObject& what, ObjectNews news);

    // volumes.cpp
    void adopt(Now now, std::vector<FoundVolume> found);
    void on_published(Now now, const VolumePath& path, const Result<PublishOutcome>& outcome);
    void compare_again(Now now, VolumeState& volume);
    void on_touched(const std::optional<std::vector<VolumePath>>& volumes);
    void on_removed(Now now, const VolumePath& path, const Result<>& result);

    // snapshot.cpp
    [[nodiscard]] Status status(Now now) const;

    // projector::Objects, in pods.cpp
    Result<const kube::ConfigMap*> config_map(const kube::ObjectKey& key) const override;
    Result<const kube::Secret*> secret(const kube::ObjectKey& key) const override;
    Result<std::vector<const kube::ClusterTrustBundle*>> trust_bundles() const override;

private:
    // core.cpp
    void report(Report::Level level, std::string event, std::vector<Field> fields);
    void notice_clock_step(Now now);
    void wake_all_tokens();
    void list_manifests();
    void publish_dirty_volumes();
    [[nodiscard]] Duration backoff(unsigned failures, Errc code, std::optional<Duration> left);
    [[nodiscard]] WallTime issuer_now(Now now) const { return now.wall + skew_; }
    [[nodiscard]] BootTime needed_by(Now now, const TokenCache::Token& token) const;
    [[nodiscard]] std::optional<kube::BoundObjectRef> held_binding(const TokenCache::Token& token) const;

    // pods.cpp
    PodState& make_pod(kube::ObjectKey key, std::string uid);
    [[nodiscard]] std::string draw_uid();
    void take_changes(Now now, const kube::Changes& changes);
    void take_pod(Now now, const kube::ObjectKey& key);
    void take_account(const kube::ObjectKey& key);
    void wake_account(const kube::ObjectKey& key);
    void wake_users(const kube::Identity& object);
    void plan_pod(Now now, PodState& pod);
    [[nodiscard]] Result<projector::Plan> make_plan(const kube::Pod& manifest, const PodState& pod);
    void file_under(PodState& pod, const std::set<kube::ObjectKey>& accounts);
    [[nodiscard]] static kube::ObjectKey planned_account(const PodState& pod);

    // leaving.cpp
    void see_absent(Now now, const kube::Identity& object);
    void see_returned(const kube::Identity& object);
    void see_first_listing(Now now);
    void consider_removals(Now now);
    [[nodiscard]] bool removals_held(Now now);
    void leave(Now now, PodState& pod);
    void erase_if_empty(Now now, PodState& pod);

    // registers.cpp
    void save_identities();
    void tell_issuer();
    [[nodiscard]] bool may_ask(const PodState& pod) const;
    void take_account_uid(const kube::ObjectKey& account, const std::string& uid);

    // objects.cpp
    void watch_objects();
    void take_watched_account(const kube::ObjectKey& key, const Watched& account);
    [[nodiscard]] const Watched* watched(WatchedObject::Kind kind, const kube::ObjectKey& key) const;
    template <class T>
    [[nodiscard]] Result<const T*> watched_object(WatchedObject::Kind kind, const kube::ObjectKey& key) const;
    [[nodiscard]] const kube::ServiceAccount* service_account(const kube::ObjectKey& key,
                                                              const kube::ServiceAccount& implied) const;
    [[nodiscard]] const Error* account_trouble(const PodState& pod) const;  // null: none
    [[nodiscard]] static std::vector<WatchedObject> watches_of(const VolumeState& volume);
    [[nodiscard]] bool awaits_object(const VolumeState& volume) const;
    [[nodiscard]] const Error* bundle_trouble(const VolumeState& volume) const;  // null: none

    // tokens.cpp
    std::uint64_t want_token(const VolumeState& volume, const kube::TokenRequest& request);
    [[nodiscard]] kube::TokenRequest request_of(const TokenUse& use) const;
    void release_token(std::uint64_t id);
    void wake_tokens(const PodState& pod);
    bool adopt_token(Now now, const VolumeState& volume, TokenUse& use, const std::string& path);
    void look_at_token(Now now, TokenUse& use);
    void ask_for_tokens(Now now);
    void take_token(Now now, TokenUse& use, kube::IssuedToken issued);
    void token_failed(Now now, TokenUse& use, TokenFailure failure);
    [[nodiscard]] std::string_view keep(std::string_view name);
    void demand(TokenUse& use);
    [[nodiscard]] bool is_foreign(const PodState& pod, const rotation::HeldToken& held) const;
    void demand_if_foreign(TokenUse& use);
    [[nodiscard]] std::vector<Field> about(const TokenUse& use, std::vector<Field> more) const;

    // volumes.cpp
    void measure_skew(Now now, const std::vector<FoundVolume>& found);
    [[nodiscard]] VolumeState* find_volume(const VolumePath& path) const;  // null: there is none
    VolumeState& make_volume(PodState& pod, std::string_view plugin_directory, std::string name,
                             const Boxed<std::string>& direct);
    void set_volumes(Now now, PodState& pod);
    void set_tokens(Now now, VolumeState& volume);
    void set_users(VolumeState& volume, const projector::VolumePlan* plan);
    void unwant(VolumeState& volume);
    void look_at_volume(VolumeState& volume);
    void volume_failed(Now now, VolumeState& volume, Error error);
    void report_rotations(Now now, const VolumeState& volume, const std::vector<std::uint64_t>& before);
    [[nodiscard]] Duration grace_of(const VolumeState& volume) const;
    void take_blocked(VolumeState& volume, const std::vector<std::string>& blocked);
    void retain(Now now, VolumeState& volume, const std::vector<std::string>& older);
    void sweep(Now now, VolumeState& volume);
    void remove(VolumeState& volume);
    [[nodiscard]] VolumeRecord make_record(const VolumeState& volume) const;
    [[nodiscard]] static std::vector<Field> about(const VolumeState& volume, std::vector<Field> more);

    // places.cpp
    [[nodiscard]] Result<> check_places(const projector::Plan& plan, const PodState& pod);
    [[nodiscard]] const VolumeState* find_place(const std::string& path, const kube::ObjectKey& pod) const;
    void claim_place(const VolumeState& volume);
    void release_place(const VolumeState& volume);

    // snapshot.cpp
    [[nodiscard]] VolumeStatus volume_status(Now now, const VolumeState& volume) const;
    [[nodiscard]] FileStatus token_status(Now now, const projector::TokenSource& source, const TokenUse& use) const;

    CoreSettings settings_;
    std::function<std::uint64_t()> random_;
    std::vector<Command> commands_;
    rotation::DeadlineQueue<DeadlineId> deadlines_;
    std::uint64_t last_id_ = 0;
    std::uint64_t last_ticket_ = 0;
    std::optional<Duration> wall_minus_boot_;
    Duration skew_{};  // the issuer's clock minus ours

    kube::ManifestSet manifests_;
    bool listing_ = false;  // asked for, not yet answered
    unsigned listing_failures_ = 0;
    std::optional<BootTime> first_listed_;  // the first complete listing
    bool told_everything_ = false;

    std::map<std::uint64_t, std::unique_ptr<PodState>> pods_;
    std::map<std::string_view, PodState*> pods_by_uid_;
    std::map<kube::ObjectKey, PodState*> pods_by_key_;  // the one that the manifest of this name means
    PodsByAccount pods_by_account_;
    std::set<std::uint64_t> dirty_pods_;
    bool no_identities_ = true;                       // were loaded
    std::set<kube::ObjectKey> pods_waiting_for_uid_;  // their uid still stands in a volume that is being removed

    std::map<kube::Identity, BootTime> absent_objects_;  // other than Pods
    bool directory_changed_ = false;                     // since the last time that no Pod was absent
    std::optional<BootTime> held_until_;
    std::string held_why_;
    bool release_asked_ = false;               // a person has said so, or the hour is over
    std::optional<BootTime> all_read_since_;   // no manifest has had a problem
    std::set<std::uint64_t> overdue_volumes_;  // taken out of their manifests, as far as the last listing knows
    std::set<std::uint64_t> volumes_to_remove_;

    std::set<std::uint64_t> pods_to_save_;
    std::vector<PodIdentity> identities_to_remove_;
    std::optional<SaveIdentities> saving_;
    std::optional<Error> identities_error_;
    unsigned identity_failures_ = 0;

    std::set<std::uint64_t> pods_to_tell_;
    std::set<kube::ObjectKey> accounts_to_tell_;
    std::vector<kube::ObjectKey> accounts_gone_;
    std::vector<PodIdentity> pods_gone_;
    bool everything_to_tell_ = false;
    std::optional<TellIssuer> telling_;
    std::optional<Error> issuer_error_;
    unsigned issuer_failures_ = 0;
    std::map<kube::ObjectKey, std::string> account_uids_;  // as the issuer has them

    TokenCache tokens_;
    std::map<std::uint64_t, TokenUse> uses_;
    std::set<std::uint64_t> waking_tokens_;
    std::set<Turn> asking_;
    unsigned turns_ = 0;
    std::optional<std::set<std::string, std::less<>>> key_ids_;
    std::set<std::string, std::less<>> names_;  // issuers, keys and account uids of tokens, each once; grows slowly
    std::string_view issued_by_;                // the iss of the last token that this process was given; "": none yet
    std::string root_ca_pem_;
    mutable std::map<std::string, kube::ConfigMap> root_cas_;  // kube-root-ca.crt by namespace, made when asked for
    std::uint64_t requests_ = 0;
    std::uint64_t request_failures_ = 0;

    std::map<WatchedObject, Watched> watched_;
    bool watches_stale_ = false;  // what has to be watched may be something else now
    const Error waiting_for_cluster_{Errc::Unavailable, "waiting for the API server"};
    const Error no_account_{Errc::NotFound, "its service account does not exist at the API server"};

    std::map<std::uint64_t, std::unique_ptr<VolumeState>> volumes_;
    VolumesByObject users_;
    std::multimap<std::string, const VolumeState*> places_;  // of volumes outside of volumes.root, by directory
    std::set<std::uint64_t> pods_waiting_for_place_;         // refused, because another Pod has it
    std::set<std::uint64_t> pods_waiting_for_ids_;           // refused, because the host has none for their containers
    std::set<std::uint64_t> dirty_volumes_;
    std::uint64_t publish_cursor_ = 0;  // the last dirty volume looked at: the next turn goes on after it
    std::size_t publishes_under_way_ = 0;
    std::uint64_t publishes_ = 0;
    std::uint64_t repairs_ = 0;
};

}  // namespace tokenlet::agent
