// SPDX-License-Identifier: Apache-2.0
// One spelling for each path in a volume.
//
// Shapes   clean_path("./a//b/") -> "a/b", lexically. Pure.
// Owns     nothing.     Threads  any.
// Errors   Invalid, quoting the path: empty, absolute, NUL, a ".." element, a first element that starts with ".." (those
//          names are the publishing protocol's), an element over 255 bytes, a path of more than 4096.
// Source   kubernetes pkg/volume/util/atomic_writer.go, validatePath.
// Differs  cleaned first and checked after: upstream lets "./..data" and "." through.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tokenlet::projector {

[[nodiscard]] Result<std::string> clean_path(std::string_view path);

}  // namespace tokenlet::projector
