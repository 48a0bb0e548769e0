// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/host_id.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/fsatomic/scratch.h"

namespace tokenlet::agent {
namespace {

struct HostId : ::testing::Test {
    fsatomic::Scratch scratch;
    UniqueFd state{::open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    std::uint64_t next = 1;

    Result<std::string> read() {
        return read_host_id(state, [this] { return next++; });
    }
};

TEST_F(HostId, IsDrawnOnceForAStateDirectory) {
    EXPECT_EQ(*read(), "00000000000000010000000000000002");
    EXPECT_EQ(*read(), "00000000000000010000000000000002");
    EXPECT_EQ(next, 3U);
}

TEST_F(HostId, IsNotGuessedWhereTheFileHoldsSomethingElse) {
    for (const char* text :
         {"", "edge-7\n", "00000000000000010000000000000002ff\n", "0000000000000001000000000000000G\n"}) {
        SCOPED_TRACE(text);
        std::ofstream(scratch.at(kHostIdFile)) << text;
        const Result<std::string> id = read();
        ASSERT_FALSE(id);
        EXPECT_EQ(id.error().code, Errc::Invalid);
        EXPECT_THAT(id.error().what, testing::HasSubstr("host-id: holds no id of ours"));
    }
}

}  // namespace
}  // namespace tokenlet::agent
