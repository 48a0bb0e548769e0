// SPDX-License-Identifier: Apache-2.0
// Calls to one Kubernetes API server.
//
//     auto client = TRY(ApiClient::create(loop, std::move(access), {}));
//     call_ = client->request({.method = "POST", .path = api_path({"api", "v1", "namespaces", ns, "serviceaccounts", name, "token"}),
//                              .body = std::move(json), .what = "TokenRequest for " + ns + "/" + name},
//                             [this](ApiResult result) { ... });
//
// Shapes   done is called once, on the loop, never before request() has returned; on_data for each piece of a 2xx answer before
//          it, then done at its end with an empty body. Either may destroy the call, or the client.
//          While there are streams and nothing is heard, the server is asked for a sign of life every quiet_time: a
//          connection whose other end has gone would otherwise be noticed by none of them for long.
//          A 401 makes the client read its credentials again and ask once more, unseen by the caller. It repeats nothing else:
//          when to ask again is the caller's business (ApiError::is_retryable, retry_after).
//          Files (CA bundle, token, client certificate) may change under way: the next request goes by the new ones.
// Units    std::chrono, bytes.
// Owns     its calls, connections and credentials. Destroying drops what is pending. Must go before its loop.
// Threads  the loop's.
// Errors   create(): Invalid, NotFound or Denied for what is wrong with the access and will not heal by waiting, on one line.
//          request(): ApiError; a server that cannot be reached, proves to be another or hangs is Unavailable.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "kube/api_status.h"
#include "kube/credentials.h"
#include "kube/kubeconfig.h"

struct uv_loop_s;

namespace tokenlet::kube {

struct ApiRequest {
    std::string method = "GET";
    std::string path{};       // from api_path(): "/api/v1/namespaces/shop/serviceaccounts/web/token"
    std::string query{};      // from api_query(): "watch=true&resourceVersion=12"
    tokenlet::Secret body{};  // sent when there is one
    std::string content_type = "application/json";
    std::string accept = "application/json";
    std::string what{};                      // for messages: "TokenRequest for shop/web"; empty: method and path
    std::chrono::milliseconds time{30'000};  // for everything; 0: no limit, as a watch wants it
    std::chrono::milliseconds idle_time{0};  // without a byte; 0: no limit
    std::size_t answer_bytes = 16 * 1024 * 1024;
    std::move_only_function<void(std::string_view)> on_data{};  // set: streams
};

struct ApiAnswer {
    int http_status = 0;
    tokenlet::Secret body{};
    std::vector<std::string> warnings{};    // texts of Warning headers
    std::optional<WallTime> server_time{};  // Date header
};

using ApiResult = std::expected<ApiAnswer, ApiError>;

// A path of escaped segments, and a query of escaped values.
[[nodiscard]] std::string api_path(std::initializer_list<std::string_view> segments);
[[nodiscard]] std::string api_query(std::initializer_list<std::pair<std::string_view, std::string_view>> parameters);

struct ApiClientOptions {
    std::string user_agent = "tokenlet";
    std::chrono::milliseconds connect_time{10'000};
    std::chrono::milliseconds quiet_time{30'000};  // both as with Go's HTTP/2: ReadIdleTimeout and PingTimeout
    std::chrono::milliseconds sign_of_life_time{15'000};
    CredentialOptions credentials{};
};

// Since the client was made.
struct ApiClientFigures {
    std::uint64_t requests = 0;  // sent, second tries after a 401 included
    std::uint64_t unauthorized = 0;
    std::uint64_t throttled = 0;  // 429
    std::uint64_t failures = 0;   // no answer, or 5xx
    std::uint64_t connections = 0;
};

class ApiCall;

class ApiClient {
public:
    class State;
    class Flight;

    [[nodiscard]] static Result<std::unique_ptr<ApiClient>> create(uv_loop_s& loop, ClusterAccess access,
                                                                   ApiClientOptions options);
    ApiClient(const ApiClient&) = delete;
    ApiClient& operator=(const ApiClient&) = delete;
    ~ApiClient();

    [[nodiscard]] ApiCall request(ApiRequest request, std::move_only_function<void(ApiResult)> done);

    [[nodiscard]] const ClusterAccess& access() const;
    [[nodiscard]] ApiClientFigures figures() const;
    // What a person should be told once: TLS verification that the kubeconfig switched off.
    [[nodiscard]] std::vector<std::string> warnings() const;

private:
    explicit ApiClient(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

// A call under way. Going away cancels it, unless it was left to the client; it may outlive the client.
class ApiCall {
public:
    ApiCall() = default;
    ApiCall(ApiCall&& other) noexcept;
    ApiCall& operator=(ApiCall&& other) noexcept;
    ~ApiCall() { cancel(); }
    explicit operator bool() const noexcept { return flight_ != nullptr; }  // false once done is called
    void leave_to_client() noexcept;

private:
    friend class ApiClient;
    ApiCall(ApiClient::Flight* flight, ApiClient::State& owner) noexcept;
    void cancel() noexcept;

    ApiClient::Flight* flight_ = nullptr;  // which points back at us
    ApiClient::State* owner_ = nullptr;
};

}  // namespace tokenlet::kube
