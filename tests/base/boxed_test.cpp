// SPDX-License-Identifier: Apache-2.0
#include "base/boxed.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace tokenlet {
namespace {

static_assert(sizeof(Boxed<std::string>) == sizeof(void*));

TEST(Boxed, HasNoValueUntilItIsGivenOne) {
    Boxed<std::string> box;
    EXPECT_FALSE(box);
    box = std::string("full");
    ASSERT_TRUE(box);
    EXPECT_EQ(*box, "full");
    EXPECT_EQ(box->size(), 4U);
    box = std::nullopt;
    EXPECT_FALSE(box);
}

TEST(Boxed, ACopyIsAnotherValue) {
    const Boxed<std::string> box(std::string("one"));
    Boxed<std::string> copy = box;
    *copy = "two";
    EXPECT_EQ(*box, "one");
    copy = box;
    EXPECT_EQ(*copy, "one");
    copy = Boxed<std::string>();
    EXPECT_FALSE(copy.has_value());
}

TEST(Boxed, EqualsAnotherWithAnEqualValueOrNoneEither) {
    const Boxed<std::string> none;
    const Boxed<std::string> one(std::string("one"));
    EXPECT_EQ(one, Boxed<std::string>(std::string("one")));
    EXPECT_EQ(none, Boxed<std::string>());
    EXPECT_FALSE(one == none);
    EXPECT_FALSE(none == one);
    EXPECT_FALSE(one == Boxed<std::string>(std::string("two")));
}

TEST(Boxed, AMovedFromOneIsEmpty) {
    Boxed<std::unique_ptr<int>> box(std::make_unique<int>(7));
    const Boxed<std::unique_ptr<int>> taken = std::exchange(box, std::nullopt);
    EXPECT_FALSE(box);
    EXPECT_EQ(**taken, 7);
}

}  // namespace
}  // namespace tokenlet
