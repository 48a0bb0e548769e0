// SPDX-License-Identifier: Apache-2.0
#include "projector/annotations.h"

#include <gtest/gtest.h>

namespace tokenlet::projector {
namespace {

using namespace std::chrono_literals;

TEST(Annotations, AreReadWhereTheyAreOursAndPassWhereTheyAreNot) {
    const Result<Annotations> read = read_annotations(
        {{"tokenlet.dev/grace", "150s"}, {"tokenlet.dev/readers", "uid:1"}, {"prometheus.io/scrape", "true"}});
    ASSERT_TRUE(read);
    EXPECT_EQ(read->grace, 150s);
    EXPECT_EQ(read_annotations({})->grace, std::nullopt);
    EXPECT_EQ(read_annotations({{"tokenlet.dev/grace", "0s"}})->grace, 0s);
}

TEST(Annotations, ThatCannotBeCarriedOutAreRefusedByName) {
    struct Case {
        std::string name, value, why;
    };
    const Case cases[] = {
        {"tokenlet.dev/redaers", "uid:1", "unknown annotation, did you mean 'tokenlet.dev/readers'?"},
        {"tokenlet.dev/something-else", "", "unknown annotation"},
        {"tokenlet.dev/path", "v=/dir", "this version does not carry it out; remove it"},
        {"tokenlet.dev/notify", "app", "this version does not carry it out; remove it"},
        {"tokenlet.dev/grace", "2h", "'2h' is not between 0s and 1h"},
        {"tokenlet.dev/grace", "-1s", "-1s"},
        {"tokenlet.dev/grace", "5x", "5x"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name + "=" + c.value);
        const Result<Annotations> read = read_annotations({{c.name, c.value}});
        ASSERT_FALSE(read);
        EXPECT_EQ(read.error().code, Errc::Invalid);
        EXPECT_TRUE(read.error().what.starts_with("metadata.annotations['" + c.name + "']: ")) << read.error().what;
        EXPECT_NE(read.error().what.find(c.why), std::string::npos) << read.error().what;
    }
}

}  // namespace
}  // namespace tokenlet::projector
