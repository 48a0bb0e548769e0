// SPDX-License-Identifier: Apache-2.0
#include "authority/durable_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <csignal>

#include "tests/authority/scratch.h"

namespace tokenlet::authority {
namespace {

// On memory and on a disk: fsync and rename differ.
class DurableFile : public testing::TestWithParam<std::string> {
protected:
    Scratch scratch{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(, DurableFile, testing::Values("/dev/shm", "/var/tmp"),
                         [](const auto& place) { return place.param == "/var/tmp" ? "OnDisk" : "InMemory"; });

TEST_P(DurableFile, IsReadAsItWasWrittenWithExactlyItsMode) {
    const mode_t old = ::umask(0077);
    ASSERT_TRUE(write_file(scratch.dir(), "open", "text", 0644));
    ::umask(0);
    ASSERT_TRUE(write_file(scratch.dir(), "closed", "secret", 0600));
    ::umask(old);
    EXPECT_EQ(scratch.mode("open"), 0644u);
    EXPECT_EQ(scratch.mode("closed"), 0600u);
    EXPECT_EQ(read_file(scratch.dir(), "open", Readers::Anyone)->view(), "text");
    EXPECT_EQ(read_file(scratch.dir(), "closed", Readers::OwnerOnly)->view(), "secret");
    EXPECT_FALSE(scratch.has(".open.tmp"));
}

TEST_P(DurableFile, ReplacesALinkInsteadOfWritingThroughIt) {
    scratch.write("victim", "untouched");
    ASSERT_EQ(::symlink("victim", scratch.at("key").c_str()), 0);
    ASSERT_EQ(::symlink("victim", scratch.at(".key.tmp").c_str()), 0);
    ASSERT_TRUE(write_file(scratch.dir(), "key", "new", 0600));
    EXPECT_EQ(scratch.read("victim"), "untouched");
    EXPECT_EQ(scratch.read("key"), "new");
}

TEST_P(DurableFile, AFailedWriteLeavesTheOldFileAndNoLeftOvers) {
    ASSERT_TRUE(write_file(scratch.dir(), "key", "old", 0600));
    // The same refusal as a full disk, without filling one.
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit tiny{.rlim_cur = 4, .rlim_max = before.rlim_max};
    const auto handler = ::signal(SIGXFSZ, SIG_IGN);
    ::setrlimit(RLIMIT_FSIZE, &tiny);
    const Result<> written = write_file(scratch.dir(), "key", "much longer", 0600);
    ::setrlimit(RLIMIT_FSIZE, &before);
    ::signal(SIGXFSZ, handler);
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().what, "write(.key.tmp): File too large");
    EXPECT_EQ(written.error().code, Errc::Io);
    EXPECT_EQ(scratch.read("key"), "old");
    EXPECT_FALSE(scratch.has(".key.tmp"));
}

TEST_P(DurableFile, HostileFilesAreNamedForWhatTheyAre) {
    scratch.write("wide", "secret", 0640);
    scratch.write("real", "secret", 0600);
    ASSERT_EQ(::symlink("real", scratch.at("link").c_str()), 0);
    ASSERT_EQ(::mkdir(scratch.at("folder").c_str(), 0700), 0);
    ASSERT_EQ(::mkfifo(scratch.at("pipe").c_str(), 0600), 0);
    scratch.write("huge", std::string(kDurableFileLimit + 1, 'x'));
    struct Case {
        std::string name;
        Errc code;
        std::string_view error;
    };
    const Case cases[] = {
        {"absent", Errc::NotFound, "open(absent): No such file or directory"},
        {"wide", Errc::Denied,
         "wide has mode 0640: others than its owner may use it, so it may be known to them; replace it, or chmod 0600 "
         "if you are sure that nobody read it"},
        {"link", Errc::Invalid, "link is a symbolic link; put the file itself there"},
        {"folder", Errc::Invalid, "folder is no regular file"},
        {"pipe", Errc::Invalid, "pipe is no regular file"},
        {"huge", Errc::Invalid, "huge has 1048577 bytes, more than any such file"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const Result<Secret> read = read_file(scratch.dir(), c.name, Readers::OwnerOnly);
        ASSERT_FALSE(read);
        EXPECT_EQ(read.error().what, c.error);
        EXPECT_EQ(read.error().code, c.code);
    }
}

TEST_P(DurableFile, RemovalOfWhatIsNotThereIsDone) {
    scratch.write("key", "x");
    EXPECT_TRUE(remove_file(scratch.dir(), "key"));
    EXPECT_FALSE(scratch.has("key"));
    EXPECT_TRUE(remove_file(scratch.dir(), "key"));
}

TEST_P(DurableFile, DirectoriesAreMadeAndBroughtToTheirMode) {
    ASSERT_TRUE(open_directory(scratch.at("a/b/c"), 0711));
    EXPECT_EQ(scratch.mode("a/b/c"), 0711u);
    ASSERT_EQ(::chmod(scratch.at("a").c_str(), 0755), 0);
    ASSERT_TRUE(open_directory(scratch.dir(), "a", 0700));
    EXPECT_EQ(scratch.mode("a"), 0700u);
}

TEST_P(DurableFile, ADirectoryThatOthersMayWriteToIsRefusedAndNotMadeOurs) {
    ASSERT_TRUE(open_directory(scratch.at("data"), 0711));
    for (const mode_t mode : {0777U, 0730U, 01777U}) {
        ASSERT_EQ(::chmod(scratch.at("data").c_str(), mode), 0);
        const auto opened = open_directory(scratch.at("data"), 0711);
        ASSERT_FALSE(opened) << mode;
        EXPECT_EQ(opened.error().code, Errc::Denied);
        EXPECT_TRUE(opened.error().what.ends_with("run: chmod go-w " + scratch.at("data"))) << opened.error().what;
        EXPECT_EQ(scratch.mode("data"), mode) << "the administrator is to see it as it was";
    }
}

TEST_P(DurableFile, AFileWhereADirectoryBelongsIsRefused) {
    scratch.write("keys", "x");
    ASSERT_EQ(::symlink("/etc", scratch.at("link").c_str()), 0);
    EXPECT_EQ(open_directory(scratch.dir(), "keys", 0700).error().what, "keys is no directory");
    EXPECT_EQ(open_directory(scratch.dir(), "link", 0700).error().what, "link is no directory");
}

}  // namespace
}  // namespace tokenlet::authority
