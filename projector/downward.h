// SPDX-License-Identifier: Apache-2.0
// What the downward API says of a Pod.
//
// Shapes   field_value() for fieldRef, resource_value() for resourceFieldRef; bytes without a final newline. Pure.
// Units    resources in the divisor's unit, rounded up; cpu in thousandths at the finest.
// Owns     nothing.     Threads  any.
// Errors   Invalid: a field that volumes may not use, a container that the Pod does not have, an unknown resource.
// Source   kubernetes pkg/fieldpath/fieldpath.go, pkg/api/v1/resource/helpers.go.
//
// labels and annotations as a whole: lines key="value" (go_quote.h), sorted by key. With ['key']: the value; an absent
// key is an empty file. A limit that is unset or zero is the node's allocatable, for cpu, memory and ephemeral-storage.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "kube/objects.h"

namespace tokenlet::projector {

// What the host can give to Pods.
struct Allocatable {
    kube::Quantity cpu;
    kube::Quantity memory;
    kube::Quantity ephemeral_storage;
};

[[nodiscard]] Result<std::string> field_value(const kube::Pod& pod, std::string_view field_path);
[[nodiscard]] Result<std::string> resource_value(const kube::Pod& pod, const kube::ResourceFieldSelector& field,
                                                 const Allocatable& allocatable);

}  // namespace tokenlet::projector
