// SPDX-License-Identifier: Apache-2.0
// The state machine of all Pods and volumes: events in, commands out.
//
// Shapes   every on_...() takes the present and an event, and may add commands; take_commands() hands them over. The shell
//          calls on_timer() when next_deadline() has come. Level-triggered: an event only marks what must be looked at
//          again, and one look at a volume decides from what is known now.
// Units    base/time.h.     Owns  all agent state, and the bytes of the tokens it holds.
// Threads  one; no locks.
// Errors   belong to one manifest, token or volume; they show in status() and as Reports, and are tried again. Nothing
//          is removed because something could not be read, parsed or reached.
// Source   design rules: rotation/schedule.h and backoff.h (when), projector/ (what), removal: see core.h, Removal below.
//
// Removal. A Pod (or other object) has left when its document has been absent from complete listings for removal_delay.
// When more than half of at least four Pods vanish together, or the directory has become another one, removals are held
// for an hour or until release_removals().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/core/command.h"
#include "agent/core/status.h"
#include "kube/manifest_policy.h"
#include "kube/manifest_set.h"
#include "projector/plan.h"
#include "rotation/schedule.h"

namespace tokenlet::agent {

// Whose clock decides whether a token is refused.
enum class IssuerClock {
    Ours,      // the issuer reads the same wall clock
    Measured,  // another machine's: its distance from ours is taken from each answer
};

// Where ServiceAccounts, ConfigMaps, Secrets and ClusterTrustBundles come from.
enum class ObjectsFrom {
    Manifests,  // alone: an account that none describes is made by the issuer
    Cluster,    // too: what a manifest says goes before it
};

struct CoreSettings {
    std::string boot_id;  // /proc/sys/kernel/random/boot_id: tells whether recorded boot times still count
    std::string issuer;   // the iss of its tokens, where it is known beforehand: a token of another one is due at once
    IssuerClock issuer_clock = IssuerClock::Ours;
    ObjectsFrom objects_from = ObjectsFrom::Manifests;
    rotation::RotationPolicy rotation;
    Duration removal_delay = std::chrono::seconds(10);
    Duration grace = std::chrono::seconds(10);
    Duration audit_interval = std::chrono::minutes(10);  // every volume is checked against intent this often
    projector::Ownership ownership = projector::Ownership::Acl;
    projector::Allocatable allocatable;
    kube::Policy policy;
    projector::RootlessIds rootless_ids;  // empty: ids stay as they are
    std::vector<std::string> direct;      // within which tokenlet.dev/path may publish
    std::size_t requests_at_once = 64;    // token requests in flight; the most urgent go first
    std::size_t publishes_at_once = 256;  // payloads under way, which bounds the memory they take
};

class Core {
public:
    // `random` gives 64 uniform bits a call: jitter, backoff and Pod uids come from it.
    Core(CoreSettings settings, std::function<std::uint64_t()> random);
    ~Core();

    // Before the first listing: what an earlier run left behind.
    void load_identities(std::vector<PodIdentity> identities);
    void adopt(Now now, std::vector<FoundVolume> found);

    // Answers to commands, and news.
    void on_listed(Now now, Result<kube::Listing> listing);
    void on_identities_saved(Now now, std::uint64_t ticket, const Result<>& result);
    void on_issuer_told(Now now, std::uint64_t ticket, const Result<IssuerAnswer>& answer);
    void on_token(Now now, RequestId id, TokenAnswer answer);
    void on_published(Now now, const VolumePath& path, const Result<PublishOutcome>& outcome);
    // Somebody else has changed something in these volumes, or may have in any (unset): they are compared with intent.
    void on_touched(Now now, const std::optional<std::vector<VolumePath>>& volumes);
    void on_removed(Now now, const VolumePath& path, const Result<>& result);
    // The issuer's CA bundle in PEM, published as kube-root-ca.crt in every namespace that has none in a manifest.
    void on_root_ca(Now now, const std::string& pem);
    // The key ids whose signatures verifiers accept; a token of another key is due at once. Never called: unknown.
    void on_issuer_keys(Now now, std::vector<std::string> key_ids);

    // The iss of the issuer's tokens, where it was not known beforehand.
    void on_issuer_name(Now now, const std::string& name);
    // The issuer's clock, where an answer told it that brought no token.
    void on_issuer_clock(Now now, WallTime issuer_now);
    // What a source of objects knows now; answers WatchObjects.
    void on_object(Now now, const WatchedObject& what, ObjectNews news);

    // Time.
    void on_timer(Now now);
    [[nodiscard]] std::optional<BootTime> next_deadline() const;

    // Requests of people.
    void release_removals(Now now);
    Result<> rotate_now(Now now, const kube::ObjectKey& pod, const std::string& volume);  // "": all volumes

    [[nodiscard]] std::vector<Command> take_commands();
    [[nodiscard]] Status status(Now now) const;

private:
    class State;
    std::unique_ptr<State> state_;
};

}  // namespace tokenlet::agent
