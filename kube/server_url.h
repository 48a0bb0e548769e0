// SPDX-License-Identifier: Apache-2.0
// The URL of a server or of a proxy, in its parts.
//
// Shapes   read_server_url("https://10.0.0.1:6443/prefix/") -> parts. Nothing but scheme, host, port and path: a user, a
//          query or a fragment has no place in where to connect to.
// Units    none.     Owns  its text.     Threads  any.
// Errors   Invalid: what is wrong and what would be right, without the URL.
// Source   RFC 3986 section 3.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tokenlet::kube {

struct ServerUrl {
    std::string scheme;      // in lower case
    std::string host;        // an IPv6 address has its brackets
    std::uint16_t port = 0;  // the scheme's when the URL names none
    std::string prefix;      // "/prefix" without a slash at its end, or ""

    [[nodiscard]] bool is_loopback() const;
    [[nodiscard]] std::string origin() const;  // "https://10.0.0.1:6443"
};

// An API server: https, or http to this very machine, where nobody can listen on the way.
[[nodiscard]] Result<ServerUrl> read_server_url(std::string_view text);

// A proxy: http, https or socks5; it may name a user and password, which must not be shown.
[[nodiscard]] Result<> check_proxy_url(std::string_view text);

}  // namespace tokenlet::kube
