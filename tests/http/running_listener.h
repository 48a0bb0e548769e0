// SPDX-License-Identifier: Apache-2.0
// A listener with a thread that answers, and a raw client.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/unique_fd.h"
#include "http/listener.h"

namespace tokenlet::http {

// Runs `handle(listener, batch)` on a thread of its own after each wake-up, as an event loop would.
class RunningListener {
public:
    using Handle = std::function<void(Listener&, Batch)>;

    RunningListener(const std::string& socket, const Limits& limits, Handle handle)
        : bell_(::eventfd(0, EFD_CLOEXEC)), handle_(std::move(handle)) {
        auto started = Listener::start({.socket = socket}, limits, [this] { ::eventfd_write(bell_.get(), 1); });
        if (!started)
            return;
        listener_ = std::move(*started);
        thread_ = std::thread([this] { run(); });
    }
    RunningListener(const RunningListener&) = delete;
    RunningListener& operator=(const RunningListener&) = delete;
    ~RunningListener() {
        stop_ = true;
        ::eventfd_write(bell_.get(), 1);
        if (thread_.joinable())
            thread_.join();
    }

    [[nodiscard]] bool started() const { return listener_ != nullptr; }

    // Answers each request with method, target and the length of its body.
    static void echo(Listener& listener, Batch batch) {
        for (const Request& request : batch.requests)
            listener.respond(request.id, text_response(200, request.method + " " + request.target + " " +
                                                                std::to_string(request.body.size())));
    }

private:
    void run() {
        eventfd_t count = 0;
        while (!stop_) {
            if (::eventfd_read(bell_.get(), &count) == 0)
                handle_(*listener_, listener_->drain());
            else if (errno != EINTR)  // a fuzzer's clock is a signal
                return;
        }
    }

    UniqueFd bell_;
    Handle handle_;
    std::atomic<bool> stop_ = false;
    std::unique_ptr<Listener> listener_;
    std::thread thread_;
};

// A client that sends what it is told to, right or wrong.
class RawClient {
public:
    explicit RawClient(const std::string& socket) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, socket.c_str(), socket.size() + 1);
        if (::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
            fd_.reset();
    }

    [[nodiscard]] bool connected() const { return static_cast<bool>(fd_); }

    // False when the other end no longer takes it.
    bool send(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0)
                return false;
            bytes.remove_prefix(static_cast<std::size_t>(n));
        }
        return true;
    }

    // What comes until `enough` has been seen, the other end closes, or ten seconds have passed.
    std::string read_until(std::string_view enough) {
        std::string got;
        while (enough.empty() || got.find(enough) == std::string::npos) {
            pollfd poll{.fd = fd_.get(), .events = POLLIN, .revents = 0};
            const int ready = ::poll(&poll, 1, 10'000);
            if (ready < 0 && errno == EINTR)
                continue;
            if (ready <= 0)
                return got + "<timeout>";
            char buffer[65536];
            const ssize_t n = ::read(fd_.get(), buffer, sizeof buffer);
            if (n <= 0)
                return got + "<end>";
            got.append(buffer, static_cast<std::size_t>(n));
        }
        return got;
    }
    std::string read_all() { return read_until({}); }

    // False when the other end has not closed within twenty seconds. Nothing is read.
    [[nodiscard]] bool wait_for_hangup() {
        pollfd poll{.fd = fd_.get(), .events = 0, .revents = 0};
        return ::poll(&poll, 1, 20'000) == 1;
    }

    void shut_down_writing() { ::shutdown(fd_.get(), SHUT_WR); }
    void close() { fd_.reset(); }

private:
    UniqueFd fd_;
};

}  // namespace tokenlet::http
