// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/loop.h"

#include <uv.h>

#include <cassert>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

namespace tokenlet::agent {

namespace {

std::unexpected<Error> fail_uv(int code, std::string_view call, std::string_view object) {
    return fail_errno(-code, call, object);  // on Linux libuv's codes are negated errnos
}

}  // namespace

// One libuv handle and what it calls. It outlives its Watch until libuv has let go of it; the function stays as long, since
// it may be the very one that let the Watch go.
class LoopHandle {
public:
    union {
        uv_handle_t any;
        uv_poll_t poll;
        uv_signal_t signal;
        uv_async_t async;
    };
    Task call;

    explicit LoopHandle(Task task) : any{}, call(std::move(task)) {}

    void run() noexcept {
        if (uv_is_closing(&any) == 0)
            call();
    }

    static LoopHandle& of(void* handle) noexcept {
        return *static_cast<LoopHandle*>(static_cast<uv_handle_t*>(handle)->data);
    }
};

void LoopHandleCloser::operator()(LoopHandle* handle) const noexcept {
    uv_close(&handle->any, [](uv_handle_t* closed) noexcept { delete &LoopHandle::of(closed); });
}

void Wake::send() noexcept {
    (void)uv_async_send(&handle_->async);  // fails only on a handle that is closing, which this one is not
}

class Loop::State {
public:
    uv_loop_t loop{};
    uv_idle_t idle{};
    std::deque<Task> posted;
    uv_timer_t limit{};
    std::size_t working = 0;
    bool ending = false;

    struct Job {
        uv_work_t request{};
        State* state = nullptr;
        std::move_only_function<Task()> job;
        Task result;
    };

    void run_posted() noexcept {
        if (ending)
            return posted.clear();
        const std::uint64_t until = uv_hrtime() + std::chrono::nanoseconds(kTurn).count();
        // What a task posts comes after everything that was there before, and no sooner than the next turn.
        std::size_t left = posted.size();
        while (left-- > 0 && uv_hrtime() < until) {
            Task task = std::move(posted.front());
            posted.pop_front();
            task();
        }
        if (posted.empty())
            uv_idle_stop(&idle);
    }
};

Loop::Loop(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Loop>> Loop::create() {
    auto state = std::make_unique<State>();
    if (const int code = uv_loop_init(&state->loop); code < 0)
        return fail_uv(code, "uv_loop_init", "event loop");
    (void)uv_idle_init(&state->loop, &state->idle);  // never fails
    (void)uv_timer_init(&state->loop, &state->limit);
    state->idle.data = state.get();
    return std::unique_ptr<Loop>(new Loop(std::move(state)));
}

Loop::~Loop() {
    state_->ending = true;
    state_->posted.clear();
    uv_close(reinterpret_cast<uv_handle_t*>(&state_->idle), nullptr);
    uv_close(reinterpret_cast<uv_handle_t*>(&state_->limit), nullptr);
    // Runs the callbacks that free closed handles, and waits for jobs in the pool: they hold pointers to us.
    (void)uv_run(&state_->loop, UV_RUN_DEFAULT);
    [[maybe_unused]] const int code = uv_loop_close(&state_->loop);
    assert(code == 0 && "a Watch outlived its Loop");
}

void Loop::run() {
    (void)uv_run(&state_->loop, UV_RUN_DEFAULT);  // tells only whether handles are left, which they are
}

void Loop::stop() noexcept {
    uv_stop(&state_->loop);
}

void Loop::post(Task task) {
    state_->posted.push_back(std::move(task));
    // An active idle handle also keeps the loop from waiting for descriptors.
    (void)uv_idle_start(&state_->idle, [](uv_idle_t* idle) noexcept { static_cast<State*>(idle->data)->run_posted(); });
}

void Loop::work(std::move_only_function<Task()> job) {
    auto* work = new State::Job{.request = {}, .state = state_.get(), .job = std::move(job), .result = {}};
    work->request.data = work;
    ++state_->working;
    // Fails only without a work function.
    (void)uv_queue_work(
        &state_->loop, &work->request,
        [](uv_work_t* request) noexcept {
            auto* pending = static_cast<State::Job*>(request->data);
            pending->result = pending->job();
        },
        [](uv_work_t* request, int) noexcept {
            const std::unique_ptr<State::Job> finished(static_cast<State::Job*>(request->data));
            --finished->state->working;
            finished->job = nullptr;  // what the job held goes before its result is acted on
            if (finished->result && !finished->state->ending)
                finished->result();
        });
}

bool Loop::finish_work(std::chrono::milliseconds time) noexcept {
    state_->ending = true;
    uv_timer_start(
        &state_->limit, [](uv_timer_t* limit) noexcept { uv_stop(limit->loop); },
        static_cast<std::uint64_t>(time.count()), 0);
    while (state_->working > 0 && uv_is_active(reinterpret_cast<uv_handle_t*>(&state_->limit)) != 0)
        (void)uv_run(&state_->loop, UV_RUN_ONCE);
    uv_timer_stop(&state_->limit);
    return state_->working == 0;
}

Result<Watch> Loop::watch_readable(int fd, Task on_readable) {
    auto handle = std::make_unique<LoopHandle>(std::move(on_readable));
    if (const int code = uv_poll_init(&state_->loop, &handle->poll, fd); code < 0)
        return fail_uv(code, "uv_poll_init", "descriptor " + std::to_string(fd));
    handle->any.data = handle.get();
    Watch watch;
    watch.handle_.reset(handle.release());
    const int code = uv_poll_start(&watch.handle_->poll, UV_READABLE, [](uv_poll_t* poll, int, int) noexcept {
        LoopHandle::of(poll).run();  // an error is told by the read that follows
    });
    if (code < 0)
        return fail_uv(code, "uv_poll_start", "descriptor " + std::to_string(fd));
    return watch;
}

Result<Watch> Loop::watch_signal(int signal, Task on_signal) {
    auto handle = std::make_unique<LoopHandle>(std::move(on_signal));
    if (const int code = uv_signal_init(&state_->loop, &handle->signal); code < 0)
        return fail_uv(code, "uv_signal_init", "signal " + std::to_string(signal));
    handle->any.data = handle.get();
    Watch watch;
    watch.handle_.reset(handle.release());
    const int code = uv_signal_start(
        &watch.handle_->signal, [](uv_signal_t* raised, int) noexcept { LoopHandle::of(raised).run(); }, signal);
    if (code < 0)
        return fail_uv(code, "uv_signal_start", "signal " + std::to_string(signal));
    return watch;
}

Result<Wake> Loop::wake(Task on_wake) {
    auto handle = std::make_unique<LoopHandle>(std::move(on_wake));
    const int code =
        uv_async_init(&state_->loop, &handle->async, [](uv_async_t* async) noexcept { LoopHandle::of(async).run(); });
    if (code < 0)
        return fail_uv(code, "uv_async_init", "wake-up");
    handle->any.data = handle.get();
    Wake wake;
    wake.handle_.reset(handle.release());
    return wake;
}

uv_loop_s& Loop::uv() noexcept {
    return state_->loop;
}

}  // namespace tokenlet::agent
