// SPDX-License-Identifier: Apache-2.0
#include "base/did_you_mean.h"

#include <gtest/gtest.h>

namespace tokenlet {
namespace {

TEST(DidYouMean, NamesTheNearestWordOrNothing) {
    constexpr std::string_view known[] = {"volumeRoot", "stateDir", "log"};
    EXPECT_EQ(did_you_mean("volumRoot", known), ", did you mean 'volumeRoot'?");
    EXPECT_EQ(did_you_mean("statedir", known), ", did you mean 'stateDir'?");
    EXPECT_EQ(did_you_mean("lgo", known), ", did you mean 'log'?") << "two letters swapped are one mistake";
    EXPECT_EQ(did_you_mean("ogl", known), "") << "two mistakes in three letters are no resemblance";
    EXPECT_EQ(did_you_mean("logs", known), ", did you mean 'log'?");
    EXPECT_EQ(did_you_mean("entirelyOther", known), "");
    EXPECT_EQ(did_you_mean(std::string(1'000'000, 'a'), known), "");
    EXPECT_EQ(did_you_mean("log", {}), "");
}

}  // namespace
}  // namespace tokenlet
