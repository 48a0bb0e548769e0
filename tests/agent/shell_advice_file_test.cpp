// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/advice_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/fsatomic/scratch.h"

namespace tokenlet::agent {
namespace {

struct AdviceFileTest : ::testing::Test {
    fsatomic::Scratch scratch;
    UniqueFd state{::open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};

    std::string text() {
        std::ostringstream all;
        all << std::ifstream(scratch.at(kAdviceFile)).rdbuf();
        return all.str();
    }
};

TEST_F(AdviceFileTest, HoldsEachManifestOnceAndNoneOfAnEarlierRun) {
    std::ofstream(scratch.at(kAdviceFile)) << "kind: Earlier\n";
    AdviceFile advice(state);
    EXPECT_TRUE(*advice.add("kind: A\n"));
    EXPECT_TRUE(*advice.add("kind: B\n"));
    EXPECT_FALSE(*advice.add("kind: A\n"));
    EXPECT_EQ(text(), "---\nkind: A\n---\nkind: B\n");
}

TEST_F(AdviceFileTest, IsMadeAgainWhenItWasDeleted) {
    AdviceFile advice(state);
    EXPECT_TRUE(*advice.add("kind: A\n"));
    std::filesystem::remove(scratch.at(kAdviceFile));
    EXPECT_TRUE(*advice.add("kind: B\n"));
    EXPECT_EQ(text(), "---\nkind: B\n");
}

TEST_F(AdviceFileTest, IsNoOtherFileThatALinkNames) {
    std::ofstream(scratch.at("other")) << "kept";
    std::filesystem::create_symlink("other", scratch.at(kAdviceFile));
    AdviceFile advice(state);
    EXPECT_TRUE(*advice.add("kind: A\n"));
    EXPECT_EQ(text(), "---\nkind: A\n");
    EXPECT_EQ(std::filesystem::file_size(scratch.at("other")), 4U);
}

TEST_F(AdviceFileTest, SaysWhyAManifestIsNotThere) {
    std::filesystem::create_directory(scratch.at(kAdviceFile));
    AdviceFile advice(state);
    const Result<bool> added = advice.add("kind: A\n");
    ASSERT_FALSE(added);
    EXPECT_THAT(added.error().what, ::testing::HasSubstr(kAdviceFile));
}

}  // namespace
}  // namespace tokenlet::agent
