// SPDX-License-Identifier: Apache-2.0
// The Kubernetes objects tokenlet acts on, reduced to the fields it acts on.
//
// Shapes   plain values with API defaults applied (defaultMode 0644, expirationSeconds 3600, namespace "default"). The four
//          volume kinds that project files share one shape: a plain secret, configMap or downwardAPI volume is a projected
//          volume with a single source and another directory name on disk.
// Units    modes are permission bits 0 to 0777; expiration_seconds as the API counts it; quantities in kube/quantity.h.
// Owns     Secret data in tokenlet::Secret, so kube::Secret and Object are move-only.
// Threads  any.     Errors  none here; kube/decode.h reads and validates.
// Source   kubernetes staging/src/k8s.io/api/core/v1/types.go, pkg/apis/core/v1/defaults.go.
#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/secret.h"
#include "kube/quantity.h"

namespace tokenlet::kube {

using StringMap = std::map<std::string, std::string>;

inline constexpr mode_t kDefaultMode = 0644;
inline constexpr std::int64_t kDefaultExpirationSeconds = 3600;
inline constexpr std::int64_t kMinExpirationSeconds = 600;
inline constexpr std::int64_t kMaxExpirationSeconds = std::int64_t{1} << 32;
inline constexpr std::int64_t kInjectedExpirationSeconds = 3607;
inline constexpr char kDefaultNamespace[] = "default";
inline constexpr char kDefaultServiceAccount[] = "default";
inline constexpr char kRootCaConfigMap[] = "kube-root-ca.crt";
inline constexpr char kServiceAccountMountPath[] = "/var/run/secrets/kubernetes.io/serviceaccount";

// namespace/name; cluster-scoped objects (ClusterTrustBundle) have an empty namespace.
struct ObjectKey {
    std::string ns;
    std::string name;
    auto operator<=>(const ObjectKey&) const = default;
    [[nodiscard]] std::string str() const { return ns.empty() ? name : ns + "/" + name; }
};

// Where a document stands, for messages to people.
struct Origin {
    std::string file;
    int document = 1;  // from 1, within the file
    int line = 1;      // from 1: the line on which the document starts
    bool operator==(const Origin&) const = default;
};

struct ObjectMeta {
    std::string ns;
    std::string name;
    std::string uid;  // empty: none given
    StringMap labels;
    StringMap annotations;
    [[nodiscard]] ObjectKey key() const { return {ns, name}; }
    bool operator==(const ObjectMeta&) const = default;
};

struct KeyToPath {
    std::string key;
    std::string path;
    std::optional<mode_t> mode;
    bool operator==(const KeyToPath&) const = default;
};

struct ServiceAccountTokenProjection {
    std::string audience;  // empty: the issuer's own audiences
    std::int64_t expiration_seconds = kDefaultExpirationSeconds;
    std::string path;
    bool operator==(const ServiceAccountTokenProjection&) const = default;
};

struct ConfigMapProjection {
    std::string name;
    std::vector<KeyToPath> items;  // empty: every key
    bool optional = false;
    bool operator==(const ConfigMapProjection&) const = default;
};

struct SecretProjection {
    std::string name;
    std::vector<KeyToPath> items;  // empty: every key
    bool optional = false;
    bool operator==(const SecretProjection&) const = default;
};

struct ObjectFieldSelector {
    std::string field_path;  // validated: one of those a volume may use
    bool operator==(const ObjectFieldSelector&) const = default;
};

struct ResourceFieldSelector {
    std::string container_name;
    std::string resource;  // "limits.cpu", "requests.hugepages-2Mi", ...
    Quantity divisor;      // zero stands for 1
    bool operator==(const ResourceFieldSelector&) const = default;
};

struct DownwardApiFile {
    std::string path;
    std::variant<ObjectFieldSelector, ResourceFieldSelector> field;
    std::optional<mode_t> mode;
    bool operator==(const DownwardApiFile&) const = default;
};

struct DownwardApiProjection {
    std::vector<DownwardApiFile> items;
    bool operator==(const DownwardApiProjection&) const = default;
};

struct LabelSelectorRequirement {
    enum class Operator { In, NotIn, Exists, DoesNotExist };
    std::string key;
    Operator op = Operator::In;
    std::vector<std::string> values;
    bool operator==(const LabelSelectorRequirement&) const = default;
};

struct LabelSelector {
    StringMap match_labels;
    std::vector<LabelSelectorRequirement> match_expressions;
    bool operator==(const LabelSelector&) const = default;
};

struct ClusterTrustBundleProjection {
    std::string name;  // exactly one of name and signer_name is set
    std::string signer_name;
    std::optional<LabelSelector> label_selector;  // with signer_name: unset matches nothing, an empty one everything
    bool optional = false;
    std::string path;
    bool operator==(const ClusterTrustBundleProjection&) const = default;
};

// monostate: an entry that names no kind, which Kubernetes accepts and which projects nothing.
using VolumeProjection = std::variant<std::monostate, ServiceAccountTokenProjection, ConfigMapProjection,
                                      SecretProjection, DownwardApiProjection, ClusterTrustBundleProjection>;

enum class VolumeKind { Other, Projected, Secret, ConfigMap, DownwardApi };

struct Volume {
    std::string name;
    VolumeKind kind = VolumeKind::Other;  // Other: emptyDir, hostPath, ...; left alone
    std::vector<VolumeProjection> sources;
    mode_t default_mode = kDefaultMode;
    bool operator==(const Volume&) const = default;
};

struct VolumeMount {
    std::string name;
    std::string mount_path;
    std::string sub_path;  // subPath or subPathExpr
    bool read_only = false;
    bool operator==(const VolumeMount&) const = default;
};

struct Container {
    std::string name;
    std::vector<VolumeMount> volume_mounts;
    std::optional<std::int64_t> run_as_user;
    std::map<std::string, Quantity> limits;
    std::map<std::string, Quantity> requests;  // defaulted from limits, per resource
    bool operator==(const Container&) const = default;
};

struct Pod {
    ObjectMeta meta;
    Origin origin;
    std::string service_account_name;  // empty: admission fills in "default"
    std::optional<bool> automount_service_account_token;
    std::optional<std::int64_t> run_as_user;  // spec.securityContext
    std::optional<std::int64_t> fs_group;
    std::vector<std::int64_t> supplemental_groups;
    std::vector<Container> init_containers;
    std::vector<Container> containers;
    std::vector<Container> ephemeral_containers;
    std::vector<Volume> volumes;
};

struct ServiceAccount {
    ObjectMeta meta;
    Origin origin;
    std::optional<bool> automount_service_account_token;
};

struct ConfigMap {
    ObjectMeta meta;
    Origin origin;
    StringMap data;
    StringMap binary_data;  // decoded
    bool immutable = false;
};

struct Secret {
    ObjectMeta meta;
    Origin origin;
    std::string type;
    std::map<std::string, tokenlet::Secret> data;  // decoded; stringData merged in
    bool immutable = false;
};

struct ClusterTrustBundle {
    ObjectMeta meta;
    Origin origin;
    std::string signer_name;
    std::string trust_bundle;  // PEM
};

using Object = std::variant<Pod, ServiceAccount, ConfigMap, Secret, ClusterTrustBundle>;

}  // namespace tokenlet::kube
