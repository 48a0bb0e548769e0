// SPDX-License-Identifier: Apache-2.0
// Certificate authorities and certificates for tests, made on the spot.
//
// Shapes   TestAuthority issues pairs of certificate and key, all in PEM.
// Units    days from now.
// Owns     its key.     Threads  one.     Errors  none: OpenSSL makes what it is asked for, or the test ends.
#pragma once

#include <memory>
#include <string>

namespace tokenlet::kube {

struct TestPair {
    std::string certificate_pem;
    std::string key_pem;
};

struct TestSubject {
    std::string name;               // CN
    std::string alternative_names;  // "DNS:localhost,IP:127.0.0.1"
    int from_day = -1;
    int to_day = 1;
};

class TestAuthority {
public:
    explicit TestAuthority(const std::string& name);
    ~TestAuthority();

    [[nodiscard]] const std::string& pem() const { return own_.certificate_pem; }
    [[nodiscard]] TestPair issue(const TestSubject& subject) const;

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
    TestPair own_;
};

}  // namespace tokenlet::kube
