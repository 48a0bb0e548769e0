// SPDX-License-Identifier: Apache-2.0
#include "base/secret.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace tokenlet {
namespace {

TEST(Secret, GrowsMovesAndComparesByContent) {
    Secret secret("to");
    secret.append("ken");
    EXPECT_EQ(secret.view(), "token");
    EXPECT_EQ(secret.redacted(), "[5 bytes]");
    EXPECT_TRUE(secret == Secret("token"));
    EXPECT_FALSE(secret == Secret("tokem"));
    EXPECT_FALSE(secret == Secret("toke"));
    Secret moved = std::move(secret);
    EXPECT_TRUE(secret.empty());
    EXPECT_EQ(moved.copy().view(), "token");
    moved.wipe();
    EXPECT_TRUE(moved.empty());
}

TEST(Secret, WipesMemoryInPlace) {
    std::string bytes = "classified";
    wipe_memory(bytes.data(), bytes.size());
    EXPECT_TRUE(std::ranges::all_of(bytes, [](char c) { return c == 0; }));
}

}  // namespace
}  // namespace tokenlet
