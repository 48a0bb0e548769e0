// SPDX-License-Identifier: Apache-2.0
// Base64 in its two alphabets.
//
// Shapes   base64url: RFC 4648 section 5 without padding, as JWS wants it. base64: section 4 with padding, as Secret data
//          and kubeconfigs carry it; decode_base64 passes over line breaks, as Go's decoder does.
// Owns     nothing.     Threads  any.     Errors  Invalid, naming the offset, never the bytes.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tokenlet {

[[nodiscard]] std::string encode_base64url(std::string_view bytes);
[[nodiscard]] Result<std::string> decode_base64url(std::string_view text);
[[nodiscard]] std::string encode_base64(std::string_view bytes);
[[nodiscard]] Result<std::string> decode_base64(std::string_view text);

}  // namespace tokenlet
