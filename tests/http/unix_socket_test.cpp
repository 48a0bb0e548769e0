// SPDX-License-Identifier: Apache-2.0
#include "http/unix_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/http/scratch_directory.h"

namespace tokenlet::http {
namespace {

TEST(BoundSocket, EverybodyMayConnectAndTheFileGoesWithItsOwner) {
    const ScratchDirectory directory;
    const std::string path = directory.file("s");
    const mode_t before = ::umask(077);
    {
        const Result<BoundSocket> bound = BoundSocket::listen(path);
        ASSERT_TRUE(bound) << bound.error().what;
        struct stat status{};
        ASSERT_EQ(::stat(path.c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 07777, 0666U);
        EXPECT_TRUE(::fcntl(bound->fd().get(), F_GETFD) & FD_CLOEXEC);
    }
    ::umask(before);
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(BoundSocket, ALivingProcessKeepsItsSocket) {
    const ScratchDirectory directory;
    const std::string path = directory.file("s");
    const Result<BoundSocket> first = BoundSocket::listen(path);
    ASSERT_TRUE(first);
    const Result<BoundSocket> second = BoundSocket::listen(path);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::Conflict);
    EXPECT_EQ(second.error().what, path + ": another process listens here already");
    EXPECT_TRUE(std::filesystem::exists(path));
}

TEST(BoundSocket, TheFileOfADeadProcessIsReplaced) {
    const ScratchDirectory directory;
    const std::string path = directory.file("s");
    {
        const Result<BoundSocket> dead = BoundSocket::listen(path);
        ASSERT_TRUE(dead);
        std::filesystem::rename(path, directory.file("kept"));  // so that the owner cannot remove it
    }
    std::filesystem::rename(directory.file("kept"), path);
    ASSERT_TRUE(std::filesystem::is_socket(path));
    const Result<BoundSocket> next = BoundSocket::listen(path);
    EXPECT_TRUE(next) << next.error().what;
}

TEST(BoundSocket, AnotherProcessesFileIsNotRemovedAtTheEnd) {
    const ScratchDirectory directory;
    const std::string path = directory.file("s");
    {
        const Result<BoundSocket> bound = BoundSocket::listen(path);
        ASSERT_TRUE(bound);
        std::filesystem::rename(path, directory.file("kept"));
        std::ofstream(path) << "somebody else's";
    }
    EXPECT_TRUE(std::filesystem::exists(path));
}

TEST(BoundSocket, WhatIsNoSocketStays) {
    const ScratchDirectory directory;
    const std::string path = directory.file("s");
    std::ofstream(path) << "notes";
    const Result<BoundSocket> bound = BoundSocket::listen(path);
    ASSERT_FALSE(bound);
    EXPECT_EQ(bound.error().code, Errc::Conflict);
    EXPECT_TRUE(std::filesystem::is_regular_file(path));
}

TEST(BoundSocket, APathLongerThanASocketAddressIsFine) {
    const ScratchDirectory directory;
    const std::string deep = directory.file(std::string(120, 'd'));
    std::filesystem::create_directory(deep);
    const Result<BoundSocket> bound = BoundSocket::listen(deep + "/s");
    ASSERT_TRUE(bound) << bound.error().what;
    EXPECT_TRUE(std::filesystem::is_socket(deep + "/s"));
    EXPECT_FALSE(BoundSocket::listen(deep + "/s")) << "and is found again";
}

TEST(BoundSocket, ErrorsNameThePath) {
    const ScratchDirectory directory;
    const Result<BoundSocket> missing = BoundSocket::listen(directory.file("nowhere/s"));
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, Errc::NotFound);
    EXPECT_NE(missing.error().what.find("nowhere/"), std::string::npos);
    EXPECT_FALSE(BoundSocket::listen(directory.file(""))) << "a directory is no name for a socket";
}

}  // namespace
}  // namespace tokenlet::http
