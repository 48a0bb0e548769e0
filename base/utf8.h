// SPDX-License-Identifier: Apache-2.0
// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
//
// Shapes   decode_utf8(text) -> the code point at the front and its length; is_utf8(text) looks at all of it.
// Units    bytes.     Owns  nothing.     Threads  any.
// Errors   a size of 0: the first byte starts no valid sequence.
// Source   RFC 3629 section 4.
#pragma once

#include <cstddef>
#include <string_view>

namespace tokenlet {

struct CodePoint {
    char32_t value = 0;
    std::size_t size = 0;
};

// The text must not be empty; no more than its first four bytes are looked at.
[[nodiscard]] CodePoint decode_utf8(std::string_view text);

[[nodiscard]] bool is_utf8(std::string_view text);

}  // namespace tokenlet
