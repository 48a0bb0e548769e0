// SPDX-License-Identifier: Apache-2.0
// Downward API formats: a quoted text is a Go string that says the same, and field paths are taken apart as upstream
// takes them apart. The input is a field path, a resource, two quantities, a key, and from the sixth line on a value.
#include <optional>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "kube/quantity.h"
#include "projector/downward.h"
#include "projector/go_quote.h"
#include "tests/fuzz/fuzz_target.h"

namespace tokenlet::fuzz {
namespace {

void append_utf8(std::string& out, std::uint32_t code_point) {
    const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (code_point >> shift & 0x3f)); };
    if (code_point < 0x80) {
        out += static_cast<char>(code_point);
    } else if (code_point < 0x800) {
        out += static_cast<char>(0xc0 | code_point >> 6);
        tail(0);
    } else if (code_point < 0x10000) {
        out += static_cast<char>(0xe0 | code_point >> 12);
        tail(6);
        tail(0);
    } else {
        out += static_cast<char>(0xf0 | code_point >> 18);
        tail(12);
        tail(6);
        tail(0);
    }
}

// Go's strconv.Unquote, for what stands in double quotes. Unset: no Go string.
std::optional<std::string> unquote(std::string_view text) {
    if (text.size() < 2 || !text.starts_with('"') || !text.ends_with('"'))
        return std::nullopt;
    text = text.substr(1, text.size() - 2);
    std::string plain;
    while (!text.empty()) {
        const char c = text.front();
        text.remove_prefix(1);
        if (c == '"' || c == '\n')
            return std::nullopt;
        if (c != '\\') {
            plain += c;
            continue;
        }
        if (text.empty())
            return std::nullopt;
        const char escape = text.front();
        text.remove_prefix(1);
        constexpr std::string_view kLetters = "abfnrtv\\\"";
        constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\\"";
        if (const std::size_t at = kLetters.find(escape); at != std::string_view::npos) {
            plain += kMeanings[at];
            continue;
        }
        const std::size_t digits = escape == 'x' ? 2 : escape == 'u' ? 4 : escape == 'U' ? 8 : 0;
        if (digits == 0 || text.size() < digits)
            return std::nullopt;
        std::uint32_t value = 0;
        for (std::size_t i = 0; i < digits; ++i) {
            const std::size_t digit = std::string_view("0123456789abcdef").find(text[i]);
            if (digit == std::string_view::npos)
                return std::nullopt;
            value = value << 4 | static_cast<std::uint32_t>(digit);
        }
        text.remove_prefix(digits);
        if (escape == 'x')
            plain += static_cast<char>(value);
        else
            append_utf8(plain, value);
    }
    return plain;
}

void look_at_quote(std::string_view value) {
    const std::string quoted = projector::go_quote(value);
    must(unquote(quoted) == std::string(value), "a quoted text unquotes to itself");
    must(is_utf8(quoted) && !has_control(quoted), "a quoted text is printable");
}

// Source: kubernetes pkg/fieldpath/fieldpath.go, SplitMaybeSubscriptedPath.
std::optional<std::string_view> model_subscript(std::string_view path, std::string_view of) {
    if (!path.ends_with("']"))
        return std::nullopt;
    path.remove_suffix(2);
    const std::size_t open = path.find("['");
    if (open == std::string_view::npos || path.substr(0, open) != of)
        return std::nullopt;
    return path.substr(open + 2);
}

void look_at_field(const kube::Pod& pod, std::string_view path) {
    const auto value = projector::field_value(pod, path);
    const auto label = model_subscript(path, "metadata.labels");
    const auto annotation = model_subscript(path, "metadata.annotations");
    const bool is_whole = path == "metadata.labels" || path == "metadata.annotations" || path == "metadata.name" ||
                          path == "metadata.namespace" || path == "metadata.uid";
    must(value.has_value() == (label || annotation || is_whole), "a field is one to upstream too");
    if (!label && !annotation)
        return;
    const kube::StringMap& map = label ? pod.meta.labels : pod.meta.annotations;
    const auto found = map.find(std::string(label ? *label : *annotation));
    must(*value == (found == map.end() ? "" : found->second), "a subscript picks its value");
}

}  // namespace

void run_input(std::string_view input) {
    Lines lines(input);
    const std::string_view path = lines.next();
    const std::string resource(lines.next());
    const auto quantity = kube::parse_quantity(lines.next()).value_or(kube::Quantity{});
    const auto divisor = kube::parse_quantity(lines.next()).value_or(kube::Quantity{});
    const std::string key(lines.next());
    const std::string value(lines.rest());
    look_at_quote(value);

    kube::Pod pod;
    pod.meta = {.ns = "shop", .name = "web", .uid = "1", .labels = {{key, value}, {"app", "web"}}, .annotations = {}};
    pod.meta.annotations = pod.meta.labels;
    look_at_field(pod, path);
    const auto all = projector::field_value(pod, "metadata.labels");
    const std::string line = key + "=" + projector::go_quote(value);
    must(all && (key == "app" || all->contains(line)), "every label has its line");

    pod.containers.push_back({.name = "app", .volume_mounts = {}, .run_as_user = {}, .limits = {}, .requests = {}});
    const std::string name = resource.substr(resource.find('.') + 1);
    pod.containers[0].limits[name] = pod.containers[0].requests[name] = quantity;
    const auto number = projector::resource_value(
        pod, {.container_name = "app", .resource = resource, .divisor = divisor}, projector::Allocatable{});
    must(!number || number->find_first_not_of("-0123456789") == std::string::npos, "a resource is a whole number");
}

}  // namespace tokenlet::fuzz
