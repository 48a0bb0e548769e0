// SPDX-License-Identifier: Apache-2.0
#include "kube/time_text.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string_view>

namespace tokenlet::kube {
namespace {

using namespace std::chrono_literals;

constexpr WallTime kTime{1'795'498'740s};  // 2026-11-24T05:39:00Z

TEST(ParseHttpDate, ReadsWhatServersWrite) {
    EXPECT_EQ(parse_http_date("Tue, 24 Nov 2026 05:39:00 GMT"), kTime);
}

TEST(ParseHttpDate, ReadsNothingElse) {
    for (const std::string_view text :
         {"", "Tue, 24 Nov 2026 05:39:00", "Tue, 24 Nov 2026 05:39:00 CET", "Tue, 31 Feb 2026 05:39:00 GMT",
          "Tue, 24 Nov 2026 25:39:00 GMT", "Tuesday, 24-Nov-26 05:39:00 GMT", "Tue Nov 24 05:39:00 2026", "120",
          "Tue, 24 Nov 2026 05:39:00 GMT ", "Tue, 24 Nov 9999 05:39:00 GMT"})
        EXPECT_EQ(parse_http_date(text), std::nullopt) << text;
}

TEST(ParseApiTime, ReadsFractionsAndOffsets) {
    struct Case {
        std::string_view text;
        WallTime want;
    };
    const Case cases[] = {
        {"2026-11-24T05:39:00Z", kTime},
        {"2026-11-24T05:39:00.25Z", kTime + 250ms},
        {"2026-11-24T05:39:00.000000001Z", kTime + 1ns},
        {"2026-11-24T05:39:00.0000000001Z", kTime},
        {"2026-11-24T07:39:00+02:00", kTime},
        {"2026-11-23T23:39:00-06:00", kTime},
        {"1970-01-01T00:00:00Z", WallTime(0s)},
    };
    for (const Case& c : cases)
        EXPECT_EQ(parse_api_time(c.text), c.want) << c.text;
}

TEST(ParseApiTime, ReadsNothingElse) {
    for (const std::string_view text :
         {"", "2026-11-24", "2026-11-24T05:39:00", "2026-11-24 05:39:00Z", "2026-13-24T05:39:00Z",
          "2026-11-24T24:39:00Z", "2026-11-24T05:39:00.Z", "2026-11-24T05:39:00+2:00", "2026-11-24T05:39:00+24:00",
          "2026-11-24T05:39:00Zx", "1969-12-31T23:59:59Z", "2262-01-01T00:00:00Z"})
        EXPECT_EQ(parse_api_time(text), std::nullopt) << text;
}

TEST(InWords, SpellsTimeLimits) {
    EXPECT_EQ(in_words(30s), "30 s");
    EXPECT_EQ(in_words(1500ms), "1500 ms");
}

}  // namespace
}  // namespace tokenlet::kube
