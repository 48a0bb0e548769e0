// SPDX-License-Identifier: Apache-2.0
#include "fsatomic/confined_dir.h"

#include <gtest/gtest.h>

#include "tests/fsatomic/child.h"
#include "tests/fsatomic/scratch.h"

namespace tokenlet::fsatomic {
namespace {

// Each of these runs twice: with openat2(), and in a child whose kernel refuses it.
struct Case {
    std::string_view name;
    std::string path;
    Errc want;
    int os_errno;
};

const Case kRefused[] = {
    {"parent", "../outside", Errc::Denied, EXDEV},
    {"parent after a directory", "d/../../outside", Errc::Denied, EXDEV},
    {"absolute", "/etc", Errc::Denied, EXDEV},
    {"a link at the end", "link", Errc::Denied, ELOOP},
    {"a link on the way", "link/passwd", Errc::Denied, ELOOP},
    {"a link that stays inside", "inner/e", Errc::Denied, ELOOP},
    {"absent", "d/none", Errc::NotFound, ENOENT},
    {"a file on the way", "d/f/g", Errc::Io, ENOTDIR},
};

void prepare(const Scratch& scratch) {
    std::filesystem::create_directories(scratch.at("d/e"));
    write_whole(scratch.at("d/f"), "bytes");
    std::filesystem::create_symlink("/etc", scratch.at("link"));
    std::filesystem::create_symlink("d", scratch.at("inner"));
}

std::string check_confinement(const Scratch& scratch) {
    for (const Case& c : kRefused) {
        const auto opened = open_beneath(scratch.fd(), c.path, O_RDONLY);
        if (opened)
            return std::string(c.name) + ": was opened";
        if (opened.error().code != c.want || opened.error().os_errno != c.os_errno)
            return std::string(c.name) + ": " + opened.error().what;
    }
    for (const char* path : {"d", "d/e", "d//e", "d/f", "."})
        if (const auto opened = open_beneath(scratch.fd(), path, O_RDONLY); !opened)
            return std::string(path) + ": " + opened.error().what;
    return "";
}

TEST(OpenBeneath, NeverLeavesTheDirectory) {
    const Scratch scratch;
    prepare(scratch);
    EXPECT_EQ(check_confinement(scratch), "");
}

TEST(OpenBeneath, NeverLeavesTheDirectoryWhereOpenat2IsRefused) {
    const Scratch scratch;
    prepare(scratch);
    for (const int refusal : {ENOSYS, EPERM}) {
        SCOPED_TRACE(refusal);
        EXPECT_EQ(in_child([&]() -> std::string {
                      if (!refuse_openat2(refusal))
                          return "no seccomp";
                      if (::syscall(SYS_openat2, -1, nullptr, nullptr, 0) != -1 || errno != refusal)
                          return "openat2 is not refused";
                      return check_confinement(scratch);
                  }),
                  "");
    }
}

TEST(OpenBeneath, TakesPathsLongerThanTheKernelDoes) {
    const Scratch scratch;
    std::string path(255, 'n');
    UniqueFd at(::open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (int level = 0; level < 20; ++level) {
        const std::string name(255, 'n');
        ASSERT_EQ(::mkdirat(at.get(), name.c_str(), 0700), 0);
        at.reset(::openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (level > 0)
            path += "/" + name;
    }
    const auto opened = open_dir_beneath(scratch.fd(), path);
    ASSERT_TRUE(opened) << opened.error().what;
    struct stat want{}, found{};
    ASSERT_EQ(::fstat(at.get(), &want), 0);
    ASSERT_EQ(::fstat(opened->get(), &found), 0);
    EXPECT_EQ(found.st_ino, want.st_ino);
    const auto removed = remove_tree(scratch.fd(), std::string(255, 'n'));
    ASSERT_TRUE(removed) << removed.error().what;
    EXPECT_FALSE(exists(scratch.at(std::string(255, 'n'))));
}

TEST(OpenBeneath, EntersAMountOnlyWhereToldTo) {
    const Scratch scratch;
    ::mkdir(scratch.at("m").c_str(), 0755);
    for (const bool refused : {false, true}) {
        SCOPED_TRACE(refused ? "openat2 refused" : "openat2");
        const std::string found = in_child([&]() -> std::string {
            if (!private_mounts() || ::mount("t", scratch.at("m").c_str(), "tmpfs", 0, "size=64k") < 0)
                return kSkip;
            if (refused && !refuse_openat2(ENOSYS))
                return kSkip;
            const UniqueFd dir = *open_root(scratch.path());  // the old descriptor sees the old mounts
            if (const auto entered = open_dir_beneath(dir, "m", Mounts::Enter); !entered)
                return entered.error().what;
            const auto opened = open_dir_beneath(dir, "m");
            return opened || opened.error().os_errno != EXDEV ? "crossed the mount" : "";
        });
        if (found == kSkip)
            GTEST_SKIP() << "NOT TESTED: needs the right to mount";
        EXPECT_EQ(found, "");
    }
}

TEST(MakeDirsBeneath, MakesAndRepairsTheChainWhateverTheUmask) {
    const Scratch scratch;
    const mode_t before = ::umask(0077);
    auto made = make_dirs_beneath(scratch.fd(), "uid/volumes/kubernetes.io~projected/kube-api-access");
    ASSERT_TRUE(made) << made.error().what;
    EXPECT_EQ(made->repaired, "") << "what was made needs no repair";
    ::umask(before);
    const std::map<std::string, mode_t> want{{"uid", 0711},
                                             {"uid/volumes", 0711},
                                             {"uid/volumes/kubernetes.io~projected", 0711},
                                             {"uid/volumes/kubernetes.io~projected/kube-api-access", 0755}};
    for (const auto& [path, mode] : want)
        EXPECT_EQ(stat_of(scratch.at(path)).st_mode & 07777, mode) << path;
    const DirModes modes{.above = 0711, .last = 0755, .durability = Durability::Disk};
    for (const auto& [path, mode] : want) {
        ::chmod(scratch.at(path).c_str(), 0700);
        made = make_dirs_beneath(scratch.fd(), "uid/volumes/kubernetes.io~projected/kube-api-access", modes);
        ASSERT_TRUE(made) << made.error().what;
        EXPECT_EQ(made->repaired, path + ": mode differs");
        EXPECT_EQ(stat_of(scratch.at(path)).st_mode & 07777, mode) << path << ", alone";
    }
    for (const auto& [path, mode] : want)
        ::chmod(scratch.at(path).c_str(), 0700);
    ASSERT_TRUE(make_dirs_beneath(scratch.fd(), "uid/volumes/kubernetes.io~projected/kube-api-access", modes));
    for (const auto& [path, mode] : want)
        EXPECT_EQ(stat_of(scratch.at(path)).st_mode & 07777, mode) << path;
}

TEST(MakeDirsBeneath, LeavesAMountOnTheWayAsItIs) {
    for (const char* mounted : {"uid", "uid/volumes", "uid/volumes/v"}) {
        SCOPED_TRACE(mounted);
        const Scratch scratch;
        ASSERT_TRUE(make_dirs_beneath(scratch.fd(), "uid/volumes/v"));
        const std::string found = in_child([&]() -> std::string {
            if (!private_mounts() || ::mount("t", scratch.at(mounted).c_str(), "tmpfs", 0, "mode=0700") < 0)
                return kSkip;
            std::filesystem::create_directories(scratch.at("uid/volumes/v"));
            const UniqueFd dir = *open_root(scratch.path());  // of this namespace
            if (make_dirs_beneath(dir, "uid/volumes/v"))
                return "no error";
            return (stat_of(scratch.at(mounted)).st_mode & 07777) == 0700 ? "" : "its mode was changed";
        });
        if (found == kSkip)
            GTEST_SKIP() << "NOT TESTED: needs the right to mount";
        EXPECT_EQ(found, "");
    }
}

TEST(MakeDirsBeneath, RefusesLinksAndNamesThatAreNone) {
    const Scratch scratch;
    std::filesystem::create_symlink("/tmp", scratch.at("uid"));
    EXPECT_EQ(make_dirs_beneath(scratch.fd(), "uid/volumes").error().code, Errc::Denied);
    for (const char* path : {"", "/a", "a//b", "../a", "a/./b", "a/"})
        EXPECT_EQ(make_dirs_beneath(scratch.fd(), path).error().code, Errc::Invalid) << path;
}

TEST(RemoveEmptyDirsBeneath, StopsAtTheFirstThatIsNotEmpty) {
    const Scratch scratch;
    std::filesystem::create_directories(scratch.at("a/b/c"));
    write_whole(scratch.at("a/keep"), "");
    ASSERT_TRUE(remove_empty_dirs_beneath(scratch.fd(), "a/b/c"));
    EXPECT_FALSE(exists(scratch.at("a/b")));
    EXPECT_TRUE(exists(scratch.at("a/keep")));
    EXPECT_TRUE(remove_empty_dirs_beneath(scratch.fd(), "a/b/c")) << "absent is fine";
}

TEST(RemoveTree, TakesLinksAsLinksAndGoesDeeperThanThereAreDescriptors) {
    const Scratch scratch;
    const Scratch outside;
    write_whole(outside.at("keep"), "bytes");
    ASSERT_EQ(::mkdir(scratch.at("top").c_str(), 0700), 0);
    std::filesystem::create_symlink(outside.path(), scratch.at("top/link"));
    UniqueFd at(::open(scratch.at("top").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (int level = 0; level < 1100; ++level) {
        ASSERT_EQ(::mkdirat(at.get(), "d", 0700), 0);
        at.reset(::openat(at.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    const auto removed = remove_tree(scratch.fd(), "top");
    ASSERT_TRUE(removed) << removed.error().what;
    EXPECT_FALSE(exists(scratch.at("top")));
    EXPECT_EQ(read_whole(outside.at("keep")), "bytes");
}

TEST(RemoveTree, LeavesAMountPointAndSaysSo) {
    const Scratch scratch;
    std::filesystem::create_directories(scratch.at("top/m"));
    write_whole(scratch.at("top/f"), "");
    const std::string found = in_child([&]() -> std::string {
        if (!private_mounts() || ::mount("t", scratch.at("top/m").c_str(), "tmpfs", 0, "size=64k") < 0)
            return kSkip;
        write_whole(scratch.at("top/m/precious"), "bytes");
        const UniqueFd dir = *open_root(scratch.path());
        const auto removed = remove_tree(dir, "top");
        if (removed)
            return "no error";
        if (exists(scratch.at("top/f")))
            return "the rest was not removed";
        return read_whole(scratch.at("top/m/precious")) == "bytes" ? "" : "went into the mount";
    });
    if (found == kSkip)
        GTEST_SKIP() << "NOT TESTED: needs the right to mount";
    EXPECT_EQ(found, "");
}

TEST(RemoveTree, OpensADirectoryOfItsOwnThatIsShut) {
    const std::string found = in_child([&]() -> std::string {
        if (!drop_root())
            return kSkip;
        const Scratch scratch;
        std::filesystem::create_directories(scratch.at("top/d"));
        write_whole(scratch.at("top/d/f"), "");
        ::chmod(scratch.at("top/d").c_str(), 0);
        ::chmod(scratch.at("top").c_str(), 0550);
        const auto removed = remove_tree(scratch.fd(), "top");
        return removed ? "" : removed.error().what;
    });
    if (found == kSkip)
        GTEST_SKIP() << "NOT TESTED: needs root to become somebody else";
    EXPECT_EQ(found, "");
}

TEST(IsMemory, TellsTmpfsFromADisk) {
    EXPECT_TRUE(*is_memory(Scratch(kTmpfs).fd()));
    EXPECT_FALSE(*is_memory(Scratch(kDisk).fd()));
}

}  // namespace
}  // namespace tokenlet::fsatomic
