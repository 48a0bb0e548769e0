// SPDX-License-Identifier: Apache-2.0
// The event loop, as owners and plain functions.
//
//     auto loop = TRY(Loop::create());
//     Watch input = TRY(loop->watch_readable(fd, [&] { read_it(); }));
//     loop->run();                                     // until stop()
//
// Shapes   a Watch ends when it goes: its function is not called again, not even when it dies inside its own call. post()
//          runs tasks on a later turn in the order given; tasks of one turn stop after kTurn, so that sockets and signals
//          get their turn too. work() runs a job on the thread pool and the Task it returns back here: value in, value out.
// Units    none.
// Owns     the libuv loop and handles. Every Watch must go before its Loop. Watched descriptors stay their owner's, and
//          must outlive the Watch.
// Threads  one, the loop's; only Wake::send() may be called from any.
// Errors   from libuv, with the call. Functions given to the loop must not throw.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "base/result.h"

struct uv_loop_s;

namespace tokenlet::agent {

using Task = std::move_only_function<void()>;

// The most work that is done before the loop looks at its descriptors again.
inline constexpr std::chrono::milliseconds kTurn{5};

class LoopHandle;

struct LoopHandleCloser {
    void operator()(LoopHandle* handle) const noexcept;
};

class Watch {
public:
    Watch() = default;
    explicit operator bool() const noexcept { return handle_ != nullptr; }

protected:
    friend class Loop;
    std::unique_ptr<LoopHandle, LoopHandleCloser> handle_;
};

// Several send() before the function has run are one call.
class Wake : public Watch {
public:
    void send() noexcept;
};

class Loop {
public:
    [[nodiscard]] static Result<std::unique_ptr<Loop>> create();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;
    ~Loop();

    void run();
    void stop() noexcept;

    void post(Task task);
    void work(std::move_only_function<Task()> job);
    // Waits for the jobs under way and drops what they return. False: they were not done in time, and destroying the loop
    // would wait for them.
    [[nodiscard]] bool finish_work(std::chrono::milliseconds time) noexcept;

    [[nodiscard]] Result<Watch> watch_readable(int fd, Task on_readable);
    [[nodiscard]] Result<Watch> watch_signal(int signal, Task on_signal);
    [[nodiscard]] Result<Wake> wake(Task on_wake);

    // For the API client, which brings handles of its own; they must go before the Loop.
    [[nodiscard]] uv_loop_s& uv() noexcept;

private:
    class State;
    explicit Loop(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace tokenlet::agent
