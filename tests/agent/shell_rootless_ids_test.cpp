// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/rootless_ids.h"

#include <gtest/gtest.h>

#include "tests/fsatomic/scratch.h"

namespace tokenlet::agent {
namespace {

struct ReadRootlessIds : ::testing::Test {
    fsatomic::Scratch scratch;
    SubordinateFiles files{.users = scratch.at("subuid"), .groups = scratch.at("subgid")};

    // Root is the one user that every host has.
    void write(const std::string& users, const std::string& groups) {
        fsatomic::write_whole(files.users, users);
        fsatomic::write_whole(files.groups, groups);
    }
};

TEST_F(ReadRootlessIds, GivesTheAccountsOwnIdsAndThoseOfBothFiles) {
    write("root:100000:65536\n", "root:200000:65536\n");
    const Result<projector::IdMap> ids = read_rootless_ids("root", files);
    ASSERT_TRUE(ids) << ids.error().what;
    EXPECT_EQ(*host_id(ids->users, 0), 0U);
    EXPECT_EQ(*host_id(ids->users, 5), 100004U);
    EXPECT_EQ(*host_id(ids->groups, 5), 200004U);
}

TEST_F(ReadRootlessIds, NamesFileAndUserWhereOneOfThemIsMissing) {
    write("root:100000:65536\n", "alice:200000:65536\n");
    EXPECT_EQ(read_rootless_ids("nobody-of-that-name", files).error().what,
              "this host has no user 'nobody-of-that-name'");
    EXPECT_EQ(read_rootless_ids("root", files).error().what,
              files.groups + ": no line gives ids to 'root', without which containers have none but root's");
    ::unlink(files.users.c_str());
    EXPECT_TRUE(read_rootless_ids("root", files).error().what.contains(files.users));
}

}  // namespace
}  // namespace tokenlet::agent
