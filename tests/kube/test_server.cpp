// SPDX-License-Identifier: Apache-2.0
#include "tests/kube/test_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <set>
#include <thread>

namespace tokenlet::kube {
namespace {

template <auto Read>
auto read_pem(const std::string& pem) {
    BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    auto* object = Read(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
    return object;
}

bool same_letters(char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
}

class Exchange : public TestExchange {
public:
    Exchange(SSL* ssl, int fd) : ssl_(ssl), fd_(fd) {}

    void send(std::string_view bytes) override {
        if (!bytes.empty() && SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) <= 0)
            is_over = true;
    }
    void cut() override {
        ::shutdown(fd_, SHUT_RDWR);
        is_over = true;
    }
    void wait() override {
        char byte = 0;
        while (SSL_read(ssl_, &byte, 1) > 0)
            continue;
        is_over = true;
    }

    // False: the client has gone.
    bool read_request() {
        while (!rest_.contains("\r\n\r\n"))
            if (!read_more())
                return false;
        const std::size_t end = rest_.find("\r\n\r\n") + 4;
        request.head = rest_.substr(0, end);
        const std::string length = request.header("Content-Length");
        const std::size_t size = length.empty() ? 0 : std::stoul(length);
        while (rest_.size() < end + size)
            if (!read_more())
                return false;
        request.body = rest_.substr(end, size);
        rest_.erase(0, end + size);
        return true;
    }

    bool is_over = false;

private:
    bool read_more() {
        char buffer[4096];
        const int size = SSL_read(ssl_, buffer, sizeof buffer);
        if (size > 0)
            rest_.append(buffer, static_cast<std::size_t>(size));
        return size > 0;
    }

    SSL* ssl_;
    int fd_;
    std::string rest_;
};

std::string client_name_of(SSL* ssl) {
    X509* certificate = SSL_get1_peer_certificate(ssl);
    if (certificate == nullptr)
        return "";
    char name[64] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
    X509_free(certificate);
    return name;
}

}  // namespace

std::string TestRequest::header(std::string_view name) const {
    for (std::size_t at = head.find("\r\n"); at != std::string::npos && at + 2 < head.size();
         at = head.find("\r\n", at + 2)) {
        const std::string_view line = std::string_view(head).substr(at + 2, head.find("\r\n", at + 2) - at - 2);
        if (line.size() > name.size() + 1 && line[name.size()] == ':' &&
            std::equal(name.begin(), name.end(), line.begin(), same_letters))
            return std::string(line.substr(name.size() + 2));
    }
    return "";
}

std::string http_answer(int status, std::string_view body, std::string_view headers) {
    return "HTTP/1.1 " + std::to_string(status) + " Whatever\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n" + std::string(headers) + "\r\n" + std::string(body);
}

class TestServer::State {
public:
    State(const TestPair& pair, Handler handler, const std::string& client_authority_pem)
        : handler_(std::move(handler)) {
        std::signal(SIGPIPE, SIG_IGN);
        X509* certificate = read_pem<PEM_read_bio_X509>(pair.certificate_pem);
        EVP_PKEY* key = read_pem<PEM_read_bio_PrivateKey>(pair.key_pem);
        SSL_CTX_use_certificate(context_, certificate);
        SSL_CTX_use_PrivateKey(context_, key);
        X509_free(certificate);
        EVP_PKEY_free(key);
        if (!client_authority_pem.empty()) {
            X509* authority = read_pem<PEM_read_bio_X509>(client_authority_pem);
            X509_STORE_add_cert(SSL_CTX_get_cert_store(context_), authority);
            X509_free(authority);
            SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
        }
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 64) != 0)
            std::abort();
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
        port_ = ntohs(address.sin_port);
        accepting_ = std::thread([this] { accept_all(); });
    }

    ~State() {
        {
            const std::lock_guard lock(mutex_);
            ending_ = true;
            for (const int fd : open_)
                ::shutdown(fd, SHUT_RDWR);
        }
        ::shutdown(listener_, SHUT_RDWR);
        accepting_.join();
        for (std::thread& thread : serving_)
            thread.join();
        ::close(listener_);
        SSL_CTX_free(context_);
    }

    [[nodiscard]] int port() const { return port_; }
    [[nodiscard]] int connections() const { return connections_; }
    [[nodiscard]] std::vector<TestRequest> requests() const {
        const std::lock_guard lock(mutex_);
        return requests_;
    }

private:
    void accept_all() {
        for (;;) {
            const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0)
                return;
            const int on = 1;
            ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            const std::lock_guard lock(mutex_);
            if (ending_) {
                ::close(fd);
                return;
            }
            ++connections_;
            open_.insert(fd);
            serving_.emplace_back([this, fd] { serve(fd); });
        }
    }

    void serve(int fd) {
        SSL* ssl = SSL_new(context_);
        SSL_set_fd(ssl, fd);
        if (SSL_accept(ssl) == 1) {
            Exchange exchange(ssl, fd);
            exchange.client_name = client_name_of(ssl);
            while (!exchange.is_over && exchange.read_request()) {
                {
                    const std::lock_guard lock(mutex_);
                    requests_.push_back(exchange.request);
                    exchange.number = static_cast<int>(requests_.size());
                }
                handler_(exchange);
            }
            SSL_shutdown(ssl);
        }
        SSL_free(ssl);
        const std::lock_guard lock(mutex_);
        open_.erase(fd);
        ::close(fd);
    }

    Handler handler_;
    SSL_CTX* context_ = SSL_CTX_new(TLS_server_method());
    int listener_ = -1;
    int port_ = 0;
    std::atomic<int> connections_{0};
    mutable std::mutex mutex_;
    bool ending_ = false;
    std::set<int> open_;
    std::vector<TestRequest> requests_;
    std::vector<std::thread> serving_;
    std::thread accepting_;
};

TestServer::TestServer(const TestPair& pair, Handler handler, const std::string& client_authority_pem)
    : state_(std::make_unique<State>(pair, std::move(handler), client_authority_pem)) {}

TestServer::~TestServer() = default;

int TestServer::port() const {
    return state_->port();
}

std::string TestServer::url(std::string_view host) const {
    return "https://" + std::string(host) + ":" + std::to_string(port());
}

int TestServer::connections() const {
    return state_->connections();
}

std::vector<TestRequest> TestServer::requests() const {
    return state_->requests();
}

}  // namespace tokenlet::kube
