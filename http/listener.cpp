// SPDX-License-Identifier: Apache-2.0
#include "http/listener.h"

#include <event2/event.h>
#include <event2/listener.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <thread>
#include <utility>

#include "base/unique_fd.h"
#include "http/connections.h"
#include "http/unix_socket.h"

namespace tokenlet::http {

namespace {

struct FreeBase {
    void operator()(event_base* base) const { ::event_base_free(base); }
};
struct FreeEvent {
    void operator()(event* e) const { ::event_free(e); }
};

// A thread inherits the mask it is born with: signals are for the caller's thread. This also keeps a client that hangs
// up while it is written to from ending the process with SIGPIPE.
class AllSignalsBlocked {
public:
    AllSignalsBlocked() {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    AllSignalsBlocked(const AllSignalsBlocked&) = delete;
    AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;
    ~AllSignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_{};
};

void discard_log(int, const char*) noexcept {}

}  // namespace

class Listener::Server final : private Inbox {
public:
    static Result<std::unique_ptr<Server>> start(const Endpoint& endpoint, const Limits& limits,
                                                 std::function<void()> wake);
    Server(BoundSocket socket, std::function<void()> wake) : socket_(std::move(socket)), wake_(std::move(wake)) {}
    ~Server() override;

    // On the caller's thread.
    Batch drain();
    void give(Command command);

private:
    // On the listener's thread.
    void add(Request request) override;
    void add_gone(RequestId id) override;
    void take_commands();

    BoundSocket socket_;
    std::function<void()> wake_;
    UniqueFd doorbell_;  // an eventfd: commands have come
    std::unique_ptr<event_base, FreeBase> base_;
    std::unique_ptr<event, FreeEvent> doorbell_event_;
    std::unique_ptr<Connections> connections_;

    std::mutex mutex_;  // guards what follows; held for a push or a swap, never across a call
    Batch batch_;
    bool woken_ = false;
    std::vector<Command> commands_;
    bool stopping_ = false;

    std::thread thread_;
};

Result<std::unique_ptr<Listener::Server>> Listener::Server::start(const Endpoint& endpoint, const Limits& limits,
                                                                  std::function<void()> wake) {
    BoundSocket socket = TRY(BoundSocket::listen(endpoint.socket));
    auto server = std::make_unique<Server>(std::move(socket), std::move(wake));
    server->doorbell_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!server->doorbell_)
        return fail_errno(errno, "eventfd", "listener");

    ::event_set_log_callback(discard_log);  // what matters of it comes back as an error or an answer
    server->base_.reset(::event_base_new());
    if (!server->base_)
        return fail(Errc::Io, "event_base_new failed: no descriptors left?");
    server->doorbell_event_.reset(::event_new(
        server->base_.get(), server->doorbell_.get(), EV_READ | EV_PERSIST,
        [](evutil_socket_t, short, void* self) noexcept { static_cast<Server*>(self)->take_commands(); },
        server.get()));
    if (!server->doorbell_event_ || ::event_add(server->doorbell_event_.get(), nullptr) < 0)
        return fail(Errc::Io, "event_add(eventfd) failed");
    server->connections_ = TRY(Connections::open(server->base_.get(), server->socket_.fd(), limits, *server));

    const AllSignalsBlocked blocked;
    server->thread_ = std::thread([base = server->base_.get()] { (void)::event_base_dispatch(base); });
    return server;
}

Listener::Server::~Server() {
    if (!thread_.joinable())
        return;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    ::eventfd_write(doorbell_.get(), 1);
    thread_.join();
}

Batch Listener::Server::drain() {
    const std::lock_guard lock(mutex_);
    woken_ = false;
    return std::exchange(batch_, {});
}

void Listener::Server::give(Command command) {
    const std::lock_guard lock(mutex_);
    commands_.push_back(std::move(command));
    if (commands_.size() == 1)
        ::eventfd_write(doorbell_.get(), 1);
}

void Listener::Server::add(Request request) {
    bool wake = false;
    {
        const std::lock_guard lock(mutex_);
        batch_.requests.push_back(std::move(request));
        wake = !std::exchange(woken_, true);
    }
    if (wake)
        wake_();
}

void Listener::Server::add_gone(RequestId id) {
    bool wake = false;
    {
        const std::lock_guard lock(mutex_);
        batch_.gone.push_back(id);
        wake = !std::exchange(woken_, true);
    }
    if (wake)
        wake_();
}

void Listener::Server::take_commands() {
    eventfd_t count = 0;
    (void)::eventfd_read(doorbell_.get(), &count);  // level-triggered: a missed one comes again
    std::vector<Command> commands;
    bool stopping = false;
    {
        const std::lock_guard lock(mutex_);
        commands.swap(commands_);
        stopping = stopping_;
    }
    for (Command& command : commands)
        connections_->carry_out(std::move(command));
    if (stopping) {
        connections_.reset();
        (void)::event_base_loopbreak(base_.get());
    }
}

Listener::Listener(std::unique_ptr<Server> server) : server_(std::move(server)) {}
Listener::~Listener() = default;

Result<std::unique_ptr<Listener>> Listener::start(Endpoint endpoint, Limits limits, std::function<void()> wake) {
    std::unique_ptr<Server> server = TRY(Server::start(endpoint, limits, std::move(wake)));
    return std::unique_ptr<Listener>(new Listener(std::move(server)));
}

Batch Listener::drain() {
    return server_->drain();
}

void Listener::respond(RequestId id, Response response) {
    server_->give({id, Command::Kind::Respond, std::move(response)});
}

void Listener::begin_stream(RequestId id, Response head) {
    server_->give({id, Command::Kind::BeginStream, std::move(head)});
}

void Listener::send(RequestId id, Secret chunk) {
    server_->give({id, Command::Kind::Send, {.headers = {}, .body = std::move(chunk)}});
}

void Listener::finish(RequestId id) {
    server_->give({id, Command::Kind::Finish, {}});
}

}  // namespace tokenlet::http
