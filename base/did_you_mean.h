// SPDX-License-Identifier: Apache-2.0
// The nearest known word to one that is not known.
//
// Shapes   did_you_mean("volumRoot", names) -> ", did you mean 'volumeRoot'?", or "" when nothing is near enough.
// Owns     nothing.     Threads  any.     Errors  none.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tokenlet {

[[nodiscard]] std::string did_you_mean(std::string_view word, std::span<const std::string_view> known);

}  // namespace tokenlet
