// SPDX-License-Identifier: Apache-2.0
// The two parsers behind kube/document.h.
//
// Shapes   one document's text in, its tree out; first_line is the line of the file on which the text starts.
// Owns     nothing.     Threads  any.
// Errors   Invalid, "line N: ...". Exceptions of the libraries end here.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "kube/document.h"

namespace tokenlet::kube {

// Unset: the text holds nothing but comments and directives.
[[nodiscard]] Result<std::optional<Node>> read_yaml(std::string_view text, int first_line);
[[nodiscard]] Result<Node> read_json(std::string_view text, int first_line);

}  // namespace tokenlet::kube
