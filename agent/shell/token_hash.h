// SPDX-License-Identifier: Apache-2.0
// How a record knows a token again without holding it.
//
// Shapes   sha256_hex(bytes) -> 64 digits in lower case.
// Owns     nothing.     Threads  any.     Errors  "" when OpenSSL has no SHA-256 to give, which equals no record.
#pragma once

#include <string>
#include <string_view>

namespace tokenlet::agent {

[[nodiscard]] std::string sha256_hex(std::string_view bytes);

}  // namespace tokenlet::agent
