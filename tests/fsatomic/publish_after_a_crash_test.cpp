// SPDX-License-Identifier: Apache-2.0
// What a crash at a bad moment left for good in a kubelet's volume, and must not in ours.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fsatomic/generation.h"
#include "fsatomic/publish.h"
#include "tests/fsatomic/scratch.h"

namespace tokenlet::fsatomic {
namespace {

const std::vector<Text> kFiles{{"token", "t", 0640}, {"d/ca.crt", "c"}};
const SeenFiles kSeen{{"token", {"t", 0640}}, {"d/ca.crt", {"c", 0644}}};

struct PublishAfterACrash : testing::Test {
    Scratch scratch;
    void SetUp() override { ASSERT_TRUE(Publisher(scratch.fd()).publish(kFiles)); }
    [[nodiscard]] std::string current() const { return *current_generation(scratch.fd()); }
    // Nothing is remembered, as in a new process, and the payload is the one that stands there.
    Change publish_again() {
        const auto outcome = Publisher(scratch.fd()).publish(kFiles);
        EXPECT_TRUE(outcome) << outcome.error().what;
        return outcome->change;
    }
};

TEST_F(PublishAfterACrash, BetweenTheSwitchAndItsLinksTheLinksAreMade) {
    for (const char* name : {"token", "d"})
        ASSERT_EQ(::unlinkat(scratch.fd().get(), name, 0), 0);
    EXPECT_EQ(publish_again(), Change::Repaired);
    EXPECT_EQ(visible(scratch.path()), kSeen);
}

TEST_F(PublishAfterACrash, BetweenWritingAndTheModesTheModesAreSetThoughTheContentIsEqual) {
    ASSERT_EQ(::chmod(scratch.at("token").c_str(), 0600), 0);
    EXPECT_EQ(publish_again(), Change::Published);
    EXPECT_EQ(visible(scratch.path()), kSeen);
}

TEST_F(PublishAfterACrash, AVolumeThatOnlyLooksSetUpIsMadeAgain) {
    std::filesystem::remove_all(scratch.at(current()));
    EXPECT_EQ(publish_again(), Change::Published);
    EXPECT_EQ(visible(scratch.path()), kSeen);

    ASSERT_EQ(::truncate(scratch.at("token").c_str(), 0), 0);  // a full disk
    EXPECT_EQ(publish_again(), Change::Published);
    EXPECT_EQ(visible(scratch.path()), kSeen);
}

}  // namespace
}  // namespace tokenlet::fsatomic
