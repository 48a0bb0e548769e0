// SPDX-License-Identifier: Apache-2.0
#include "kube/quantity.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>

namespace tokenlet::kube {
namespace {

__extension__ using Wide = __int128;

// Upstream caps every quantity at 2^63 - 1.
constexpr Wide kMost = std::numeric_limits<std::int64_t>::max();
constexpr Wide kNano = 1'000'000'000;

constexpr Wide ten_to_the(int power) {
    Wide value = 1;
    for (; power > 0; --power)
        value *= 10;
    return value;
}

// An exact decimal, not negative. The fraction's digits are as many as twice it has room for; what is finer than those says
// only whether to round up.
struct Decimal {
    static constexpr int kPlaces = 37;
    static constexpr Wide kOne = ten_to_the(kPlaces);

    Wide whole = 0;     // at most kMost + 1, which is to say too much
    Wide fraction = 0;  // of kOne
    bool is_finer = false;

    // One more digit, which stands for digit * 10^power; from the highest power down, none left out above 10^0.
    void append(int digit, int power) {
        if (power >= 0)
            whole = std::min(whole * 10 + digit, kMost + 1);
        else if (power >= -kPlaces)
            fraction += digit * ten_to_the(kPlaces + power);
        else
            is_finer = is_finer || digit != 0;
    }
    void twice() {
        fraction *= 2;
        whole = std::min(whole * 2 + fraction / kOne, kMost + 1);
        fraction %= kOne;
    }
    // Upstream rounds away from zero.
    [[nodiscard]] Wide nano_rounded_up() const {
        constexpr Wide kPerNano = kOne / kNano;
        const bool has_rest = is_finer || fraction % kPerNano != 0;
        return whole * kNano + fraction / kPerNano + (has_rest ? 1 : 0);
    }
};

struct Suffix {
    std::string_view text;
    int ten;  // power of ten
    int two;  // power of two
};

constexpr Suffix kSuffixes[] = {
    {"", 0, 0},    {"n", -9, 0},  {"u", -6, 0},  {"m", -3, 0},  {"k", 3, 0},   {"M", 6, 0},
    {"G", 9, 0},   {"T", 12, 0},  {"P", 15, 0},  {"E", 18, 0},  {"Ki", 0, 10}, {"Mi", 0, 20},
    {"Gi", 0, 30}, {"Ti", 0, 40}, {"Pi", 0, 50}, {"Ei", 0, 60},
};

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

}  // namespace

Result<Quantity> parse_quantity(std::string_view text) {
    const auto refuse = [&](std::string_view why) {
        return fail(Errc::Invalid, "\"" + std::string(text.substr(0, 64)) + "\" " + std::string(why));
    };
    constexpr std::string_view kNone = "is no quantity such as 250m, 1.5, 100Mi or 2G";

    std::string_view rest = text;
    const bool negative = rest.starts_with('-');
    if (negative || rest.starts_with('+'))
        rest.remove_prefix(1);

    const std::string_view digits = rest.substr(0, std::min(rest.find_first_not_of("0123456789."), rest.size()));
    const std::size_t point = std::min(digits.find('.'), digits.size());
    if (digits.find_first_of("0123456789") == std::string_view::npos ||
        digits.substr(point).find('.', 1) != std::string_view::npos)
        return refuse(kNone);
    rest.remove_prefix(digits.size());

    int ten = 0;
    int two = 0;
    if (rest.size() > 1 && (rest.front() == 'e' || rest.front() == 'E') && rest != "Ei") {
        std::string_view exponent = rest.substr(1);
        if (exponent.starts_with('+') && exponent != "+" && is_digit(exponent[1]))
            exponent.remove_prefix(1);
        const auto [end, error] = std::from_chars(exponent.data(), exponent.data() + exponent.size(), ten);
        if (error != std::errc() || end != exponent.data() + exponent.size())
            return refuse(kNone);
        ten = std::clamp(ten, -10'000, 10'000);
    } else {
        const auto suffix = std::ranges::find(kSuffixes, rest, &Suffix::text);
        if (suffix == std::end(kSuffixes))
            return refuse(kNone);
        ten = suffix->ten;
        two = suffix->two;
    }

    Decimal value;
    int power = static_cast<int>(point) - 1 + ten;
    for (const char c : digits)
        if (c != '.')
            value.append(c - '0', power--);
    for (; power >= 0; --power)
        value.append(0, power);
    for (; two > 0; --two)
        value.twice();
    const Wide nano = value.nano_rounded_up();
    if (nano > kMost * kNano)
        return refuse("is above 2^63 - 1");
    return Quantity{negative ? -nano : nano};
}

std::int64_t divide_rounding_up(Quantity dividend, Quantity divisor) {
    const Wide by = divisor.is_zero() ? kNano : divisor.nano;
    Wide quotient = dividend.nano / by;
    const bool exact = dividend.nano % by == 0;
    const bool positive = (dividend.nano > 0) == (by > 0);
    if (!exact && positive)
        ++quotient;
    return static_cast<std::int64_t>(
        std::clamp<Wide>(quotient, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()));
}

}  // namespace tokenlet::kube
