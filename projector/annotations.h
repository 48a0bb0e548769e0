// SPDX-License-Identifier: Apache-2.0
// What a Pod's annotations ask of tokenlet.
//
// Shapes   read_annotations(pod's annotations) -> values. tokenlet.dev/readers is access.h's to read.
// Units    chrono.     Owns  nothing.     Threads  any.
// Errors   Invalid, naming the annotation: a value that cannot be read, a name under tokenlet.dev/ that does not exist, or
//          one that this version does not carry out. Annotations of others pass unread.
#pragma once

#include <optional>

#include "base/result.h"
#include "base/time.h"
#include "kube/objects.h"

namespace tokenlet::projector {

inline constexpr char kGraceAnnotation[] = "tokenlet.dev/grace";  // "150s": how long a replaced generation stays
inline constexpr Duration kMaxGrace = std::chrono::hours(1);      // older generations take memory

struct Annotations {
    std::optional<Duration> grace;
};

[[nodiscard]] Result<Annotations> read_annotations(const kube::StringMap& annotations);

}  // namespace tokenlet::projector
