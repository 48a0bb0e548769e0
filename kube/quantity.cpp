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
constexpr Wide kNano = 1'000'000'000;
constexpr Wide kMost = Wide{std::numeric_limits<std::int64_t>::max()} * kNano;

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
    constexpr std::string_view kTooLarge = "is above 2^63 - 1";

    std::string_view rest = text;
    const bool negative = rest.starts_with('-');
    if (negative || rest.starts_with('+'))
        rest.remove_prefix(1);

    // The digits as one whole number, and how many of them stand behind the point.
    Wide digits = 0;
    int behind = 0;
    bool has_digit = false, has_point = false, cut = false;
    for (; !rest.empty() && (is_digit(rest.front()) || (rest.front() == '.' && !has_point)); rest.remove_prefix(1)) {
        if (rest.front() == '.') {
            has_point = true;
            continue;
        }
        has_digit = true;
        constexpr int kMostBehind = 30;
        const int digit = rest.front() - '0';
        if (has_point && (behind >= kMostBehind || digits > kMost)) {
            cut = cut || digit != 0;  // finer than anything kept: only says whether to round up
            continue;
        }
        digits = digits * 10 + digit;
        behind += has_point ? 1 : 0;
        if (!has_point && digits > kMost)
            return refuse(kTooLarge);
    }
    if (!has_digit)
        return refuse(kNone);

    int ten = 0;
    int two = 0;
    if (rest.size() > 1 && (rest.front() == 'e' || rest.front() == 'E') && rest != "Ei") {
        std::string_view exponent = rest.substr(1);
        if (exponent.starts_with('+') && exponent != "+" && is_digit(exponent[1]))
            exponent.remove_prefix(1);
        const auto [end, error] = std::from_chars(exponent.data(), exponent.data() + exponent.size(), ten);
        if (error != std::errc() || end != exponent.data() + exponent.size())
            return refuse(kNone);
        ten = std::clamp(ten, -100, 100);
    } else {
        const auto suffix = std::ranges::find(kSuffixes, rest, &Suffix::text);
        if (suffix == std::end(kSuffixes))
            return refuse(kNone);
        ten = suffix->ten;
        two = suffix->two;
    }

    if (digits == 0 && !cut)
        return Quantity{};
    // In nano units: digits * 10^scale * 2^two, powers of ten taken one by one so that nothing overflows unseen.
    Wide nano = digits;
    constexpr Wide kRoom = std::numeric_limits<Wide>::max();
    for (int scale = ten + 9 - behind; scale > 0; --scale) {
        if (nano > kMost)
            return refuse(kTooLarge);
        nano *= 10;
    }
    // Binary before dividing: 0.5Gi has a digit behind the point that must not be rounded away.
    for (int i = 0; i < two; ++i) {
        if (nano > kRoom / 2)
            return refuse(kTooLarge);
        nano *= 2;
    }
    for (int scale = ten + 9 - behind; scale < 0; ++scale) {
        cut = cut || nano % 10 != 0;
        nano /= 10;
    }
    nano += cut ? 1 : 0;  // upstream rounds away from zero
    if (nano > kMost)
        return refuse(kTooLarge);
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
