// SPDX-License-Identifier: Apache-2.0
// An HTTP proxy on loopback that tunnels to a port of this machine, whatever it is asked for.
//
// Shapes   heads() are the requests that came: "CONNECT api:443 HTTP/1.1...".
// Owns     its threads; they are gone when the proxy is.     Threads  heads() from any.
// Errors   none: a proxy that cannot start ends the test.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace tokenlet::kube {

class TestProxy {
public:
    // Answers with this status; only 200 tunnels.
    TestProxy(int target_port, int status);
    TestProxy(const TestProxy&) = delete;
    TestProxy& operator=(const TestProxy&) = delete;
    ~TestProxy();

    [[nodiscard]] int port() const;
    [[nodiscard]] std::vector<std::string> heads() const;

private:
    class State;
    std::unique_ptr<State> state_;
};

}  // namespace tokenlet::kube
