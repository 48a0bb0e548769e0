// SPDX-License-Identifier: Apache-2.0
// The readers of single kinds and their parts, behind kube/decode.h.
//
// Shapes   each takes the mapping that holds the part and fills in what it can; what is wrong is in the Problems of the
//          fields, and a value made while problems were found must not be used.
// Owns     nothing.     Threads  any.     Errors  see above.
#pragma once

#include <string>
#include <vector>

#include "kube/fields.h"
#include "kube/objects.h"

namespace tokenlet::kube {

enum class NameRule { Subdomain, TrustBundle };
enum class Scope { Namespaced, Cluster };

// metadata of an object.
[[nodiscard]] ObjectMeta read_meta(Fields& object, Scope scope = Scope::Namespaced,
                                   NameRule rule = NameRule::Subdomain);

[[nodiscard]] Pod read_pod(Fields& object);
[[nodiscard]] ServiceAccount read_service_account(Fields& object);
[[nodiscard]] ConfigMap read_config_map(Fields& object);
[[nodiscard]] Secret read_secret(Fields& object);
[[nodiscard]] ClusterTrustBundle read_cluster_trust_bundle(Fields& object);

[[nodiscard]] std::vector<Volume> read_volumes(Fields& pod_spec);
[[nodiscard]] LabelSelector read_label_selector(Fields& selector);

// Reports the text of a check (kube/names.h) about a field.
void expect_ok(Fields& fields, std::string_view key, std::string_view value, std::string_view problem);

}  // namespace tokenlet::kube
