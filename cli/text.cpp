// SPDX-License-Identifier: Apache-2.0
#include "cli/text.h"

#include <algorithm>
#include <charconv>

namespace tokenlet::cli {

namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

// "3h12m", or "3h" when the smaller part is 0.
std::string two_parts(long long large, char large_unit, long long small, char small_unit) {
    std::string text = std::to_string(large) + large_unit;
    if (small != 0)
        text += std::to_string(small) + small_unit;
    return text;
}

// Characters as a terminal counts them, near enough: UTF-8 sequences are one each.
std::size_t width(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

std::string rough(Duration duration) {
    // Two units while both matter, one where the second would be noise; kubectl has the same steps.
    const auto s = std::chrono::duration_cast<seconds>(duration).count();
    if (s < 120)
        return std::to_string(s) + "s";
    if (duration < minutes(10))
        return two_parts(s / 60, 'm', s % 60, 's');
    if (duration < hours(3))
        return std::to_string(s / 60) + "m";
    if (duration < hours(8))
        return two_parts(s / 3600, 'h', s / 60 % 60, 'm');
    if (duration < hours(48))
        return std::to_string(s / 3600) + "h";
    if (duration < days(8))
        return two_parts(s / 86400, 'd', s / 3600 % 24, 'h');
    return std::to_string(s / 86400) + "d";
}

std::string relative(WallTime time, WallTime now) {
    const auto difference = std::chrono::duration_cast<seconds>(time - now);
    if (difference == seconds(0))
        return "now";
    return difference > seconds(0) ? "in " + rough(difference) : rough(-difference) + " ago";
}

std::string printable(std::string_view text) {
    std::string clean(text);
    std::ranges::replace_if(clean, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
    // C1 control characters, as UTF-8 spells them.
    for (std::size_t i = 0; i + 1 < clean.size(); ++i) {
        const auto next = static_cast<unsigned char>(clean[i + 1]);
        if (clean[i] == '\xc2' && next >= 0x80 && next < 0xa0)
            clean.replace(i, 2, "?");
    }
    return clean;
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
    constexpr std::size_t kGap = 3;
    std::vector<std::size_t> widths;
    for (const auto& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], width(row[i]));
    }
    std::string text;
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i)
            line.append(row[i]).append(widths[i] - width(row[i]) + kGap, ' ');
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    }
    return text;
}

std::optional<WallTime> parse_rfc3339(std::string_view text) {
    constexpr std::string_view kPattern = "0000-00-00T00:00:00Z";
    if (text.size() != kPattern.size())
        return std::nullopt;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool digit = text[i] >= '0' && text[i] <= '9';
        if (kPattern[i] == '0' ? !digit : text[i] != kPattern[i])
            return std::nullopt;
    }
    const auto number = [&](std::size_t at, std::size_t length) {
        int value = 0;
        std::from_chars(text.data() + at, text.data() + at + length, value);
        return value;
    };
    // Outside of these, nanoseconds do not reach: neither to the time itself nor from one to another.
    if (number(0, 4) < 1970 || number(0, 4) > 2261)
        return std::nullopt;
    const std::chrono::year_month_day date{std::chrono::year(number(0, 4)),
                                           std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                           std::chrono::day(static_cast<unsigned>(number(8, 2)))};
    if (!date.ok() || number(11, 2) > 23 || number(14, 2) > 59 || number(17, 2) > 60)
        return std::nullopt;
    return WallTime(std::chrono::sys_days(date).time_since_epoch() + hours(number(11, 2)) + minutes(number(14, 2)) +
                    seconds(number(17, 2)));
}

std::string counted(std::size_t count, std::string_view noun) {
    return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

}  // namespace tokenlet::cli
