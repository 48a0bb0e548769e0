// SPDX-License-Identifier: Apache-2.0
#include "cli/text.h"

#include <gtest/gtest.h>

namespace tokenlet::cli {
namespace {

using namespace std::chrono_literals;

TEST(Rough, SaysDurationsAsAPersonWould) {
    struct Case {
        Duration duration;
        std::string_view want;
    };
    const Case cases[] = {
        {0s, "0s"},          {999ms, "0s"},        {119s, "119s"},   {2min, "2m"},  {9min + 58s, "9m58s"},
        {10min, "10m"},      {59min + 59s, "59m"}, {179min, "179m"}, {3h, "3h"},    {3h + 12min, "3h12m"},
        {8h + 59min, "8h"},  {47h, "47h"},         {48h, "2d"},      {52h, "2d4h"}, {24h * 9 + 3h, "9d"},
        {24h * 400, "400d"},
    };
    for (const Case& c : cases)
        EXPECT_EQ(rough(c.duration), c.want) << c.duration.count();
}

TEST(Relative, LooksBothWays) {
    const WallTime now(1'000'000s);
    EXPECT_EQ(relative(now + 90s, now), "in 90s");
    EXPECT_EQ(relative(now - 90s, now), "90s ago");
    EXPECT_EQ(relative(now + 400ms, now), "now");
}

TEST(Printable, LeavesNothingThatATerminalWouldObey) {
    EXPECT_EQ(printable("a\x1b[2Jb\r\n\x7f"), "a?[2Jb???");
    EXPECT_EQ(printable("\xc2\x9b"
                        "31m"),
              "?31m")
        << "a control sequence introducer in one character";
    EXPECT_EQ(printable("Grüße, 世界"), "Grüße, 世界");
    EXPECT_EQ(printable("\xc2?"), "\xc2?") << "half a character takes no other with it";
}

TEST(Table, ColumnsLineUpAndNothingTrails) {
    EXPECT_EQ(table({{"A", "B", "C"}, {"long", "x", ""}, {"ü", "yy", "z"}}),
              "A      B    C\nlong   x\nü      yy   z\n");
    EXPECT_EQ(table({}), "");
}

TEST(ParseRfc3339, ReadsWhatWeWriteAndNothingElse) {
    for (const auto seconds : {0LL, 1'795'498'740LL, 4'102'444'800LL}) {
        const WallTime time{std::chrono::seconds(seconds)};
        EXPECT_EQ(parse_rfc3339(rfc3339(time)), time);
    }
    for (const std::string_view text : {"", "2026-11-24", "2026-11-24T05:39:00+01:00", "2026-13-24T05:39:00Z",
                                        "2026-02-30T05:39:00Z", "2026-11-24T24:39:00Z", "2026-11-24t05:39:00Z"})
        EXPECT_EQ(parse_rfc3339(text), std::nullopt) << text;
    for (const std::string_view beyond_the_clock :
         {"9999-12-31T23:59:59Z", "2262-04-11T23:47:17Z", "0001-01-01T00:00:00Z"})
        EXPECT_EQ(parse_rfc3339(beyond_the_clock), std::nullopt) << beyond_the_clock;
}

TEST(Counted, KnowsTheSingular) {
    EXPECT_EQ(counted(1, "Pod"), "1 Pod");
    EXPECT_EQ(counted(0, "Pod"), "0 Pods");
}

}  // namespace
}  // namespace tokenlet::cli
