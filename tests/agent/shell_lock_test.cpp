// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/lock.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "tests/fsatomic/scratch.h"

namespace tokenlet::agent {
namespace {

using fsatomic::Scratch;

TEST(LockDirectory, RefusesASecondHolderAndNamesTheFirst) {
    const Scratch scratch;
    const auto first = lock_directory(scratch.fd(), scratch.path());
    ASSERT_TRUE(first) << first.error().what;
    const auto second = lock_directory(scratch.fd(), scratch.path());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::Conflict);
    EXPECT_EQ(second.error().what, scratch.path() + " is in use by another tokenlet, process " +
                                       std::to_string(::getpid()) + "; stop that one, or configure another directory");
}

TEST(LockDirectory, IsFreeOnceTheHolderHasGone) {
    const Scratch scratch;
    {
        ASSERT_TRUE(lock_directory(scratch.fd(), scratch.path()));
    }
    EXPECT_TRUE(lock_directory(scratch.fd(), scratch.path()));
}

TEST(LockDirectory, DoesNotRepeatWhatAStrangerWroteIntoTheFile) {
    const Scratch scratch;
    const auto first = lock_directory(scratch.fd(), scratch.path());
    std::ofstream(scratch.at(kLockFile)) << "\x1b[31mred";
    const auto second = lock_directory(scratch.fd(), scratch.path());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().what.find("red"), std::string::npos);
}

TEST(LockDirectory, FollowsNoLink) {
    const Scratch scratch;
    std::filesystem::create_symlink(scratch.at("elsewhere"), scratch.at(kLockFile));
    EXPECT_FALSE(lock_directory(scratch.fd(), scratch.path()));
    EXPECT_FALSE(std::filesystem::exists(scratch.at("elsewhere")));
}

TEST(LockNames, RefusesASecondHolderAndLeavesNothingBehind) {
    const Scratch scratch;
    {
        const auto first = lock_names(scratch.fd(), scratch.path());
        ASSERT_TRUE(first) << first.error().what;
        const auto second = lock_names(scratch.fd(), scratch.path());
        ASSERT_FALSE(second);
        EXPECT_EQ(second.error().code, Errc::Conflict);
        EXPECT_EQ(second.error().what,
                  scratch.path() + " is in use by another tokenlet; stop that one, or configure another directory");
        EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
    }
    EXPECT_TRUE(lock_names(scratch.fd(), scratch.path()));
}

}  // namespace
}  // namespace tokenlet::agent
