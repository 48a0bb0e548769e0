// SPDX-License-Identifier: Apache-2.0
// A node of a document as JSON, for handing it on.
//
// Shapes   to_json(node) on one line, members in the order of the file.
// Units    none.     Owns  nothing.     Threads  any.
// Errors   none; what JSON has no word for (.inf, .nan) becomes null.
#pragma once

#include <string>

#include "kube/document.h"

namespace tokenlet::kube {

[[nodiscard]] std::string to_json(const Node& node);

// With its quotes.
[[nodiscard]] std::string json_string(std::string_view text);

}  // namespace tokenlet::kube
