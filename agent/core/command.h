// SPDX-License-Identifier: Apache-2.0
// What the core wants done. The shell carries commands out in order and answers with the event that each one names.
//
// Shapes   values. A command that names an answer gets it exactly once, or never when the process ends first; an answer
//          may come at any time after the call that produced the command has returned.
// Owns     what it carries: payloads hold token bytes.     Threads  the loop's.     Errors  come back in the answers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "agent/core/record.h"
#include "base/result.h"
#include "base/time.h"
#include "fsatomic/payload.h"
#include "kube/objects.h"
#include "kube/token_request.h"

namespace tokenlet::agent {

using RequestId = std::uint64_t;

// Where a volume stands: below volumes.root in <pod_uid>/volumes/<plugin_directory>/<volume>, or in the directory that
// tokenlet.dev/path names for it. A volume that moves is another one: the old place is left slowly, as ever.
struct VolumePath {
    std::string pod_uid;
    std::string plugin_directory;  // "kubernetes.io~projected"
    std::string volume;
    std::string direct = {};  // absolute; empty: below volumes.root
    auto operator<=>(const VolumePath&) const = default;
    [[nodiscard]] std::string str() const {
        return direct.empty() ? pod_uid + "/volumes/" + plugin_directory + "/" + volume : direct;
    }
};

// The stable name below volumes.byName: <ns>/<pod>/<name>.
struct VolumeName {
    std::string ns;
    std::string pod;
    std::string name;
    auto operator<=>(const VolumeName&) const = default;
};

// A Pod's uid that was drawn here, so that it outlives restarts.
struct PodIdentity {
    kube::ObjectKey pod;
    std::string uid;
    bool operator==(const PodIdentity&) const = default;
};

// List the manifest directory. Answer: Core::on_listed.
struct ListManifests {};

// Make these identities durable, and drop those. Answer: Core::on_identities_saved, with the same ticket.
struct SaveIdentities {
    std::uint64_t ticket = 0;
    std::vector<PodIdentity> added;
    std::vector<PodIdentity> removed;
};

struct IssuerAccount {
    kube::ObjectKey account;
    std::string uid;  // from the manifest; empty: the issuer's own choice
    bool operator==(const IssuerAccount&) const = default;
};

struct IssuerPod {
    kube::ObjectKey pod;
    std::string uid;
    std::string service_account;
    bool drawn = false;  // the uid was drawn here: nobody else can know it
    bool operator==(const IssuerPod&) const = default;
};

// Tell the issuer which accounts and Pods have gone, then which there are. Answer: Core::on_issuer_told, same ticket.
struct TellIssuer {
    std::uint64_t ticket = 0;
    std::vector<kube::ObjectKey> accounts_gone;
    std::vector<PodIdentity> pods_gone;  // tokens bound to them die 60 s after
    std::vector<IssuerAccount> accounts;
    std::vector<IssuerPod> pods;
    bool everything = false;  // accounts and pods name all there are: what is on record beside them has gone, too
};

// Ask the issuer for a token. Answer: Core::on_token.
struct RequestToken {
    RequestId id = 0;
    kube::TokenRequest request;
    BootTime needed_by{};  // when readers are lost without it: of several, the first goes first
    std::optional<kube::BoundObjectRef> held_binding{};  // of the token that it replaces
};

// What a source of objects other than the manifests can tell of.
struct WatchedObject {
    enum class Kind { ServiceAccount, ConfigMap, Secret, ClusterTrustBundle, BundlesOfSigner };
    Kind kind = Kind::ConfigMap;
    kube::ObjectKey key;  // BundlesOfSigner: the signer's name
    auto operator<=>(const WatchedObject&) const = default;
};
// "ConfigMap": the Kubernetes kind, of which bundles have one however they are watched.
[[nodiscard]] std::string_view to_string(WatchedObject::Kind kind);

// Tell of these objects from now on, and no longer of those. Answer: Core::on_object, as often as there is news.
struct WatchObjects {
    std::vector<WatchedObject> added;
    std::vector<WatchedObject> removed;
};

// Publish this payload, then its record and the stable names. In a directory outside of volumes.root, whose it is comes
// first. Generations in `keep` are in their grace time and stay, as the one that this publish replaces does. Answer:
// Core::on_published.
struct PublishVolume {
    VolumePath path;
    std::vector<VolumeName> names;
    fsatomic::Payload payload;
    VolumeRecord record;
    std::vector<std::string> keep;
    bool audit = false;  // whatever stamps say, the bytes on disk are compared
};

// Remove all generations but the current one and those in `keep`. No answer: what is left is swept the next time.
struct SweepVolume {
    VolumePath path;
    std::vector<std::string> keep;
};

// Remove a volume, its record and its stable names where they still point at it; with the last volume the Pod's directory.
// Answer: Core::on_removed.
struct RemoveVolume {
    VolumePath path;
    std::vector<VolumeName> names;
};

// Something a person should be able to read later. The event is a fixed phrase; what varies stands in the fields.
struct Report {
    enum class Level { Debug, Info, Warn, Error };
    Level level = Level::Info;
    std::string event;
    std::vector<std::pair<std::string, std::string>> fields;
};

using Command = std::variant<ListManifests, SaveIdentities, TellIssuer, RequestToken, WatchObjects, PublishVolume,
                             SweepVolume, RemoveVolume, Report>;

// Answers that are more than a Result<>.

struct TokenFailure {
    Error error;
    std::optional<Duration> retry_after;
};
using TokenAnswer = std::expected<kube::IssuedToken, TokenFailure>;

// All that there is of what is watched: nothing, one object, or for a signer several. An error: it cannot be told, for want of
// a right (Denied), an answer (Unavailable) or the kind itself (Invalid).
using ObjectNews = Result<std::vector<kube::Object>>;

struct PublishOutcome {
    bool wrote = false;                // a new generation was made
    bool repaired = false;             // something on disk was not as it had been left
    std::string reason;                // what was amiss: "token: content differs"
    std::string generation;            // the current one
    std::vector<std::string> older;    // those still there beside it
    std::vector<std::string> blocked;  // names left alone: a directory of somebody else stands there
};

struct IssuerAnswer {
    std::vector<std::pair<kube::ObjectKey, std::string>> account_uids;  // of the accounts it was told about
};

// A volume of an earlier run, as found on disk.
struct FoundVolume {
    VolumePath path;
    std::vector<std::string> older;      // generations beside the current one
    std::optional<VolumeRecord> record;  // absent: none, or unreadable
    std::vector<std::pair<std::string, Secret>>
        files;  // path -> bytes of the files the record names, where they match it
};

}  // namespace tokenlet::agent
