// SPDX-License-Identifier: Apache-2.0
// What an HTTP listener takes and gives.
//
// Shapes   values. A Request is whole: nothing is read from the connection after it. Header names compare without case.
// Owns     its bytes; bodies carry tokens both ways, so they are tokenlet::Secret and are wiped.
// Threads  any, one at a time.     Errors  none.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"

namespace tokenlet::http {

struct Header {
    std::string name;
    std::string value;
};

// Who is at the other end of a unix socket, as the kernel says (SO_PEERCRED): at the time of connect().
struct Peer {
    uid_t uid = 0;
    gid_t gid = 0;
    pid_t pid = 0;
};

// Names a request to the listener that it came from. Never used twice.
enum class RequestId : std::uint64_t {};

struct Request {
    RequestId id{};
    std::string method{};  // "GET"
    std::string target{};  // as sent, percent signs and all: "/v1/status?watch=1"
    std::vector<Header> headers{};
    Secret body{};
    std::optional<Peer> peer{};  // unix sockets only

    // The target up to the question mark, and what stands behind it.
    [[nodiscard]] std::string_view path() const;
    [[nodiscard]] std::string_view query() const;
    // The first header of that name.
    [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const;
};

// Content-Length is the listener's business.
struct Response {
    int status = 200;
    std::vector<Header> headers{};
    Secret body{};
};

// For names of fields and for values that are compared as names are.
[[nodiscard]] bool same_name(std::string_view a, std::string_view b);

[[nodiscard]] Response text_response(int status, std::string_view text);  // text/plain
[[nodiscard]] Response json_response(int status, std::string_view json);  // application/json

}  // namespace tokenlet::http
