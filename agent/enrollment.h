// SPDX-License-Identifier: Apache-2.0
// What a cluster must hold so that an agent can ask it for tokens, and no more than that.
//
// Shapes   objects_for(enrollment) -> manifests, in the order in which they are to be applied; keep_rules(role, JSON of the
//          one that is there) -> the same, and all that is granted already; kubeconfig_for() -> what the agent then reads.
//          Pure.
// Units    none.     Owns  its text.     Threads  any.
// Errors   keep_rules(): Invalid for what is no Role. Names are the caller's to check.
//
// The agent's account may renew its own token, and for each account it serves: ask for that account's tokens, and follow it
// and its namespace's kube-root-ca.crt. A Secret in each namespace is what tokens are bound to: deleting it ends them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kube/kubeconfig.h"
#include "kube/objects.h"

namespace tokenlet::agent {

// The last line of a Secret that tokens are bound to.
inline constexpr std::string_view kSecretType = "type: tokenlet.dev/bound-object\n";

struct Enrollment {
    std::string node;                     // for labels and names
    kube::ObjectKey account;              // of the agent itself
    std::string secret_name;              // boundObject.secretName
    std::vector<kube::ObjectKey> serves;  // accounts whose tokens it may ask for
};

struct EnrolledObject {
    std::string what;  // "Role shop/tokenlet-edge-7"
    std::string path;  // of the object, for a server-side apply
    std::string yaml;
    bool is_role = false;
};

[[nodiscard]] std::vector<EnrolledObject> objects_for(const Enrollment& enrollment);

// Applied as it is, a Role would take away what an earlier run, or a person, has granted: its rules are one value to a server.
[[nodiscard]] Result<EnrolledObject> keep_rules(EnrolledObject role, std::string_view held_json);

// `ca_pem` empty: those that the system trusts.
[[nodiscard]] std::string kubeconfig_for(const kube::Cluster& cluster, std::string_view ca_pem,
                                         const std::string& token_file);

}  // namespace tokenlet::agent
