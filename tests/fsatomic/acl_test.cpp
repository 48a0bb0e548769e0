// SPDX-License-Identifier: Apache-2.0
#include "fsatomic/acl.h"

#include <acl/libacl.h>
#include <gtest/gtest.h>

#include <sys/acl.h>
#include <sys/xattr.h>

#include <cerrno>
#include <memory>

#include "tests/fsatomic/scratch.h"
#include "tests/fsatomic/traced_child.h"

namespace tokenlet::fsatomic {
namespace {

constexpr Reader kUser{Reader::Kind::User, 1000};
constexpr Reader kOtherUser{Reader::Kind::User, 7};
constexpr Reader kGroup{Reader::Kind::Group, 33};

Access access_of(mode_t mode, std::vector<Reader> readers = {}) {
    return {.mode = mode, .readers = std::move(readers)};
}

// As libacl, which has no part in our encoding, reads it from the disk.
std::string acl_text(const std::string& path) {
    const std::unique_ptr<std::remove_pointer_t<acl_t>, int (*)(void*)> acl(
        ::acl_get_file(path.c_str(), ACL_TYPE_ACCESS), ::acl_free);
    const std::unique_ptr<char, int (*)(void*)> text(
        ::acl_to_any_text(acl.get(), nullptr, ',', TEXT_ABBREVIATE | TEXT_NUMERIC_IDS), ::acl_free);
    return text ? text.get() : "";
}

UniqueFd make_file(const Scratch& scratch) {
    return UniqueFd(::open(scratch.at("f").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

class SetAccess : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(On, SetAccess, testing::Values(kTmpfs, kDisk), file_system_name);

TEST_P(SetAccess, EndsWithTheListThatWasAskedFor) {
    struct Case {
        std::string_view name;
        Access access;
        std::string_view want;
        mode_t shown;
    };
    const Case cases[] = {
        {"no reader, no list", access_of(0640), "u::rw-,g::r--,o::---", 0640},
        {"the mask lets the reader in although the group has nothing", access_of(0600, {kUser}),
         "u::rw-,u:1000:r--,g::---,m::r--,o::---", 0640},
        {"ids are sorted, users before groups", access_of(0400, {kGroup, kUser, kOtherUser}),
         "u::r--,u:7:r--,u:1000:r--,g::---,g:33:r--,m::r--,o::---", 0440},
        {"the group keeps what it has", access_of(0660, {kUser}), "u::rw-,u:1000:r--,g::rw-,m::rw-,o::---", 0660},
        {"everybody may read anyway", access_of(0644, {kUser, kGroup}), "u::rw-,g::r--,o::r--", 0644},
        {"others may, but the group may not", access_of(0604, {kUser}), "u::rw-,u:1000:r--,g::---,m::r--,o::r--", 0644},
        {"twice the same reader", access_of(0600, {kUser, kUser}), "u::rw-,u:1000:r--,g::---,m::r--,o::---", 0640},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const Scratch scratch(GetParam());
        const UniqueFd fd = make_file(scratch);
        const auto done = set_access(fd, c.access, Node::File, {}, "f");
        ASSERT_TRUE(done) << done.error().what;
        EXPECT_EQ(acl_text(scratch.at("f")), c.want);
        const struct stat found = stat_of(scratch.at("f"));
        EXPECT_EQ(found.st_mode & 07777, c.shown);
        EXPECT_EQ(visible_mode(c.access, Node::File), c.shown);
        EXPECT_EQ(*access_difference(fd, found, c.access, Node::File, {}, "f"), "");
    }
}

TEST(SetAccess, GivesADirectoryReaderTheRightToPass) {
    const Scratch scratch;
    ::mkdir(scratch.at("d").c_str(), 0700);
    const UniqueFd fd = *open_dir_beneath(scratch.fd(), "d");
    ASSERT_TRUE(set_access(fd, access_of(0750, {kUser}), Node::Directory, {}, "d"));
    EXPECT_EQ(acl_text(scratch.at("d")), "u::rwx,u:1000:r-x,g::r-x,m::r-x,o::---");
}

TEST(SetAccess, SetsOwnerBeforeModeBeforeList) {
    const Scratch scratch;
    const UniqueFd fd = make_file(scratch);
    const Access access{.mode = 02640, .owner = 1000, .group = 2000, .readers = {kGroup}};
    const std::string found = in_child([&]() -> std::string {
        if (::geteuid() != 0)
            return kSkip;
        const auto done = set_access(fd, access, Node::File, {0, 0}, "f");
        return done ? "" : done.error().what;
    });
    if (found == kSkip)
        GTEST_SKIP() << "NOT TESTED: needs root";
    EXPECT_EQ(found, "");
    const struct stat seen = stat_of(scratch.at("f"));
    EXPECT_EQ(seen.st_uid, 1000u);
    EXPECT_EQ(seen.st_gid, 2000u);
    EXPECT_EQ(seen.st_mode & 07777, 02640u) << "a chown after the mode would have cleared the set-id bit";
    EXPECT_EQ(acl_text(scratch.at("f")), "u::rw-,g::r--,g:33:r--,m::r--,o::---")
        << "a chmod after the list would have changed its mask";
}

TEST(SetAccess, NamesWhatIsMissing) {
    const std::string found = in_child([]() -> std::string {
        if (!drop_root())
            return kSkip;
        const Scratch scratch;
        const UniqueFd fd = make_file(scratch);
        const Made mine{kNobody, kNobody};
        const Access same{.mode = 0640, .owner = kNobody, .group = kNobody, .readers = {kUser}};
        if (const auto done = set_access(fd, same, Node::File, mine, "f"); !done)
            return "an owner may set a list and keep itself: " + done.error().what;
        const auto refused = set_access(fd, {.mode = 0640, .owner = 1000}, Node::File, mine, "f");
        if (refused || refused.error().code != Errc::Denied)
            return "a foreign owner was not refused";
        return refused.error().what.find("CAP_CHOWN") == std::string::npos ? refused.error().what : "";
    });
    if (found == kSkip)
        GTEST_SKIP() << "NOT TESTED: needs root to become somebody else";
    EXPECT_EQ(found, "");
}

// 0: all is as wanted, also to who looks at it. 1: an error that names the file. 2: one that does not. 3: it differs.
int set_and_compare(const UniqueFd& file, const Access& access) {
    if (const Result<> set = set_access(file, access, Node::File, {}, "the file"); !set)
        return set.error().what.contains("(the file") ? 1 : 2;
    struct stat found{};
    found.st_mode = S_IFREG | visible_mode(access, Node::File);
    found.st_uid = *access.owner;
    found.st_gid = *access.group;
    const Result<std::string> difference = access_difference(file, found, access, Node::File, {}, "the file");
    if (!difference)
        return difference.error().what.contains("(the file") ? 1 : 2;
    return difference->empty() ? 0 : 3;
}

TEST(SetAccess, NamesTheFileWhicheverCallIsRefusedAndForWhateverReason) {
    if (!can_trace() || ::geteuid() != 0)
        GTEST_SKIP() << "NOT TESTED: system calls cannot be counted here, or owners not changed";
    const Access access{.mode = 02640, .owner = kNobody, .group = kNobody, .readers = {kUser}};
    // ERANGE: a list that is longer than one expects is read again, into more room.
    for (const int os_errno : {EPERM, EINVAL, EOPNOTSUPP, EIO, ERANGE}) {
        int at = 0;
        for (bool reached = true; reached; ++at) {
            const Scratch scratch(kTmpfs);
            const UniqueFd file = make_file(scratch);
            const Traced traced = run_traced([&] { return set_and_compare(file, access); }, at, Fate::Fail, os_errno);
            reached = traced.reached;
            EXPECT_TRUE(traced.exit_code == 0 || traced.exit_code == 1 || (traced.exit_code == 3 && reached))
                << "errno " << os_errno << " at call " << at << ", number " << traced.call << ": " << traced.exit_code;
        }
        EXPECT_GT(at, 4);
    }
}

TEST(AccessDifference, SaysWhatIsAmiss) {
    const Scratch scratch;
    const UniqueFd fd = make_file(scratch);
    ASSERT_TRUE(set_access(fd, access_of(0600, {kUser}), Node::File, {}, "f"));
    const struct stat found = stat_of(scratch.at("f"));
    const auto difference = [&](const Access& access, const Made& made = {}) {
        return *access_difference(fd, found, access, Node::File, made, "f");
    };
    EXPECT_EQ(difference(access_of(0600, {kUser})), "");
    EXPECT_EQ(difference(access_of(0604, {kUser})), "mode is 0640, not 0644");
    EXPECT_EQ(difference(access_of(0640)), "access list differs") << "the same mode to stat(), and still wider";
    EXPECT_EQ(difference(access_of(0600, {kGroup})), "access list differs");
    EXPECT_NE(difference({.mode = 0600, .owner = found.st_uid + 1, .group = {}, .readers = {kUser}}), "");
    EXPECT_NE(difference(access_of(0600, {kUser}), Made{found.st_uid + 1, {}}), "");
}

TEST(DropInheritedAcl, LeavesNothingForFilesToInherit) {
    const Scratch scratch;
    const std::unique_ptr<std::remove_pointer_t<acl_t>, int (*)(void*)> acl(
        ::acl_from_text("u::rwx,u:1000:rwx,g::r-x,m::rwx,o::---"), ::acl_free);
    ASSERT_EQ(::acl_set_file(scratch.path().c_str(), ACL_TYPE_DEFAULT, acl.get()), 0);
    ::mkdir(scratch.at("d").c_str(), 0700);
    const UniqueFd fd = *open_dir_beneath(scratch.fd(), "d");
    ASSERT_NE(acl_text(scratch.at("d")).find("u:1000"), std::string::npos) << "else this tests nothing";
    ASSERT_TRUE(drop_inherited_acl(fd, "d"));
    write_whole(scratch.at("d/f"), "");
    EXPECT_EQ(acl_text(scratch.at("d")).find("u:1000"), std::string::npos);
    EXPECT_EQ(acl_text(scratch.at("d/f")).find("u:1000"), std::string::npos);
}

}  // namespace
}  // namespace tokenlet::fsatomic
