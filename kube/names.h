// SPDX-License-Identifier: Apache-2.0
// What Kubernetes lets a name look like.
//
// Shapes   each check returns "" when the text is fine, else what is wrong with it, without the text.
// Units    lengths in bytes.
// Owns     nothing.     Threads  any.     Errors  none.
// Source   kubernetes apimachinery pkg/util/validation/validation.go, pkg/apis/core/validation/validation.go.
#pragma once

#include <string>
#include <string_view>

namespace tokenlet::kube {

[[nodiscard]] std::string check_dns1123_label(std::string_view text);      // namespaces, containers, volumes
[[nodiscard]] std::string check_dns1123_subdomain(std::string_view text);  // Pods, accounts, config maps, secrets
[[nodiscard]] std::string check_qualified_name(std::string_view text);  // keys of labels; of annotations in lower case
[[nodiscard]] std::string check_label_value(std::string_view text);
// A name as a label's value, which is shorter than a name may be: two of them may become one.
[[nodiscard]] std::string label_value_of(std::string_view name);
[[nodiscard]] std::string check_config_key(std::string_view text);  // keys of config maps and secrets
// A uid becomes a directory name: [A-Za-z0-9-], 1 to 63 of them. Differs: Kubernetes takes any text.
[[nodiscard]] std::string check_uid(std::string_view text);
// The path of a projected file: relative, no "..", at most 4096 bytes, 255 each element.
[[nodiscard]] std::string check_relative_path(std::string_view text);

}  // namespace tokenlet::kube
