// SPDX-License-Identifier: Apache-2.0
// What a YAML scalar means.
//
// Shapes   resolve_scalar(tag, text) -> kind and canonical text, as Node has them. The tag is the one in force: "" for
//          a plain scalar without one, "!" for a quoted one, "tag:yaml.org,2002:int" for !!int.
// Owns     nothing.     Threads  any.
// Errors   Invalid where tag and text contradict each other; the text is not quoted.
// Source   go.yaml.in/yaml/v2 resolve.go, which sigs.k8s.io/yaml 1.6 uses: YAML 1.1 with y, n, yes, no, on, off;
//          integers in Go's spelling (0644, 0o644, 0x1a4, 0b11, 1_000), those above 64 bits as floats; no base 60.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "kube/document.h"

namespace tokenlet::kube {

struct Scalar {
    Node::Kind kind = Node::Kind::String;
    std::string text;
    bool operator==(const Scalar&) const = default;
};

[[nodiscard]] Result<Scalar> resolve_scalar(std::string_view tag, std::string_view text);

}  // namespace tokenlet::kube
