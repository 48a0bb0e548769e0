// SPDX-License-Identifier: Apache-2.0
#include "authority/clock_guard.h"

#include <gtest/gtest.h>

#include "tests/authority/scratch.h"

namespace tokenlet::authority {
namespace {

using namespace std::chrono_literals;

TEST(ClockGuard, WritesTheTimeOnceAMinuteNotOnceAToken) {
    const Scratch scratch;
    ClockGuard guard = ClockGuard::load(scratch.dir(), scratch.path()).value();
    ASSERT_TRUE(guard.note(scratch.dir(), kNow));
    EXPECT_EQ(scratch.read("clock"), "2027-01-15T08:00:00Z\n");
    ASSERT_TRUE(guard.note(scratch.dir(), kNow + 59s));
    EXPECT_EQ(scratch.read("clock"), "2027-01-15T08:00:00Z\n");
    ASSERT_TRUE(guard.note(scratch.dir(), kNow + 60s + 1ms));
    EXPECT_EQ(scratch.read("clock"), "2027-01-15T08:01:00Z\n");
}

TEST(ClockGuard, RefusesATimeThatWasAlreadyOverAlsoAfterARestart) {
    const Scratch scratch;
    ClockGuard before = ClockGuard::load(scratch.dir(), scratch.path()).value();
    ASSERT_TRUE(before.persist(scratch.dir(), kNow + 999ms));
    ClockGuard guard = ClockGuard::load(scratch.dir(), scratch.path()).value();
    const Result<> checked = guard.require_not_behind(kNow - 90s);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, Errc::Unavailable);
    EXPECT_EQ(checked.error().what,
              "the wall clock says 2027-01-15T07:58:30Z, 1m30s before a time it has already shown "
              "(2027-01-15T08:00:00Z): no token is signed until it has caught up; set the clock, or, if it was wrong "
              "then, stop tokenlet and remove " +
                  scratch.path() + "/clock");
    EXPECT_TRUE(guard.require_not_behind(kNow)) << "the second itself is fine";
}

TEST(ClockGuard, NeverMovesBack) {
    const Scratch scratch;
    ClockGuard guard = ClockGuard::load(scratch.dir(), scratch.path()).value();
    ASSERT_TRUE(guard.persist(scratch.dir(), kNow));
    ASSERT_TRUE(guard.persist(scratch.dir(), kNow - 1h));
    EXPECT_EQ(guard.latest(), kNow);
}

TEST(ClockGuard, ATimeThatCannotBeWrittenIsRememberedAndWrittenLater) {
    const Scratch scratch;
    ClockGuard guard = ClockGuard::load(scratch.dir(), scratch.path()).value();
    ASSERT_EQ(::mkdir(scratch.at("clock").c_str(), 0700), 0);  // in the way of the file
    EXPECT_FALSE(guard.note(scratch.dir(), kNow));
    EXPECT_TRUE(guard.note(scratch.dir(), kNow + 1s)) << "not tried again for every token";
    EXPECT_FALSE(guard.require_not_behind(kNow - 1s));
    EXPECT_FALSE(guard.save(scratch.dir()));
    ASSERT_EQ(::rmdir(scratch.at("clock").c_str()), 0);
    ASSERT_TRUE(guard.save(scratch.dir()));
    EXPECT_EQ(scratch.read("clock"), "2027-01-15T08:00:00Z\n");
}

TEST(ClockGuard, AFileThatHoldsNoTimeIsAnErrorThatSaysWhatToDo) {
    const Scratch scratch;
    scratch.write("clock", "yesterday\n");
    EXPECT_EQ(ClockGuard::load(scratch.dir(), scratch.path()).error().what,
              "clock: no time such as 2026-11-24T05:39:00Z; remove the file if the clock is right now");
}

}  // namespace
}  // namespace tokenlet::authority
