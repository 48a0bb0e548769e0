// SPDX-License-Identifier: Apache-2.0
// What a Pod's annotations ask of tokenlet.
//
// Shapes   read_annotations(pod's annotations) -> values. tokenlet.dev/readers is access.h's to read.
// Units    chrono.     Owns  nothing.     Threads  any.
// Errors   Invalid, naming the annotation: a value that cannot be read, a name under tokenlet.dev/ that does not exist, or
//          one that this version does not carry out. Annotations of others pass unread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "kube/objects.h"

namespace tokenlet::projector {

inline constexpr char kGraceAnnotation[] = "tokenlet.dev/grace";  // "150s": how long a replaced generation stays
inline constexpr Duration kMaxGrace = std::chrono::hours(1);      // older generations take memory

// "VOLUME=/directory", several separated by commas: where a volume is published instead of below volumes.root.
inline constexpr char kPathAnnotation[] = "tokenlet.dev/path";
inline constexpr std::size_t kMaxDirectPath = 150;  // with plugin and volume it names the record, in one file name

struct DirectPath {
    std::string volume;  // as written: kInjectedVolume may stand for the injected one
    std::string path;    // absolute and clean; no part of it starts with "..", as names of fsatomic's do
    bool operator==(const DirectPath&) const = default;
};

// "podman:USER": the Pod's ids are those of containers that this user's podman runs, see id_map.h.
inline constexpr char kUidMapAnnotation[] = "tokenlet.dev/uid-map";

struct Annotations {
    std::optional<Duration> grace;
    std::optional<std::string> rootless_user;
    std::vector<DirectPath> paths;  // none within another
};

[[nodiscard]] Result<Annotations> read_annotations(const kube::StringMap& annotations);

}  // namespace tokenlet::projector
