// SPDX-License-Identifier: Apache-2.0
// A TLS server on loopback that does to its clients what a test tells it.
//
//     TestServer server(pair, [](TestExchange& exchange) { exchange.send(http_answer(200, "{}")); });
//
// Shapes   the function is called for each request, in the connection's own thread; afterwards the next request of that
//          connection is waited for, unless it was cut.
// Units    none.
// Owns     a thread for accepting and one for each connection; all are gone when the server is.
// Threads  the function runs on several; requests() and connections() may be asked from any.
// Errors   none: a server that cannot start ends the test.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "tests/kube/test_certificates.h"

namespace tokenlet::kube {

struct TestRequest {
    std::string head;  // request line and headers, as they came
    std::string body;

    [[nodiscard]] std::string header(std::string_view name) const;  // "" where there is none
};

class TestExchange {
public:
    virtual ~TestExchange() = default;
    virtual void send(std::string_view bytes) = 0;
    virtual void cut() = 0;   // ends the connection without a word
    virtual void wait() = 0;  // until the client ends it, or the server
    TestRequest request;
    int number = 0;             // of the request, over all connections, from 1
    std::string client_name{};  // CN of the client's certificate
};

// With Content-Length; `headers` each end in "\r\n".
[[nodiscard]] std::string http_answer(int status, std::string_view body, std::string_view headers = "");

class TestServer {
public:
    using Handler = std::function<void(TestExchange&)>;

    TestServer(const TestPair& pair, Handler handler, const std::string& client_authority_pem = "");
    TestServer(const TestServer&) = delete;
    TestServer& operator=(const TestServer&) = delete;
    ~TestServer();

    [[nodiscard]] int port() const;
    [[nodiscard]] std::string url(std::string_view host = "localhost") const;
    [[nodiscard]] int connections() const;
    [[nodiscard]] std::vector<TestRequest> requests() const;

private:
    class State;
    std::unique_ptr<State> state_;
};

}  // namespace tokenlet::kube
