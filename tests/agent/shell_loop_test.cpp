// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/loop.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <semaphore>
#include <string>
#include <thread>

#include "base/unique_fd.h"

namespace tokenlet::agent {
namespace {

struct Pipe {
    Pipe() {
        std::array<int, 2> ends{};
        if (::pipe(ends.data()) == 0) {
            read.reset(ends[0]);
            write.reset(ends[1]);
        }
    }
    void fill() const { EXPECT_EQ(::write(write.get(), "x", 1), 1); }
    UniqueFd read;
    UniqueFd write;
};

TEST(Loop, RunsPostedTasksInOrderAndWhatTheyPostOnALaterTurn) {
    auto loop = *Loop::create();
    std::string order;
    loop->post([&] {
        order += 'a';
        loop->post([&] {
            order += 'c';
            loop->stop();
        });
    });
    loop->post([&] { order += 'b'; });
    loop->run();
    EXPECT_EQ(order, "abc");
}

TEST(Loop, LooksAtItsDescriptorsWhileTasksKeepComing) {
    auto loop = *Loop::create();
    const Pipe pipe;
    pipe.fill();
    const auto watch = loop->watch_readable(pipe.read.get(), [&] { loop->stop(); });
    ASSERT_TRUE(watch);
    std::function<void()> again = [&] { loop->post([&] { again(); }); };
    again();
    loop->run();  // ends only if the descriptor gets its turn
}

TEST(Loop, LetsAWatchGoInsideItsOwnCall) {
    auto loop = *Loop::create();
    const Pipe pipe;
    pipe.fill();
    std::string held = "still here";
    int calls = 0;
    Watch watch;
    watch = *loop->watch_readable(pipe.read.get(), [&, held] {
        ++calls;
        watch = Watch();
        EXPECT_EQ(held, "still here") << "the function that runs must outlive its watch";
        loop->post([&] { loop->post([&] { loop->stop(); }); });
    });
    loop->run();
    EXPECT_EQ(calls, 1) << "the pipe is still readable, but nobody watches it";
}

TEST(Loop, BringsTheResultOfAJobBackToItsThread) {
    auto loop = *Loop::create();
    const auto here = std::this_thread::get_id();
    loop->work([&]() -> Task {
        EXPECT_NE(std::this_thread::get_id(), here);
        return [&] {
            EXPECT_EQ(std::this_thread::get_id(), here);
            loop->stop();
        };
    });
    loop->run();
}

TEST(Loop, IsWokenFromAnotherThread) {
    auto loop = *Loop::create();
    Wake wake = *loop->wake([&] { loop->stop(); });
    std::jthread other([&] { wake.send(); });
    loop->run();
}

TEST(Loop, HearsSignals) {
    auto loop = *Loop::create();
    const Watch watch = *loop->watch_signal(SIGUSR1, [&] { loop->stop(); });
    loop->post([] { ::raise(SIGUSR1); });
    loop->run();
}

TEST(Loop, SaysWhenAJobDoesNotEndInTime) {
    auto loop = *Loop::create();
    std::binary_semaphore go{0};
    bool told = false;
    loop->work([&]() -> Task {
        go.acquire();
        return [&] { told = true; };
    });
    EXPECT_FALSE(loop->finish_work(std::chrono::milliseconds(1)));
    go.release();
    EXPECT_TRUE(loop->finish_work(std::chrono::seconds(10)));
    EXPECT_FALSE(told) << "nobody waits for answers once the loop is ending";
}

}  // namespace
}  // namespace tokenlet::agent
