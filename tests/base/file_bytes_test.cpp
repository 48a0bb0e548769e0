// SPDX-License-Identifier: Apache-2.0
#include "base/file_bytes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "base/unique_fd.h"

namespace tokenlet {
namespace {

UniqueFd memory_file(std::string_view bytes) {
    UniqueFd file(::memfd_create("test", MFD_CLOEXEC));
    EXPECT_TRUE(write_all(file.get(), bytes, "test"));
    EXPECT_EQ(::lseek(file.get(), 0, SEEK_SET), 0);
    return file;
}

TEST(ReadAll, ReadsUpToTheLimitAndNotAByteMore) {
    const std::string bytes(20'000, 'x');
    EXPECT_EQ(read_all(memory_file(bytes).get(), 20'000, "f")->view(), bytes);
    EXPECT_EQ(read_all(memory_file("").get(), 0, "f")->view(), "");
    const auto longer = read_all(memory_file(bytes).get(), 19'999, "f");
    ASSERT_FALSE(longer);
    EXPECT_EQ(longer.error().code, Errc::Invalid);
    EXPECT_EQ(longer.error().what, "f: is longer than 19999 bytes");
}

TEST(ReadAll, NamesTheFileThatCannotBeRead) {
    const UniqueFd directory(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    EXPECT_EQ(read_all(directory.get(), 10, "/").error().what, "read(/): Is a directory");
}

TEST(WriteAll, NamesTheFileThatCannotBeWritten) {
    const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
    const Result<> written = write_all(full.get(), "x", "f");
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().what, "write(f): No space left on device");
    EXPECT_EQ(written.error().os_errno, ENOSPC);
}

// A pipe takes and gives what there is room for, and the signals of another thread end the calls early.
TEST(FileBytes, GoOnAfterShortCallsAndSignals) {
    struct sigaction interrupt{};
    interrupt.sa_handler = [](int) {};  // without SA_RESTART
    ASSERT_EQ(::sigaction(SIGUSR1, &interrupt, nullptr), 0);
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd out(ends[0]);
    UniqueFd in(ends[1]);
    const std::string bytes(4'000'000, 'x');
    std::thread writer([&] {
        EXPECT_TRUE(write_all(in.get(), bytes, "pipe"));
        in.reset();
    });
    std::jthread disturber([&, reader = ::pthread_self()](const std::stop_token& stop) {
        while (!stop.stop_requested())
            ::pthread_kill(reader, SIGUSR1);
    });
    const Result<Secret> read = read_all(out.get(), bytes.size(), "pipe");
    disturber.request_stop();
    disturber.join();
    writer.join();
    ASSERT_TRUE(read) << read.error().what;
    EXPECT_EQ(read->size(), bytes.size());
}

}  // namespace
}  // namespace tokenlet
