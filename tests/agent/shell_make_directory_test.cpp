// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/make_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/fsatomic/scratch.h"

namespace tokenlet::agent {
namespace {

using fsatomic::Scratch;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr DirectoryModes kModes{.above = 0751, .last = 0710};

mode_t mode_of(const std::string& path) {
    struct stat status{};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
}

TEST(MakeDirectory, MakesWhatIsMissingWithExactlyTheseModes) {
    const Scratch scratch;
    const mode_t old = ::umask(0777);
    EXPECT_TRUE(make_safe_directory(scratch.at("a/b"), kModes));
    ::umask(old);
    EXPECT_EQ(mode_of(scratch.at("a")), 0751U);
    EXPECT_EQ(mode_of(scratch.at("a/b")), 0710U);
}

TEST(MakeDirectory, LeavesTheModeOfWhatIsThere) {
    const Scratch scratch;
    std::filesystem::create_directory(scratch.at("a"));
    ASSERT_EQ(::chmod(scratch.at("a").c_str(), 0700), 0);
    EXPECT_TRUE(make_safe_directory(scratch.at("a"), kModes));
    EXPECT_EQ(mode_of(scratch.at("a")), 0700U);
}

TEST(MakeSafeDirectory, RefusesWhatOthersMayWriteTo) {
    struct Case {
        mode_t mode;
        std::string who;
    };
    const Case cases[] = {{0777, "go"}, {0770, "g"}, {0702, "o"}, {01777, "go"}};
    const Scratch scratch;
    std::filesystem::create_directory(scratch.at("a"));
    std::filesystem::create_directory_symlink("a", scratch.at("link"));
    for (const Case& c : cases) {
        ASSERT_EQ(::chmod(scratch.at("a").c_str(), c.mode), 0);
        for (const std::string name : {"a", "link"}) {
            SCOPED_TRACE(name + " " + c.who);
            const std::string path = scratch.at(name);
            const auto made = make_safe_directory(path, kModes);
            ASSERT_FALSE(made);
            EXPECT_EQ(made.error().code, Errc::Denied);
            EXPECT_THAT(made.error().what, AllOf(StartsWith(path + ": mode "), HasSubstr("owner "),
                                                 HasSubstr("run: chmod " + c.who + "-w " + path)));
            EXPECT_TRUE(make_directory(path, kModes)) << "a socket may stand there";
        }
    }
}

TEST(MakeSafeDirectory, IsContentWithAStickyParent) {
    const Scratch scratch;
    ASSERT_EQ(::chmod(scratch.path().c_str(), 01777), 0);
    EXPECT_TRUE(make_safe_directory(scratch.at("a"), kModes));
}

TEST(MakeSafeDirectory, RefusesWhatBelongsToAStranger) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "only root can give a directory away";
    const Scratch scratch;
    std::filesystem::create_directory(scratch.at("a"));
    ASSERT_EQ(::chown(scratch.at("a").c_str(), 61001, 61001), 0);
    const auto made = make_safe_directory(scratch.at("a"), kModes);
    ASSERT_FALSE(made);
    EXPECT_THAT(made.error().what, AllOf(StartsWith(scratch.at("a") + ": mode "), HasSubstr("owner 61001"),
                                         HasSubstr("run: chown root ")));
}

}  // namespace
}  // namespace tokenlet::agent
