// SPDX-License-Identifier: Apache-2.0
// Which paths a payload may name.
//
// Shapes   clean_path("a//b/./c") -> "a/b/c". Lexical: asks no file system.
// Units    lengths in bytes, limits inclusive.
// Owns     nothing.     Threads  any.     Errors  Invalid, with the path and the rule it breaks.
// Source   kubernetes pkg/volume/util/atomic_writer.go, validatePath, validatePayload.
// Differs  the rules hold for the cleaned path too: upstream looks at the raw one only, so that "./..data" gets by.
//          NUL is refused; so is a path that cleans to nothing (".").
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tokenlet::fsatomic {

inline constexpr std::size_t kMaxPathBytes = 4096;
inline constexpr std::size_t kMaxNameBytes = 255;

[[nodiscard]] Result<std::string> clean_path(std::string_view path);

// What stands before the first slash: the name a reader sees in the volume.
[[nodiscard]] std::string_view first_component(std::string_view path);

}  // namespace tokenlet::fsatomic
