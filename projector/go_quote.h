// SPDX-License-Identifier: Apache-2.0
// Text quoted as Go's strconv.Quote does it, byte for byte.
//
// Shapes   go_quote("a\"b\n") -> "\"a\\\"b\\n\"". Invalid UTF-8 goes byte by byte as \xff. Pure.
// Owns     nothing.     Threads  any.     Errors  none.
// Source   Go strconv.Quote and unicode.IsPrint: letters, marks, numbers, punctuation, symbols and the ASCII space, of
//          Unicode 15.0.0 (Go 1.21 and later).
#pragma once

#include <string>
#include <string_view>

namespace tokenlet::projector {

[[nodiscard]] std::string go_quote(std::string_view text);

[[nodiscard]] bool is_printable(char32_t code_point);

}  // namespace tokenlet::projector
