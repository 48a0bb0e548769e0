// SPDX-License-Identifier: Apache-2.0
#include "kube/yaml_scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>

#include "base/base64.h"

namespace tokenlet::kube {
namespace {

using Kind = Node::Kind;

constexpr std::string_view kTagPrefix = "tag:yaml.org,2002:";

struct Word {
    std::string_view spelling;
    Kind kind;
    std::string_view text;
};

constexpr Word kWords[] = {
    {"", Kind::Null, ""},
    {"~", Kind::Null, ""},
    {"null", Kind::Null, ""},
    {"Null", Kind::Null, ""},
    {"NULL", Kind::Null, ""},
    {"true", Kind::Bool, "true"},
    {"True", Kind::Bool, "true"},
    {"TRUE", Kind::Bool, "true"},
    {"y", Kind::Bool, "true"},
    {"Y", Kind::Bool, "true"},
    {"yes", Kind::Bool, "true"},
    {"Yes", Kind::Bool, "true"},
    {"YES", Kind::Bool, "true"},
    {"on", Kind::Bool, "true"},
    {"On", Kind::Bool, "true"},
    {"ON", Kind::Bool, "true"},
    {"false", Kind::Bool, "false"},
    {"False", Kind::Bool, "false"},
    {"FALSE", Kind::Bool, "false"},
    {"n", Kind::Bool, "false"},
    {"N", Kind::Bool, "false"},
    {"no", Kind::Bool, "false"},
    {"No", Kind::Bool, "false"},
    {"NO", Kind::Bool, "false"},
    {"off", Kind::Bool, "false"},
    {"Off", Kind::Bool, "false"},
    {"OFF", Kind::Bool, "false"},
    {".nan", Kind::Float, ".nan"},
    {".NaN", Kind::Float, ".nan"},
    {".NAN", Kind::Float, ".nan"},
    {".inf", Kind::Float, ".inf"},
    {".Inf", Kind::Float, ".inf"},
    {".INF", Kind::Float, ".inf"},
    {"+.inf", Kind::Float, ".inf"},
    {"+.Inf", Kind::Float, ".inf"},
    {"+.INF", Kind::Float, ".inf"},
    {"-.inf", Kind::Float, "-.inf"},
    {"-.Inf", Kind::Float, "-.inf"},
    {"-.INF", Kind::Float, "-.inf"},
};
constexpr std::size_t kLongestWord = 5;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

std::string without_underscores(std::string_view text) {
    std::string plain(text);
    std::erase(plain, '_');
    return plain;
}

// Sign, base prefix, digits: as Go's ParseInt and ParseUint with base 0. Unset when it is none, or does not fit.
std::optional<std::string> as_integer(std::string_view plain) {
    const bool negative = plain.starts_with('-');
    const bool has_sign = negative || plain.starts_with('+');
    std::string_view digits = plain.substr(has_sign ? 1 : 0);
    int base = 10;
    if (digits.size() > 1 && digits[0] == '0') {
        switch (digits[1]) {
            case 'x':
            case 'X':
                base = 16;
                break;
            case 'o':
            case 'O':
                base = 8;
                break;
            case 'b':
            case 'B':
                base = 2;
                break;
            default:
                base = 0;
        }
        digits.remove_prefix(base == 0 ? 1 : 2);
        if (base == 0)
            base = 8;
    }
    std::uint64_t magnitude = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, base);
    if (error != std::errc() || end != digits.data() + digits.size())
        return std::nullopt;
    constexpr std::uint64_t kLargestNegative = std::uint64_t{1} << 63;
    // Only an unsigned number may use the sixty-fourth bit.
    if (has_sign && (negative ? magnitude > kLargestNegative : magnitude >= kLargestNegative))
        return std::nullopt;
    return (negative && magnitude != 0 ? "-" : "") + std::to_string(magnitude);
}

// ^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$
bool is_float_spelling(std::string_view text) {
    std::size_t at = 0;
    const auto skip_digits = [&] {
        const std::size_t from = at;
        while (at < text.size() && is_digit(text[at]))
            ++at;
        return at - from;
    };
    if (at < text.size() && (text[at] == '-' || text[at] == '+'))
        ++at;
    const std::size_t whole = skip_digits();
    if (at < text.size() && text[at] == '.') {
        ++at;
        if (skip_digits() == 0 && whole == 0)
            return false;
    } else if (whole == 0) {
        return false;
    }
    if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
        ++at;
        if (at < text.size() && (text[at] == '-' || text[at] == '+'))
            ++at;
        if (skip_digits() == 0)
            return false;
    }
    return at == text.size();
}

// As Go's encoding/json writes a float64: the shortest digits, an exponent only for the very small and the very large.
std::string json_float(double value) {
    std::array<char, 64> buffer;
    const double size = std::fabs(value);
    const bool has_exponent = size != 0 && (size < 1e-6 || size >= 1e21);
    constexpr double kExactBelow =
        9007199254740992.0;  // 2^53: from here on, fixed would print more than the shortest digits
    const auto format = has_exponent || size >= kExactBelow ? std::chars_format::scientific : std::chars_format::fixed;
    const auto written = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, format);
    std::string text(buffer.data(), written.ptr);
    const std::size_t e = text.find('e');
    if (e == std::string::npos)
        return text;
    if (has_exponent) {
        if (text[e + 2] == '0')
            text.erase(e + 2, 1);
        return text;
    }
    const std::size_t exponent = static_cast<std::size_t>(std::stoi(text.substr(e + 1)));
    text.resize(e);
    std::erase(text, '.');
    text.append(exponent + 1 + (value < 0 ? 1 : 0) - text.size(), '0');
    return text;
}

std::optional<Scalar> as_float(std::string_view plain) {
    if (!is_float_spelling(plain))
        return std::nullopt;
    if (plain.starts_with('+'))
        plain.remove_prefix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(plain.data(), plain.data() + plain.size(), value);
    if (end != plain.data() + plain.size())
        return std::nullopt;
    if (error == std::errc::result_out_of_range) {
        // Too large is no number to Go; too small is zero. What has no negative exponent is too large.
        if (plain.find("e-") == std::string_view::npos && plain.find("E-") == std::string_view::npos)
            return std::nullopt;
        value = 0;
    }
    // Upstream goes through JSON, where 3.0e2 is written 300 and thus is an integer to whoever reads it.
    std::string text = json_float(value);
    const bool whole = text.find_first_of(".e") == std::string::npos;
    if (text == "-0")
        text = "0";
    return Scalar{whole ? Kind::Int : Kind::Float, std::move(text)};
}

Scalar resolve_plain(std::string_view text) {
    if (text.size() <= kLongestWord) {
        const auto word = std::ranges::find(kWords, text, &Word::spelling);
        if (word != std::end(kWords))
            return {word->kind, std::string(word->text)};
    }
    const char first = text.empty() ? '\0' : text.front();
    if (first == '.') {
        // No underscore is dropped behind a leading dot, where Go allows it only between digits.
        std::string plain(text);
        for (std::size_t at = 1; at + 1 < plain.size();) {
            const bool between = plain[at] == '_' && is_digit(plain[at - 1]) && is_digit(plain[at + 1]);
            if (between)
                plain.erase(at, 1);
            else
                ++at;
        }
        if (auto number = as_float(plain))
            return *std::move(number);
    } else if (is_digit(first) || first == '+' || first == '-') {
        const std::string plain = without_underscores(text);
        if (auto integer = as_integer(plain))
            return {Kind::Int, *std::move(integer)};
        if (auto number = as_float(plain))
            return *std::move(number);
    }
    return {Kind::String, std::string(text)};
}

}  // namespace

Result<Scalar> resolve_scalar(std::string_view tag, std::string_view text) {
    if (tag.empty())
        return resolve_plain(text);
    if (!tag.starts_with(kTagPrefix))
        return Scalar{Kind::String, std::string(text)};  // quoted, or an application's own tag
    const std::string_view wanted = tag.substr(kTagPrefix.size());
    if (wanted == "binary") {
        auto bytes = decode_base64(text);
        if (!bytes)
            return fail(Errc::Invalid, "!!binary: not base64");
        return Scalar{Kind::String, *std::move(bytes)};
    }
    const auto kind = wanted == "int"     ? std::optional(Kind::Int)
                      : wanted == "float" ? std::optional(Kind::Float)
                      : wanted == "bool"  ? std::optional(Kind::Bool)
                      : wanted == "null"  ? std::optional(Kind::Null)
                                          : std::nullopt;
    if (!kind)
        return Scalar{Kind::String, std::string(text)};  // !!str, !!timestamp and what we have never heard of
    Scalar scalar = resolve_plain(text);
    const bool whole_float = *kind == Kind::Float && scalar.kind == Kind::Int;
    if (scalar.kind != *kind && !whole_float)
        return fail(Errc::Invalid,
                    "tagged !!" + std::string(wanted) + ", but is " + std::string(to_string(scalar.kind)));
    return scalar;
}

}  // namespace tokenlet::kube
