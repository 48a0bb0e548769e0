// SPDX-License-Identifier: Apache-2.0
#include "projector/id_map.h"

#include <gtest/gtest.h>

namespace tokenlet::projector {
namespace {

const Account kAlice{.name = "alice", .uid = 1000};

TEST(RootlessRanges, AreWhatPodmanGivesToNewuidmap) {
    struct Case {
        std::string_view name;
        std::string_view text;
        std::vector<IdRange> want;
    };
    const Case cases[] = {
        {"one line", "alice:100000:65536\n", {{0, 1000, 1}, {1, 100000, 65536}}},
        {"no line feed at the end", "alice:100000:65536", {{0, 1000, 1}, {1, 100000, 65536}}},
        {"those of others pass",
         "bob:1:2\nalice:7:9\n# alice:1:1\n\nalic:3:3\nalice2:4:4\n",
         {{0, 1000, 1}, {1, 7, 9}}},
        {"the uid names her, too", "1000:7:9\n", {{0, 1000, 1}, {1, 7, 9}}},
        {"two ranges, joined in order of their ids",
         "alice:500000:1000\nalice:300000:65536\n",
         {{0, 1000, 1}, {1, 300000, 65536}, {65537, 500000, 1000}}},
        {"what is broken in others' lines", "bob:x\nbob\nalice:7:9\n", {{0, 1000, 1}, {1, 7, 9}}},
        {"up to the last id", "alice:4294967290:5\n", {{0, 1000, 1}, {1, 4294967290, 5}}},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const Result<std::vector<IdRange>> ranges = rootless_ranges(c.text, kAlice, 1000);
        ASSERT_TRUE(ranges) << ranges.error().what;
        EXPECT_TRUE(*ranges == c.want);
    }
}

TEST(RootlessRanges, AreNotGuessed) {
    struct Case {
        std::string_view text;
        std::string_view why;
    };
    const Case cases[] = {
        {"", "no line gives ids to 'alice', without which containers have none but root's"},
        {"bob:100000:65536\n", "no line gives ids to 'alice', without which containers have none but root's"},
        {"bob:1:1\nalice:100000\n", "line 2: 'alice:100000' is not NAME:FIRST:COUNT"},
        {"alice:x:1", "line 1: 'alice:x:1' is not NAME:FIRST:COUNT"},
        {"alice:1:0", "line 1: 'alice:1:0' is not NAME:FIRST:COUNT"},
        {"alice:-1:5", "line 1: 'alice:-1:5' is not NAME:FIRST:COUNT"},
        {"alice:1:5:6", "line 1: 'alice:1:5:6' is not NAME:FIRST:COUNT"},
        {"alice:1: 5", "line 1: 'alice:1: 5' is not NAME:FIRST:COUNT"},
        {"alice:4294967290:6", "line 1: 'alice:4294967290:6' is not NAME:FIRST:COUNT"},
        {"alice:4294967296:1", "line 1: 'alice:4294967296:1' is not NAME:FIRST:COUNT"},
        {"alice:1:3000000000\nalice:2:3000000000", "more ids than there are for 'alice'"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.text);
        const Result<std::vector<IdRange>> ranges = rootless_ranges(c.text, kAlice, 1000);
        ASSERT_FALSE(ranges);
        EXPECT_EQ(ranges.error().code, Errc::Invalid);
        EXPECT_EQ(ranges.error().what, c.why);
    }
}

TEST(HostId, IsFoundAtTheEdgesOfEachRangeAndNotBeyond) {
    const std::vector<IdRange> ranges{{0, 1000, 1}, {1, 300000, 10}, {11, 500000, 5}};
    const std::pair<unsigned, unsigned> found[] = {{0, 1000}, {1, 300000}, {10, 300009}, {11, 500000}, {15, 500004}};
    for (const auto& [inside, outside] : found)
        EXPECT_EQ(*host_id(ranges, inside), outside);
    for (const unsigned beyond : {16U, 300000U, 4294967295U})
        EXPECT_EQ(host_id(ranges, beyond).error().what,
                  std::to_string(beyond) + " is none of the container's ids, which end at 15");
}

}  // namespace
}  // namespace tokenlet::projector
