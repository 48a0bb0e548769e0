// SPDX-License-Identifier: Apache-2.0
#include "projector/downward.h"

#include <algorithm>

#include "projector/go_quote.h"

namespace tokenlet::projector {
namespace {

constexpr std::string_view kLabels = "metadata.labels";
constexpr std::string_view kAnnotations = "metadata.annotations";
constexpr std::string_view kLimits = "limits.";
constexpr std::string_view kRequests = "requests.";
constexpr std::string_view kHugePages = "hugepages-";

// Source: pkg/fieldpath/fieldpath.go, FormatMap.
std::string format_map(const kube::StringMap& map) {
    std::string lines;
    for (const auto& [key, value] : map) {
        if (!lines.empty())
            lines += '\n';
        lines.append(key).append("=").append(go_quote(value));
    }
    return lines;
}

std::string value_or_empty(const kube::StringMap& map, std::string_view key) {
    const auto found = map.find(std::string(key));
    return found == map.end() ? std::string() : found->second;
}

struct FieldPath {
    std::string_view path;
    std::optional<std::string_view> subscript;
};

// "metadata.labels['app']" is metadata.labels, app. The first [' opens, so that a key may hold brackets; one quote cannot
// both open and close.
FieldPath split_subscript(std::string_view text) {
    constexpr std::size_t kBracket = 2;  // [' and ']
    const std::size_t open = text.find("['");
    if (open == text.npos || !text.ends_with("']") || text.size() < open + 2 * kBracket)
        return {text, {}};
    return {text.substr(0, open), text.substr(open + kBracket, text.size() - open - 2 * kBracket)};
}

const kube::Container* find_container(const kube::Pod& pod, std::string_view name) {
    for (const auto* containers : {&pod.containers, &pod.init_containers})
        for (const kube::Container& container : *containers)
            if (container.name == name)
                return &container;
    return nullptr;
}

// What of the host stands in for an unset limit; nullptr: nothing does.
const kube::Quantity* allocatable_of(const Allocatable& allocatable, std::string_view resource) {
    if (resource == "cpu")
        return &allocatable.cpu;
    if (resource == "memory")
        return &allocatable.memory;
    if (resource == "ephemeral-storage")
        return &allocatable.ephemeral_storage;
    return nullptr;
}

kube::Quantity quantity_of(const std::map<std::string, kube::Quantity>& resources, std::string_view name) {
    const auto found = resources.find(std::string(name));
    return found == resources.end() ? kube::Quantity{} : found->second;
}

}  // namespace

Result<std::string> field_value(const kube::Pod& pod, std::string_view field_path) {
    const FieldPath field = split_subscript(field_path);
    if (field.path == kLabels)
        return field.subscript ? value_or_empty(pod.meta.labels, *field.subscript) : format_map(pod.meta.labels);
    if (field.path == kAnnotations)
        return field.subscript ? value_or_empty(pod.meta.annotations, *field.subscript)
                               : format_map(pod.meta.annotations);
    if (field_path == "metadata.name")
        return pod.meta.name;
    if (field_path == "metadata.namespace")
        return pod.meta.ns;
    if (field_path == "metadata.uid")
        return pod.meta.uid;
    return fail(Errc::Invalid, "unsupported fieldPath: " + std::string(field_path));
}

Result<std::string> resource_value(const kube::Pod& pod, const kube::ResourceFieldSelector& field,
                                   const Allocatable& allocatable) {
    const kube::Container* const container = find_container(pod, field.container_name);
    if (container == nullptr)
        return fail(Errc::Invalid, "container \"" + field.container_name + "\" not found");

    const bool limit = field.resource.starts_with(kLimits);
    const bool request = field.resource.starts_with(kRequests);
    const std::string_view name = std::string_view(field.resource)
                                      .substr(limit     ? kLimits.size()
                                              : request ? kRequests.size()
                                                        : 0);
    const kube::Quantity* const fallback = allocatable_of(allocatable, name);
    if ((!limit && !request) || (fallback == nullptr && !name.starts_with(kHugePages)))
        return fail(Errc::Invalid, "unsupported resource: " + field.resource);

    kube::Quantity quantity = quantity_of(limit ? container->limits : container->requests, name);
    if (limit && quantity.is_zero() && fallback != nullptr)
        quantity = *fallback;
    // Upstream first rounds up cpu to thousandths and the others to whole units, then the quotient. Rounding up once
    // says the same, because the divisors are multiples of those.
    return std::to_string(kube::divide_rounding_up(quantity, field.divisor));
}

}  // namespace tokenlet::projector
