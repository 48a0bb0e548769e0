// SPDX-License-Identifier: Apache-2.0
// A Pod compiled to what projecting it takes: which volumes, which files, from which sources.
//
// Shapes   compile(pod, host) -> Plan, of an admitted Pod (admission.h) that has its uid. Paths are clean, downward API
//          values are rendered, modes resolved; nothing else of the Pod is kept. Equal plans project alike. Pure.
// Units    modes are permission bits.
// Owns     plain values. 10 000 of these stay in memory: about 1 KiB each for an ordinary Pod.
// Threads  any, one at a time.
// Errors   Invalid, naming the field, for what concerns the whole Pod (ids, annotations), and what Host::rootless_ids says.
//          What concerns one source is kept as a BrokenSource: it fails that volume when it is built, and no other.
// Source   kubernetes pkg/volume/projected/projected.go, pkg/kubelet/token/token_manager.go.
//
// A volume is planned when a container of any kind mounts it, or tokenlet.dev/path says where it goes. The others project
// nothing, as on a kubelet; `unmounted` lists them, so that a person can be told.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/boxed.h"
#include "base/result.h"
#include "base/time.h"
#include "kube/objects.h"
#include "kube/token_request.h"
#include "projector/access.h"
#include "projector/downward.h"
#include "projector/trust_bundle.h"

namespace tokenlet::projector {

struct TokenSource {
    std::string path;
    std::string audience;  // empty: the issuer's own audiences
    std::int64_t expiration_seconds = kube::kDefaultExpirationSeconds;
    bool operator==(const TokenSource&) const = default;
};

struct KeyFile {
    std::string key;
    std::string path;
    mode_t mode = kube::kDefaultMode;
    bool operator==(const KeyFile&) const = default;
};

enum class ObjectKind { ConfigMap, Secret, ClusterTrustBundle };  // what a volume's content comes from

struct ObjectSource {
    ObjectKind kind = ObjectKind::ConfigMap;  // ConfigMap or Secret, of the Pod's namespace
    bool optional = false;
    std::string name;
    std::vector<KeyFile> files;  // empty: every key under its own name, in the volume's default mode
    bool operator==(const ObjectSource&) const = default;
};

struct BundleSource {
    std::string path;
    Boxed<BundleSelection> selection;  // always there; boxed, because every source has the size of the largest kind
    bool optional = false;
    bool operator==(const BundleSource&) const = default;
};

struct RenderedFile {
    std::string path;
    std::string bytes;
    mode_t mode = kube::kDefaultMode;
    bool operator==(const RenderedFile&) const = default;
};

struct DownwardSource {
    std::vector<RenderedFile> files;
    bool operator==(const DownwardSource&) const = default;
};

struct BrokenSource {
    std::string why;
    bool operator==(const BrokenSource&) const = default;
};

// monostate: an entry that names no kind and projects nothing, kept so that sources count as in the manifest.
using Source = std::variant<std::monostate, TokenSource, ObjectSource, BundleSource, DownwardSource, BrokenSource>;

struct VolumePlan {
    std::string name;
    kube::VolumeKind kind = kube::VolumeKind::Projected;
    mode_t default_mode = kube::kDefaultMode;
    Boxed<std::string> direct = {};  // as tokenlet.dev/path names it; unset, as for most: below volumes.root
    std::vector<Source> sources;
    bool operator==(const VolumePlan&) const = default;
    [[nodiscard]] std::string_view place() const { return direct ? std::string_view(*direct) : std::string_view(); }
};

struct Plan {
    std::string ns;
    std::string name;
    std::string uid;
    std::string service_account;
    Readership readership;
    Ownership ownership = Ownership::Chown;
    std::optional<Duration> grace;       // for which a replaced generation stays; unset: as configured
    std::vector<VolumePlan> volumes;     // in the Pod's order
    std::vector<std::string> unmounted;  // volumes that would project files, if anything mounted them
    bool operator==(const Plan&) const = default;
};

// What of the host goes into a plan.
struct Host {
    Ownership ownership = Ownership::Chown;
    Allocatable allocatable;
    const std::vector<std::string>* direct = nullptr;  // within which tokenlet.dev/path must lie; null: not looked at
    const RootlessIds* rootless_ids = nullptr;         // null: not looked up, ids stay as they are
};

[[nodiscard]] Result<Plan> compile(const kube::Pod& pod, const Host& host);

// What to ask an issuer for, bound to the Pod. A caller that must bind otherwise (design.md 7) replaces bound_object_ref.
[[nodiscard]] kube::TokenRequest token_request(const Plan& plan, const TokenSource& source);

// The volume's token sources, in order: build() wants one token for each.
[[nodiscard]] std::vector<const TokenSource*> token_sources(const VolumePlan& volume);

// The directory under <pod uid>/volumes/ that holds volumes of this kind: "kubernetes.io~projected".
[[nodiscard]] std::string_view plugin_directory(kube::VolumeKind kind);

}  // namespace tokenlet::projector
