// SPDX-License-Identifier: Apache-2.0
// The few pieces of JSON the authority writes itself, where the order of members is part of the result.
//
// Shapes   appends to a text; quoting as RFC 8259 wants it.
// Owns     nothing.     Threads  any.     Errors  none: bytes that are not UTF-8 become U+FFFD.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tokenlet::authority {

void append_json_string(std::string& text, std::string_view value);
void append_json_strings(std::string& text, std::span<const std::string> values);  // ["a","b"]

}  // namespace tokenlet::authority
