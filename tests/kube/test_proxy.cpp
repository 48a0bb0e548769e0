// SPDX-License-Identifier: Apache-2.0
#include "tests/kube/test_proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "base/unique_fd.h"

namespace tokenlet::kube {
namespace {

sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return address;
}

// False: one side has gone.
bool pass_on(int from, int to) {
    char buffer[16 * 1024];
    const ssize_t size = ::read(from, buffer, sizeof buffer);
    return size > 0 && ::send(to, buffer, static_cast<std::size_t>(size), MSG_NOSIGNAL) == size;
}

std::string read_head(int fd) {
    std::string head;
    char byte = 0;
    while (!head.ends_with("\r\n\r\n") && ::read(fd, &byte, 1) == 1)
        head += byte;
    return head;
}

}  // namespace

class TestProxy::State {
public:
    State(int target_port, int status) : target_port_(target_port), status_(status) {
        sockaddr_in address = loopback(0);
        socklen_t size = sizeof address;
        listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
            ::listen(listener_.get(), 8) != 0 || ::pipe2(ending_, O_CLOEXEC) != 0)
            std::abort();
        ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
        port_ = ntohs(address.sin_port);
        accepting_ = std::thread([this] { accept_all(); });
    }
    ~State() {
        ::shutdown(listener_.get(), SHUT_RDWR);
        ::close(ending_[1]);
        accepting_.join();
        for (std::thread& thread : tunnels_)
            thread.join();
        ::close(ending_[0]);
    }

    [[nodiscard]] int port() const { return port_; }
    [[nodiscard]] std::vector<std::string> heads() const {
        const std::lock_guard lock(mutex_);
        return heads_;
    }

private:
    void accept_all() {
        for (;;) {
            UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!client)
                return;
            tunnels_.emplace_back([this, fd = client.release()] { tunnel(UniqueFd(fd)); });
        }
    }

    void tunnel(UniqueFd client) {
        {
            std::string head = read_head(client.get());
            const std::lock_guard lock(mutex_);
            heads_.push_back(std::move(head));
        }
        const std::string answer = "HTTP/1.1 " + std::to_string(status_) + " Whatever\r\nX-Proxy: yes\r\n\r\n";
        (void)::send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
        UniqueFd server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const sockaddr_in address = loopback(target_port_);
        if (status_ != 200 || ::connect(server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
            return;
        pollfd ends[] = {{client.get(), POLLIN, 0}, {server.get(), POLLIN, 0}, {ending_[0], POLLIN, 0}};
        while (::poll(ends, 3, -1) > 0 && ends[2].revents == 0) {
            if (ends[0].revents != 0 && !pass_on(client.get(), server.get()))
                return;
            if (ends[1].revents != 0 && !pass_on(server.get(), client.get()))
                return;
        }
    }

    int target_port_;
    int status_;
    int port_ = 0;
    int ending_[2] = {-1, -1};  // readable when the proxy ends
    UniqueFd listener_;
    mutable std::mutex mutex_;
    std::vector<std::string> heads_;
    std::vector<std::thread> tunnels_;
    std::thread accepting_;
};

TestProxy::TestProxy(int target_port, int status) : state_(std::make_unique<State>(target_port, status)) {}

TestProxy::~TestProxy() = default;

int TestProxy::port() const {
    return state_->port();
}

std::vector<std::string> TestProxy::heads() const {
    return state_->heads();
}

}  // namespace tokenlet::kube
