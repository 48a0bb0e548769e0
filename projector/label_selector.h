// SPDX-License-Identifier: Apache-2.0
// Which labels a LabelSelector selects.
//
// Shapes   requirements_of() flattens a selector once; matches() asks all of them of a set of labels. Pure.
// Owns     nothing.     Threads  any.     Errors  none: kube/decode.h has validated keys, operators and values.
// Source   kubernetes apimachinery pkg/apis/meta/v1/helpers.go LabelSelectorAsSelector, pkg/labels/selector.go Matches.
//
// An absent key satisfies NotIn and DoesNotExist, nothing else. No requirement at all: everything matches.
#pragma once

#include <span>
#include <vector>

#include "kube/objects.h"

namespace tokenlet::projector {

using Requirement = kube::LabelSelectorRequirement;

// matchLabels become In with one value, sorted by key, before matchExpressions in their order.
[[nodiscard]] std::vector<Requirement> requirements_of(const kube::LabelSelector& selector);

[[nodiscard]] bool matches(std::span<const Requirement> requirements, const kube::StringMap& labels);

}  // namespace tokenlet::projector
