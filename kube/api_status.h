// SPDX-License-Identifier: Apache-2.0
// What an answer of the API server means for whoever asked.
//
// Shapes   read_refusal(HTTP answer) -> ApiError: whether to ask again and when, the server's own words, and what a person
//          can do. Pure. An ApiError without a status means that there was no answer.
// Units    base/time.h.     Owns  its text.     Threads  any.     Errors  are what this is about.
// Source   kubernetes apimachinery pkg/apis/meta/v1/types.go, Status; RFC 9110 section 10.2.3.
//
// 408, 429 and every 5xx are worth another try; 401 is for the client, which reads its credentials again; all else is final.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace tokenlet::kube {

// One field that a 422 complains of.
struct StatusCause {
    std::string field;
    std::string message;
};

struct ApiError {
    // For a person, on one line: what was asked, what the server said, what helps. Codes: Unavailable = ask again;
    // Denied (401, 403), NotFound (404, 410), Conflict (409), Invalid (400, 405, 413, 422) = not before something changed.
    Error error;
    int http_status = 0;    // 0: there was no answer
    std::string reason{};   // the Status' own word: "AlreadyExists", "Expired", "Forbidden"
    std::string message{};  // the server's words alone
    std::vector<StatusCause> causes{};
    std::optional<Duration> retry_after{};
    std::optional<WallTime> server_time{};
    std::string advice{};  // YAML that ends a 403 when applied, or empty

    [[nodiscard]] bool is_retryable() const { return error.code == Errc::Unavailable; }
    // The server has forgotten that resourceVersion: list again.
    [[nodiscard]] bool is_expired() const { return http_status == 410 || reason == "Expired" || reason == "Gone"; }
};

struct Refusal {
    std::string_view what;  // "TokenRequest for shop/web": what was asked, for messages
    std::string_view ns;    // of the request; empty: none
    int http_status = 0;
    std::string_view body;         // a Status in JSON, or whatever a proxy in between made up
    std::string_view retry_after;  // headers as they came, empty when there were none
    std::string_view date;
    WallTime now;
};

[[nodiscard]] ApiError read_refusal(const Refusal& refusal);

// A Status inside a watch: {"type":"ERROR","object":{...}}.
[[nodiscard]] ApiError read_status_object(std::string_view what, std::string_view status_json);

// "120", or a date, which counts from `now`; nullopt for anything else. Never negative, never more than a day.
[[nodiscard]] std::optional<Duration> parse_retry_after(std::string_view text, WallTime now);

}  // namespace tokenlet::kube
