// SPDX-License-Identifier: Apache-2.0
// HTTP requests on a libuv loop, by libcurl: many at once, over few connections.
//
//     HttpTransfers::Transfer pending = transfers->start(std::move(request), [](HttpResult result) { ... });
//
// Shapes   done is called once, on the loop, never before start() has returned; on_data for each piece of a 2xx answer
//          before it. A Transfer that goes takes both with it. Either may destroy anything, this object included.
//          HTTP/2 where the server speaks it, connections kept; no redirect is followed; TLS 1.2 or later.
// Units    std::chrono, bytes.
// Owns     the transfers, their connections. Must go before its loop.     Threads  the loop's.
// Errors   HttpFailure: whether there was nobody, the wrong one, or no answer in time. Never a header or a body.
// Source   libcurl multi_socket.
//
// A connection on which a request ran into its time limit is not used for another: HTTP/2 would otherwise queue every later
// request on a connection whose other end has gone. Where the request had no answer at all, streams end with it that have
// not been heard of since it began.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "kube/kubeconfig.h"

struct uv_loop_s;

namespace tokenlet::kube {

struct HttpHeader {
    std::string name;
    std::string value;
};

// How to reach and recognise a server. Shared by the requests under way; a change makes a new one.
struct HttpEndpoint {
    std::string server;           // "https://host:port/prefix"
    std::string tls_server_name;  // empty: the host's
    TlsVerification tls_verification = TlsVerification::On;
    tokenlet::Secret authority_pem;  // empty: what the system trusts
    tokenlet::Secret certificate_pem;
    tokenlet::Secret key_pem;
    tokenlet::Secret proxy_url;  // empty: as the environment says
    bool disable_compression = false;
};

struct HttpRequest {
    std::shared_ptr<const HttpEndpoint> endpoint{};
    std::string method = "GET";
    std::string target{};  // "/api/v1/pods?limit=1", escaped
    std::vector<HttpHeader> headers{};
    tokenlet::Secret bearer_token{};
    tokenlet::Secret body{};  // sent when there is one
    std::chrono::milliseconds connect_time{10'000};
    std::chrono::milliseconds time{30'000};       // for everything; 0: no limit
    std::chrono::milliseconds idle_time{0};       // without a byte; 0: no limit
    std::size_t answer_bytes = 16 * 1024 * 1024;  // of a body that is collected; one that is streamed has no limit
    std::move_only_function<void(std::string_view)> on_data{};  // set: a 2xx answer's body goes here
};

struct HttpAnswer {
    int status = 0;
    std::vector<HttpHeader> headers{};
    tokenlet::Secret body{};

    [[nodiscard]] std::string_view header(std::string_view name) const;  // the first of that name, or ""
    [[nodiscard]] std::vector<std::string_view> all(std::string_view name) const;
};

struct HttpFailure {
    enum class Kind {
        Connection,  // no such host, refused, cut, garbage in place of HTTP
        Trust,       // the server is not who it should be, or does not take our certificate
        Time,        // too late
        Size,        // the answer is too long
        Request,     // cannot be sent as it is
    };
    Kind kind = Kind::Connection;
    std::string what;  // "https://host:port: connection refused"
};

using HttpResult = std::expected<HttpAnswer, HttpFailure>;

class HttpTransfers {
public:
    class State;
    class Flight;

    [[nodiscard]] static Result<std::unique_ptr<HttpTransfers>> create(uv_loop_s& loop);
    HttpTransfers(const HttpTransfers&) = delete;
    HttpTransfers& operator=(const HttpTransfers&) = delete;
    ~HttpTransfers();

    // A request under way. Going away cancels it; it may outlive the HttpTransfers.
    class Transfer {
    public:
        Transfer() = default;
        Transfer(Transfer&& other) noexcept;
        Transfer& operator=(Transfer&& other) noexcept;
        ~Transfer() { cancel(); }
        explicit operator bool() const noexcept { return flight_ != nullptr; }  // false once done is called

    private:
        friend class HttpTransfers;
        friend class Flight;
        Transfer(Flight* flight, State& owner) noexcept;
        void cancel() noexcept;

        Flight* flight_ = nullptr;  // which points back at us
        State* owner_ = nullptr;
    };

    [[nodiscard]] Transfer start(HttpRequest request, std::move_only_function<void(HttpResult)> done);
    // Connections made so far: what keep-alive saves is visible here.
    [[nodiscard]] std::size_t connections_made() const;

private:
    explicit HttpTransfers(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace tokenlet::kube
