// SPDX-License-Identifier: Apache-2.0
// From "forbidden" to the manifest that ends it.
//
//     if (auto missing = read_missing_right(status.message, "shop"))
//         advice = rbac_for(*missing);  // what `kubectl apply -f -` takes
//
// Shapes   read_missing_right() takes apart what the API server says of a request that RBAC or NodeRestriction refused;
//          rbac_for() makes the smallest Role and RoleBinding (or ClusterRole and ClusterRoleBinding, for what has no
//          namespace) that allow it, for the very user that was refused.
// Units    none.     Owns  nothing.     Threads  any.
// Errors   nullopt: the refusal is of another kind (a webhook, a quota), and no right would help.
// Source   kubernetes apiserver pkg/endpoints/handlers/responsewriters/errors.go, forbiddenMessage;
//          plugin/pkg/admission/noderestriction/admission.go, validateNodeServiceAccountAudience.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tokenlet::kube {

struct MissingRight {
    std::string user;  // as the server knows us: "system:serviceaccount:edge:tokenlet", "admin", "system:node:edge-7"
    std::string verb;  // "create"
    std::string api_group;
    std::string resource;     // "serviceaccounts"; the audience, for kRequestAudience
    std::string subresource;  // "token", or empty
    std::string name;         // of the object; empty: all of them
    std::string ns;           // empty: the whole cluster
    std::string url;          // of a request that is for no resource; then all but user and verb is empty
    bool operator==(const MissingRight&) const = default;
};

// The verb by which a node may have tokens for audiences that stand in no Pod's spec, since 1.32.
inline constexpr char kRequestAudience[] = "request-serviceaccounts-token-audience";

// Whom to bind the role to.
struct Subject {
    enum class Kind { ServiceAccount, User, Group };
    Kind kind = Kind::User;
    std::string name;
    std::string ns;  // ServiceAccount only
};

// "system:serviceaccount:NS:NAME" is a ServiceAccount, everybody else a User. A Group is the caller's to name.
[[nodiscard]] Subject subject_of(std::string_view user);

// The message of a Status with reason Forbidden; `ns` is that of the request, which not every message repeats.
[[nodiscard]] std::optional<MissingRight> read_missing_right(std::string_view message, std::string_view ns);

// "allow ServiceAccount edge/tokenlet to create serviceaccounts/token 'web' in namespace shop", for one line.
[[nodiscard]] std::string in_words(const MissingRight& right, const Subject& subject);

// Documents of YAML, with a comment in front that says what they allow and to whom.
[[nodiscard]] std::string rbac_for(const MissingRight& right);
[[nodiscard]] std::string rbac_for(const MissingRight& right, const Subject& subject);

}  // namespace tokenlet::kube
