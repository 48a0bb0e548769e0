// SPDX-License-Identifier: Apache-2.0
// Where random names come from.
//
// Shapes   an Entropy fills a buffer; random_uuid() makes a version 4 UUID of it. Keys do not come from here: OpenSSL
//          draws them itself.
// Owns     nothing.     Threads  any, one at a time.     Errors  Unavailable where the system has no randomness to
//          give.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "base/result.h"

namespace tokenlet::authority {

using Entropy = std::move_only_function<Result<>(std::span<unsigned char>)>;

// OpenSSL's generator for public values.
[[nodiscard]] Entropy system_entropy();

[[nodiscard]] Result<std::string> random_uuid(Entropy& entropy);

}  // namespace tokenlet::authority
