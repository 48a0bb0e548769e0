// SPDX-License-Identifier: Apache-2.0
// One HTTP request over a unix socket, waited for.
//
// Shapes   fetch(socket, request) -> the answer, whatever its status. For the command line; the agent never blocks.
// Units    milliseconds for the whole exchange; bytes for the answer's body.
// Owns     nothing that outlives the call.     Threads  any.
// Errors   NotFound: no such socket, or nobody listens on it. Denied: it may not be opened. Unavailable: no whole
// answer in
//          time. Invalid: an answer that is too long or not HTTP.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "base/result.h"
#include "http/message.h"

namespace tokenlet::http {

struct ClientRequest {
    std::string method = "GET";
    std::string target = "/";
    Secret body{};  // sent as application/json when there is one
    std::chrono::milliseconds time{10'000};
    std::size_t body_bytes = 64 * 1024 * 1024;
};

[[nodiscard]] Result<Response> fetch(const std::string& socket, const ClientRequest& request);

}  // namespace tokenlet::http
