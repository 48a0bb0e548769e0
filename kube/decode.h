// SPDX-License-Identifier: Apache-2.0
// Manifests: text in, validated objects out.
//
// Shapes   decode_manifests(bytes, file) -> one Decoded for each object, in the order of the file. List, PodList and
//          the like give one for each item. Pod, ServiceAccount, ConfigMap, Secret and ClusterTrustBundle are read;
//          another kind is an error on itself.
// Units    as in kube/objects.h, with the API's defaults applied.
// Owns     nothing.     Threads  any.
// Errors   Invalid: "document 2: line 14: spec.volumes[0].projected.sources[1].serviceAccountToken.expirationSeconds:
//          300 is below 600". The document's number stands there when the file has several; the file's name is the
//          caller's to add. A broken object never hurts another one. Secret data is not quoted.
// Source   kubernetes pkg/apis/core/validation/validation.go, for what a projected volume may say.
// Differs  a field that Kubernetes does not have is refused, with the name that was probably meant; Kubernetes drops
//          it. What Kubernetes has and tokenlet has no use for (images, probes, affinity, status) passes unread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kube/objects.h"

namespace tokenlet::kube {

// Which object a document is about. Known also when the rest of the document is wrong, so that its last good version
// can be told from a document that has gone.
struct Identity {
    std::string kind;
    ObjectKey key;
    auto operator<=>(const Identity&) const = default;
};

struct Decoded {
    Origin origin;
    std::optional<Identity> identity;  // unset: the document could not be read that far
    Result<Object> object;
};

[[nodiscard]] std::vector<Decoded> decode_manifests(std::string_view bytes, const std::string& file);

[[nodiscard]] Identity identity_of(const Object& object);
[[nodiscard]] const ObjectMeta& meta_of(const Object& object);
[[nodiscard]] const Origin& origin_of(const Object& object);

}  // namespace tokenlet::kube
