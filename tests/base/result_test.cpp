// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

namespace tokenlet {
namespace {

Result<std::unique_ptr<int>> seven() {
    return std::make_unique<int>(7);
}

Result<> broken() {
    return fail_errno(EACCES, "openat", "token");
}

TEST(Result, ErrorsReadFromTheOutsideIn) {
    const auto outer = []() -> Result<> {
        TRY(broken(), "volume api-token");
        return {};
    };
    const Result<> result = outer();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().what, "volume api-token: openat(token): Permission denied");
    EXPECT_EQ(result.error().code, Errc::Denied);
    EXPECT_EQ(result.error().os_errno, EACCES);
}

TEST(Result, TryHandsOnMoveOnlyValues) {
    const auto outer = []() -> Result<int> {
        std::unique_ptr<int> value = TRY(seven());
        return *value + 1;
    };
    EXPECT_EQ(outer(), 8);
}

TEST(Result, TheErrnoDecidesTheCode) {
    EXPECT_EQ(fail_errno(ENOENT, "open", "x").error().code, Errc::NotFound);
    EXPECT_EQ(fail_errno(EPERM, "open", "x").error().code, Errc::Denied);
    EXPECT_EQ(fail_errno(ENOSPC, "open", "x").error().code, Errc::Io);
}

}  // namespace
}  // namespace tokenlet
