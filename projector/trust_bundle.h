// SPDX-License-Identifier: Apache-2.0
// The trust anchors that a clusterTrustBundle source selects, as one PEM text.
//
// Shapes   trust_anchors(bundles, selection) -> PEM. Every certificate of every selected bundle, once; headers, comments
//          and line lengths of the originals do not show. Pure.
// Owns     nothing.     Threads  any.
// Errors   NotFound when no bundle is selected; Invalid when a selected one is no sequence of PEM certificates, naming
//          the block, and the bundle where the selection does not.
// Source   kubernetes pkg/kubelet/clustertrustbundle/clustertrustbundle_manager.go.
// Differs  sorted by content, not shuffled: equal bundles give equal bytes, so nothing is rewritten without a change. A
//          malformed block is an error, not passed over: the API server would have refused the bundle.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "kube/objects.h"
#include "projector/label_selector.h"

namespace tokenlet::projector {

struct BundleSelection {
    enum class By { Name, Signer, Nothing };  // Nothing: a signer without labelSelector
    By by = By::Name;
    std::string name;                       // of the bundle or of the signer
    std::vector<Requirement> requirements;  // on the bundle's labels, By::Signer only
    bool operator==(const BundleSelection&) const = default;
};

[[nodiscard]] BundleSelection selection_of(const kube::ClusterTrustBundleProjection& source);

[[nodiscard]] Result<std::string> trust_anchors(std::span<const kube::ClusterTrustBundle* const> bundles,
                                                const BundleSelection& selection);

}  // namespace tokenlet::projector
