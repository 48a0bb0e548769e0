// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/own_namespaces.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/fsatomic/scratch.h"

namespace tokenlet::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct OwnNamespaces : ::testing::Test {
    fsatomic::Scratch scratch;
    UniqueFd state{::open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
};

TEST_F(OwnNamespaces, AreThoseThatWereWrittenLast) {
    EXPECT_THAT(*read_own_namespaces(state), IsEmpty());
    ASSERT_TRUE(write_own_namespaces(state, {"shop", "bank"}));
    EXPECT_THAT(*read_own_namespaces(state), ElementsAre("bank", "shop"));
    ASSERT_TRUE(write_own_namespaces(state, {}));
    EXPECT_THAT(*read_own_namespaces(state), IsEmpty());
}

TEST_F(OwnNamespaces, AreWhatANamespaceCanBeCalled) {
    std::ofstream(scratch.at(kOwnNamespacesFile)) << "shop\n\n../bank\nUpper\nlast";
    EXPECT_THAT(*read_own_namespaces(state), ElementsAre("last", "shop"));
}

}  // namespace
}  // namespace tokenlet::agent
