// SPDX-License-Identifier: Apache-2.0
// Quantities, durations, file modes and ranges of ids, as manifests and the configuration spell them.
#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "kube/document.h"
#include "kube/fields.h"
#include "kube/manifest_policy.h"
#include "kube/quantity.h"
#include "kube/yaml_scalar.h"
#include "tests/fuzz/fuzz_target.h"

namespace tokenlet::fuzz {
namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

void twice(std::string& decimal) {
    int carry = 0;
    for (std::size_t i = decimal.size(); i-- > 0;) {
        const int digit = (decimal[i] - '0') * 2 + carry;
        decimal[i] = static_cast<char>('0' + digit % 10);
        carry = digit / 10;
    }
    if (carry != 0)
        decimal.insert(0, 1, '1');
}

// A quantity in nano units as decimal text, by school arithmetic on digits; unset: none, or too large. Only up to
// exponents of three digits, which is far beyond what there is room for.
std::optional<std::string> model_quantity(std::string_view text) {
    std::string sign;
    if (text.starts_with('-') || text.starts_with('+')) {
        sign = text.starts_with('-') ? "-" : "";
        text.remove_prefix(1);
    }
    std::string digits;
    int point = 0;  // digits behind it
    bool has_point = false;
    while (!text.empty() && (is_digit(text[0]) || (text[0] == '.' && !has_point))) {
        if (text[0] == '.')
            has_point = true;
        else
            digits += text[0], point += has_point ? 1 : 0;
        text.remove_prefix(1);
    }
    if (digits.empty())
        return std::nullopt;

    constexpr std::string_view kTens = "n  u  m     k  M  G  T  P  E";  // from -9 on, each at its power of ten
    constexpr std::string_view kTwos = "KMGTPE";
    int ten = 0;
    if (text.size() == 2 && text[1] == 'i' && kTwos.contains(text[0])) {
        for (std::size_t i = 0; i < 10 * (kTwos.find(text[0]) + 1); ++i)
            twice(digits);
    } else if (text.size() == 1 && text[0] != ' ' && kTens.contains(text[0])) {
        ten = static_cast<int>(kTens.find(text[0])) - 9;
    } else if (!text.empty()) {
        if (text[0] != 'e' && text[0] != 'E')
            return std::nullopt;
        text.remove_prefix(1);
        const bool negative = text.starts_with('-');
        if (negative || text.starts_with('+'))
            text.remove_prefix(1);
        if (text.empty() || text.size() > 3 || !std::ranges::all_of(text, is_digit))
            return std::nullopt;
        std::from_chars(text.data(), text.data() + text.size(), ten);
        ten = negative ? -ten : ten;
    }

    // Whole nano units, and whether anything stands behind them.
    const int shift = ten + 9 - point;
    std::string behind;
    if (shift >= 0) {
        digits.append(static_cast<std::size_t>(shift), '0');
    } else {
        const std::size_t cut = static_cast<std::size_t>(-shift);
        if (digits.size() < cut)
            digits.insert(0, cut - digits.size(), '0');
        behind = digits.substr(digits.size() - cut);
        digits.resize(digits.size() - cut);
    }
    digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
    if (behind.find_first_not_of('0') != std::string::npos) {
        digits.insert(0, 1, '0');
        std::size_t at = digits.size() - 1;
        for (; digits[at] == '9'; --at)
            digits[at] = '0';
        ++digits[at];
        digits.erase(0, digits[0] == '0' ? 1 : 0);
    }
    constexpr std::string_view kMost = "9223372036854775807000000000";
    if (digits.size() > kMost.size() || (digits.size() == kMost.size() && digits > kMost))
        return std::nullopt;
    return digits.empty() ? "0" : sign + digits;
}

std::string decimal(const kube::Quantity& quantity) {
    const bool negative = quantity.nano < 0;
    auto rest = negative ? -quantity.nano : quantity.nano;
    std::string text;
    do {
        text += static_cast<char>('0' + static_cast<int>(rest % 10));
        rest /= 10;
    } while (rest != 0);
    text += negative ? "-" : "";
    std::ranges::reverse(text);
    return text;
}

bool has_long_exponent(std::string_view text) {
    const std::size_t e = text.find_first_of("eE");
    return e != std::string_view::npos && text.size() - e > 4;
}

void look_at_quantity(std::string_view text) {
    const auto quantity = kube::parse_quantity(text);
    if (quantity)
        (void)kube::divide_rounding_up(*quantity, kube::Quantity{1});
    if (has_long_exponent(text) || text.size() > 512)
        return;
    const auto model = model_quantity(text);
    must(quantity.has_value() == model.has_value(), "a quantity is one to the model too");
    must(!quantity || decimal(*quantity) == *model, "a quantity is what the model says");
}

void look_at_duration(std::string_view text) {
    const auto whole = kube::parse_duration(text);
    if (!whole)
        return;
    const bool has_sign = text.starts_with('-') || text.starts_with('+');
    must(kube::parse_duration(std::to_string(whole->count()) + "ns") == *whole, "a duration is so many nanoseconds");
    if (has_sign)
        return;
    must(kube::parse_duration("-" + std::string(text)) == -*whole, "a minus turns it round");
    for (std::size_t at = 1; at < text.size(); ++at) {
        const std::string_view head = text.substr(0, at);
        const std::string_view tail = text.substr(at);
        if (is_digit(head.back()) || head.ends_with('.') || tail == "0" || !(is_digit(tail[0]) || tail[0] == '.'))
            continue;
        const auto a = kube::parse_duration(head);
        const auto b = kube::parse_duration(tail);
        must(a && b && *a + *b == *whole, "a duration is the sum of its parts");
    }
}

// "mode: 0644" of a YAML document.
void look_at_mode(std::string_view text) {
    if (text.find_first_not_of("0123456789abcdefxob_+-") != std::string_view::npos)
        return;
    const auto documents = kube::parse_documents("mode: " + std::string(text) + "\n");
    if (documents.size() != 1 || !documents[0].root)
        return;
    kube::Problems problems;
    std::optional<mode_t> mode;
    {
        kube::Fields fields(*documents[0].root, problems);
        mode = fields.mode("mode");
    }
    const auto scalar = kube::resolve_scalar("", text);
    std::int64_t number = -1;
    if (scalar && scalar->kind == kube::Node::Kind::Int)
        std::from_chars(scalar->text.data(), scalar->text.data() + scalar->text.size(), number);
    must(mode.has_value() == (number >= 0 && number <= 0777), "a mode lies between 0 and 0777");
    must(!mode || *mode == static_cast<mode_t>(number), "a mode is the number that YAML reads");
    must(mode.has_value() || !problems.empty() || text.empty() || scalar->kind == kube::Node::Kind::Null,
         "what is no mode is a problem");
}

void look_at_range(std::string_view text) {
    const auto range = kube::parse_id_range(text);
    if (!range)
        return;
    must(range->first >= 0 && range->first <= range->last, "a range has a first and a last");
    must(kube::parse_id_range(std::to_string(range->first) + "-" + std::to_string(range->last)) == *range,
         "a range spelled out is the same range");
}

}  // namespace

void run_input(std::string_view input) {
    for (Lines lines(input); !lines.empty();) {
        const std::string_view text = lines.next();
        look_at_quantity(text);
        look_at_duration(text);
        look_at_mode(text);
        look_at_range(text);
    }
}

}  // namespace tokenlet::fuzz
