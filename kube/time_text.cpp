// SPDX-License-Identifier: Apache-2.0
#include "kube/time_text.h"

#include <array>
#include <cstddef>

namespace tokenlet::kube {
namespace {

using namespace std::chrono;

// Reads fixed text and numbers from left to right; what does not fit spoils the rest.
class Scanner {
public:
    explicit Scanner(std::string_view text) : rest_(text) {}

    void text(std::string_view expected) {
        good_ = good_ && rest_.starts_with(expected);
        if (good_)
            rest_.remove_prefix(expected.size());
    }
    int digits(std::size_t count) {
        int value = 0;
        for (std::size_t i = 0; i < count && good_; ++i) {
            good_ = i < rest_.size() && rest_[i] >= '0' && rest_[i] <= '9';
            if (good_)
                value = value * 10 + (rest_[i] - '0');
        }
        if (good_)
            rest_.remove_prefix(count);
        return value;
    }
    // The place of the word that stands next, counted from 1.
    template <std::size_t Count>
    int one_of(const std::array<std::string_view, Count>& words) {
        for (std::size_t i = 0; i < Count && good_; ++i) {
            if (rest_.starts_with(words[i])) {
                rest_.remove_prefix(words[i].size());
                return static_cast<int>(i) + 1;
            }
        }
        good_ = false;
        return 0;
    }
    [[nodiscard]] bool sees(char c) const { return good_ && rest_.starts_with(c); }
    [[nodiscard]] bool sees_digit() const { return good_ && !rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9'; }
    [[nodiscard]] bool is_done() const { return good_ && rest_.empty(); }

private:
    std::string_view rest_;
    bool good_ = true;
};

std::optional<WallTime> put_together(year_month_day date, int hour, int minute, int second) {
    if (!date.ok() || date.year() < year(1970) || date.year() > year(2261) || hour > 23 || minute > 59 || second > 60)
        return std::nullopt;
    return WallTime(sys_days(date)) + hours(hour) + minutes(minute) + seconds(second);
}

}  // namespace

std::optional<WallTime> parse_http_date(std::string_view text) {
    constexpr std::array<std::string_view, 7> kDays = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    Scanner scan(text);
    (void)scan.one_of(kDays);  // follows from the date
    scan.text(", ");
    const auto day_of_month = static_cast<unsigned>(scan.digits(2));
    scan.text(" ");
    const auto month_of_year = static_cast<unsigned>(scan.one_of(kMonths));
    scan.text(" ");
    const year_month_day date{year(scan.digits(4)), month(month_of_year), day(day_of_month)};
    scan.text(" ");
    const int hour = scan.digits(2);
    scan.text(":");
    const int minute = scan.digits(2);
    scan.text(":");
    const int second = scan.digits(2);
    scan.text(" GMT");
    return scan.is_done() ? put_together(date, hour, minute, second) : std::nullopt;
}

std::optional<WallTime> parse_api_time(std::string_view text) {
    Scanner scan(text);
    const year in_year(scan.digits(4));
    scan.text("-");
    const auto in_month = static_cast<unsigned>(scan.digits(2));
    scan.text("-");
    const auto on_day = static_cast<unsigned>(scan.digits(2));
    scan.text("T");
    const int hour = scan.digits(2);
    scan.text(":");
    const int minute = scan.digits(2);
    scan.text(":");
    const int second = scan.digits(2);
    Duration fraction{};
    if (scan.sees('.')) {
        scan.text(".");
        Duration unit = milliseconds(100);
        do {
            fraction += unit * scan.digits(1);
            unit /= 10;
        } while (scan.sees_digit());
    }
    Duration east{};
    if (scan.sees('Z')) {
        scan.text("Z");
    } else {
        const int sign = scan.sees('-') ? -1 : 1;
        scan.text(sign < 0 ? "-" : "+");
        const int offset_hour = scan.digits(2);
        scan.text(":");
        const int offset_minute = scan.digits(2);
        if (offset_hour > 23 || offset_minute > 59)
            return std::nullopt;
        east = sign * (hours(offset_hour) + minutes(offset_minute));
    }
    const auto local = put_together(year_month_day{in_year, month(in_month), day(on_day)}, hour, minute, second);
    if (!scan.is_done() || !local)
        return std::nullopt;
    return *local + fraction - east;
}

std::string in_words(milliseconds time) {
    return time.count() % 1000 == 0 ? std::to_string(time.count() / 1000) + " s" : std::to_string(time.count()) + " ms";
}

}  // namespace tokenlet::kube
