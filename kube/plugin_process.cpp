// SPDX-License-Identifier: Apache-2.0
#include "kube/plugin_process.h"

#include <signal.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "kube/exec_credential.h"
#include "kube/loop_timer.h"
#include "kube/time_text.h"

namespace tokenlet::kube {
namespace {

// More than is ever shown: a trace of a crash tells its reason at its end.
constexpr std::size_t kKeptWords = 8 * 1024;

std::vector<std::string> environment_with(const std::vector<std::pair<std::string, std::string>>& added) {
    std::vector<std::string> all;
    for (char** variable = environ; *variable != nullptr; ++variable) {
        const std::string_view text(*variable);
        const std::string_view name = text.substr(0, text.find('='));
        if (std::ranges::none_of(added, [&](const auto& pair) { return pair.first == name; }))
            all.emplace_back(text);
    }
    for (const auto& [name, value] : added)
        all.push_back(name + "=" + value);
    return all;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (std::string& text : texts)
        pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

}  // namespace

class PluginProcess::Child {
public:
    Child(uv_loop_s& loop, PluginCommand command, std::move_only_function<void(Result<Secret>)> done)
        : loop_(loop), command_(std::move(command)), done_(std::move(done)) {
        timer_.emplace(loop, [this] { on_alarm(); });
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    void spawn() {
        for (Pipe* pipe : {&output_, &words_}) {
            pipe->child = this;
            (void)uv_pipe_init(&loop_, &pipe->handle, 0);  // never fails
            pipe->handle.data = pipe;
            ++open_handles_;
        }
        process_.data = this;
        std::vector<std::string> args{command_.program};
        args.insert(args.end(), command_.args.begin(), command_.args.end());
        std::vector<std::string> env = environment_with(command_.env);
        std::vector<char*> arg_pointers = pointers_to(args);
        std::vector<char*> env_pointers = pointers_to(env);
        std::array<uv_stdio_container_t, 3> stdio{};
        stdio[0].flags = UV_IGNORE;
        const Pipe* pipes[] = {&output_, &words_};
        for (std::size_t i = 0; i < 2; ++i) {
            stdio[i + 1].flags = static_cast<uv_stdio_flags>(UV_CREATE_PIPE | UV_WRITABLE_PIPE);
            stdio[i + 1].data.stream = pipes[i]->stream();
        }
        uv_process_options_t options{};
        options.exit_cb = on_exit;
        options.file = command_.program.c_str();
        options.args = arg_pointers.data();
        options.env = env_pointers.data();
        options.stdio_count = static_cast<int>(stdio.size());
        options.stdio = stdio.data();
        // A session of its own, so that what it started can be killed with it.
        options.flags = UV_PROCESS_DETACHED;
        ++open_handles_;
        const int code = uv_spawn(&loop_, &process_, &options);
        for (std::string& variable : env)
            wipe_memory(variable.data(), variable.size());
        if (code < 0) {
            problem_ = "cannot be run: " + errno_text(-code);
            has_exited_ = true;
            close(reinterpret_cast<uv_handle_t*>(&process_));
            close(output_);
            close(words_);
            return timer_->start(std::chrono::milliseconds(0));
        }
        for (Pipe* pipe : {&output_, &words_})
            (void)uv_read_start(pipe->stream(), give_buffer, on_read);  // fails only on a closing handle
        timer_->start(command_.time);
    }

    // Nobody waits for it any more.
    void abandon() {
        done_ = nullptr;
        timer_.reset();
        kill_all();
        close(output_);
        close(words_);
        is_abandoned_ = true;
        end_if_over();
    }

private:
    struct Pipe {
        uv_pipe_t handle{};
        Child* child = nullptr;
        Secret bytes;
        bool is_open = true;
        [[nodiscard]] uv_stream_t* stream() const {
            return reinterpret_cast<uv_stream_t*>(const_cast<uv_pipe_t*>(&handle));
        }
    };

    void kill_all() {
        if (!has_exited_)
            (void)::kill(-process_.pid, SIGKILL);  // fails only when it is gone
    }

    void on_alarm() {
        if (problem_.empty()) {
            problem_ = "was not done within " + in_words(command_.time) + ", and was killed";
            // It may have ended and left a child behind that holds the pipes; that one is not ours to kill, since the
            // number of the session may be somebody else's by now.
            kill_all();
            close(output_);
            close(words_);
        }
        tell_if_ready();
    }

    static void give_buffer(uv_handle_t* handle, std::size_t, uv_buf_t* buffer) noexcept {
        auto& child = *static_cast<Pipe*>(handle->data)->child;
        *buffer = uv_buf_init(child.buffer_.data(), static_cast<unsigned>(child.buffer_.size()));
    }

    static void on_read(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) noexcept {
        auto& pipe = *static_cast<Pipe*>(stream->data);
        Child& child = *pipe.child;
        if (size > 0) {
            pipe.bytes.append({buffer->base, static_cast<std::size_t>(size)});
            wipe_memory(buffer->base, static_cast<std::size_t>(size));
            child.keep_within_limits(pipe);
        } else if (size < 0) {
            child.close(pipe);  // its end, or as good as that
        }
        child.tell_if_ready();
    }

    void keep_within_limits(Pipe& pipe) {
        if (&pipe == &words_ && pipe.bytes.size() > 2 * kKeptWords)
            pipe.bytes = Secret(pipe.bytes.view().substr(pipe.bytes.size() - kKeptWords));
        if (&pipe != &output_ || pipe.bytes.size() <= command_.output_bytes)
            return;
        problem_ = "printed more than " + std::to_string(command_.output_bytes) + " bytes, and was killed";
        kill_all();
        close(output_);
        close(words_);
    }

    static void on_exit(uv_process_t* process, std::int64_t status, int signal) noexcept {
        auto& child = *static_cast<Child*>(process->data);
        child.has_exited_ = true;
        if (child.problem_.empty() && signal != 0)
            child.problem_ = "was ended by signal " + std::to_string(signal);
        else if (child.problem_.empty() && status != 0)
            child.problem_ = "ended with status " + std::to_string(status);
        child.close(reinterpret_cast<uv_handle_t*>(process));
        child.tell_if_ready();
    }

    // The last thing that a callback does with this object: done may end it.
    void tell_if_ready() {
        if (!done_ || !has_exited_ || output_.is_open || words_.is_open)
            return end_if_over();
        auto done = std::exchange(done_, nullptr);
        timer_.reset();
        if (problem_.empty())
            return done(std::move(output_.bytes));
        std::string text = command_.program + " " + problem_;
        if (const std::string words = last_words(words_.bytes.view(), command_.words_bytes); !words.empty())
            text += "; it said: " + words;
        done(fail(Errc::Unavailable, std::move(text)));
    }

    void close(Pipe& pipe) {
        if (std::exchange(pipe.is_open, false))
            uv_close(reinterpret_cast<uv_handle_t*>(&pipe.handle),
                     [](uv_handle_t* closed) noexcept { static_cast<Pipe*>(closed->data)->child->on_closed(); });
    }
    void close(uv_handle_t* process) {
        uv_close(process, [](uv_handle_t* closed) noexcept { static_cast<Child*>(closed->data)->on_closed(); });
    }
    void on_closed() {
        --open_handles_;
        end_if_over();
    }
    void end_if_over() {
        if (is_abandoned_ && open_handles_ == 0)
            delete this;
    }

    uv_loop_s& loop_;
    PluginCommand command_;
    std::move_only_function<void(Result<Secret>)> done_;
    std::optional<LoopTimer> timer_;
    uv_process_t process_{};
    Pipe output_;
    Pipe words_;
    std::array<char, 16 * 1024> buffer_{};
    std::string problem_;
    bool has_exited_ = false;
    bool is_abandoned_ = false;
    int open_handles_ = 0;
};

std::unique_ptr<PluginProcess> PluginProcess::start(uv_loop_s& loop, PluginCommand command,
                                                    std::move_only_function<void(Result<Secret>)> done) {
    auto* child = new Child(loop, std::move(command), std::move(done));
    std::unique_ptr<PluginProcess> process(new PluginProcess(child));
    child->spawn();
    return process;
}

PluginProcess::~PluginProcess() {
    child_->abandon();
}

}  // namespace tokenlet::kube
