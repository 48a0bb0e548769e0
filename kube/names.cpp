// SPDX-License-Identifier: Apache-2.0
#include "kube/names.h"

#include <algorithm>
#include <cstddef>
#include <string>

namespace tokenlet::kube {
namespace {

constexpr std::size_t kLongestLabel = 63;
constexpr std::size_t kLongestSubdomain = 253;
constexpr std::size_t kLongestPath = 4096;
constexpr std::size_t kLongestPathElement = 255;

bool is_lower_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_alphanumeric(char c) {
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

std::string too_long(std::size_t most) {
    return "must be no more than " + std::to_string(most) + " bytes";
}

// [a-z0-9]([-a-z0-9]*[a-z0-9])?
bool is_label(std::string_view text) {
    return !text.empty() && is_lower_or_digit(text.front()) && is_lower_or_digit(text.back()) &&
           std::ranges::all_of(text, [](char c) { return is_lower_or_digit(c) || c == '-'; });
}

// Calls check(element) for each part between separators; true when all pass.
template <class Check>
bool all_parts(std::string_view text, char separator, Check check) {
    for (;;) {
        const std::size_t at = text.find(separator);
        if (!check(text.substr(0, at)))
            return false;
        if (at == std::string_view::npos)
            return true;
        text.remove_prefix(at + 1);
    }
}

// ([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]
bool is_label_key(std::string_view text) {
    return !text.empty() && is_alphanumeric(text.front()) && is_alphanumeric(text.back()) &&
           std::ranges::all_of(text, [](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

constexpr std::string_view kLabelKeyRule =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

}  // namespace

std::string check_dns1123_label(std::string_view text) {
    if (text.size() > kLongestLabel)
        return too_long(kLongestLabel);
    return is_label(text) ? ""
                          : "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
                            "must start and end with an alphanumeric character";
}

std::string check_dns1123_subdomain(std::string_view text) {
    if (text.size() > kLongestSubdomain)
        return too_long(kLongestSubdomain);
    return all_parts(text, '.', is_label)
               ? ""
               : "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and "
                 "must start and end with an alphanumeric character";
}

std::string check_qualified_name(std::string_view text) {
    std::string_view name = text;
    if (const std::size_t slash = text.find('/'); slash != std::string_view::npos) {
        const std::string_view prefix = text.substr(0, slash);
        name = text.substr(slash + 1);
        if (prefix.empty())
            return "prefix part must be non-empty";
        if (std::string problem = check_dns1123_subdomain(prefix); !problem.empty())
            return "prefix part " + problem;
    }
    if (name.empty())
        return "name part must be non-empty";
    if (name.size() > kLongestLabel)
        return "name part " + too_long(kLongestLabel);
    return is_label_key(name) ? "" : "name part " + std::string(kLabelKeyRule);
}

std::string check_label_value(std::string_view text) {
    if (text.size() > kLongestLabel)
        return too_long(kLongestLabel);
    return text.empty() || is_label_key(text)
               ? ""
               : "a valid label must be an empty string or " + std::string(kLabelKeyRule).substr(5);
}

std::string label_value_of(std::string_view name) {
    std::string value(name.substr(0, kLongestLabel));
    while (!value.empty() && !is_alphanumeric(value.back()))
        value.pop_back();
    return value;
}

std::string check_config_key(std::string_view text) {
    if (text.size() > kLongestSubdomain)
        return too_long(kLongestSubdomain);
    const auto is_allowed = [](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; };
    if (text.empty() || !std::ranges::all_of(text, is_allowed))
        return "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
    if (text == ".")
        return "must not be '.'";
    return text.starts_with("..") ? "must not start with '..'" : "";
}

std::string check_uid(std::string_view text) {
    if (text.size() > kLongestLabel)
        return too_long(kLongestLabel);
    const bool fits = !text.empty() && std::ranges::all_of(text, [](char c) { return is_alphanumeric(c) || c == '-'; });
    return fits ? "" : "must consist of 1 to 63 alphanumeric characters or '-', because it becomes a directory's name";
}

std::string check_relative_path(std::string_view text) {
    if (text.empty())
        return "required";
    if (text.starts_with('/'))
        return "must be a relative path";
    if (text.size() > kLongestPath)
        return too_long(kLongestPath);
    if (text.find('\0') != std::string_view::npos)
        return "must not contain a NUL character";
    if (!all_parts(text, '/', [](std::string_view part) { return part != ".."; }))
        return "must not contain '..'";
    if (!all_parts(text, '/', [](std::string_view part) { return part.size() <= kLongestPathElement; }))
        return "each element " + too_long(kLongestPathElement);
    // The first element that counts: upstream lets "./..data" through, and writes over its own link.
    std::string_view rest = text;
    while (rest.starts_with("./") || rest.starts_with('/'))
        rest.remove_prefix(rest.starts_with('/') ? 1 : 2);
    if (rest.starts_with(".."))
        return "must not start with '..'";
    return rest.empty() || rest == "." ? "must name a file" : "";
}

}  // namespace tokenlet::kube
