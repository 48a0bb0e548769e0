// SPDX-License-Identifier: Apache-2.0
#include "fsatomic/link.h"

#include <gtest/gtest.h>

#include "tests/fsatomic/scratch.h"

namespace tokenlet::fsatomic {
namespace {

TEST(EnsureLink, MakesLeavesAndRepairs) {
    const Scratch scratch;
    EXPECT_EQ(*ensure_link(scratch.fd(), "v", "../pods/a"), LinkChange::Made);
    EXPECT_EQ(*ensure_link(scratch.fd(), "v", "../pods/a"), LinkChange::None);
    EXPECT_EQ(*ensure_link(scratch.fd(), "v", "../pods/b"), LinkChange::Replaced);
    EXPECT_EQ(link_of(scratch.at("v")), "../pods/b");
    EXPECT_FALSE(exists(scratch.at(kLinkTemp)));
}

TEST(EnsureLink, ReplacesAFileButNeverADirectory) {
    const Scratch scratch;
    write_whole(scratch.at("f"), "bytes");
    EXPECT_EQ(*ensure_link(scratch.fd(), "f", "x"), LinkChange::Replaced);
    ::mkdir(scratch.at("d").c_str(), 0700);
    const auto refused = ensure_link(scratch.fd(), "d", "x");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::Conflict);
    EXPECT_TRUE(std::filesystem::is_directory(scratch.at("d")));
}

TEST(EnsureLink, IsNotHeldUpByWhatACrashLeft) {
    const Scratch scratch;
    std::filesystem::create_symlink("old", scratch.at("v"));
    std::filesystem::create_symlink("half", scratch.at(kLinkTemp));
    EXPECT_EQ(*ensure_link(scratch.fd(), "v", "new"), LinkChange::Replaced);
    EXPECT_EQ(link_of(scratch.at("v")), "new");
}

TEST(RemoveLink, TakesLinksOnly) {
    const Scratch scratch;
    std::filesystem::create_symlink("x", scratch.at("v"));
    write_whole(scratch.at("f"), "bytes");
    EXPECT_TRUE(remove_link(scratch.fd(), "v"));
    EXPECT_FALSE(exists(scratch.at("v")));
    EXPECT_TRUE(remove_link(scratch.fd(), "v")) << "absent is fine";
    EXPECT_EQ(remove_link(scratch.fd(), "f").error().code, Errc::Conflict);
    EXPECT_TRUE(exists(scratch.at("f")));
}

}  // namespace
}  // namespace tokenlet::fsatomic
