// SPDX-License-Identifier: Apache-2.0
// Whether one path lies within another, by their text.
//
// Shapes   is_within("/a/b", "/a") and is_within("/a", "/a") hold, is_within("/ab", "/a") does not. Both are absolute and
//          clean: no "." or "..", no slash too many. Links are not looked at.
// Owns     nothing.     Threads  any.     Errors  none.
#pragma once

#include <string_view>

namespace tokenlet {

[[nodiscard]] constexpr bool is_within(std::string_view inner, std::string_view outer) {
    return outer == "/" || inner == outer ||
           (inner.size() > outer.size() && inner.starts_with(outer) && inner[outer.size()] == '/');
}

}  // namespace tokenlet
