// SPDX-License-Identifier: Apache-2.0
#include "kube/api_status.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>

#include "kube/document.h"
#include "kube/rbac_advice.h"
#include "kube/time_text.h"

namespace tokenlet::kube {
namespace {

constexpr std::size_t kMostWords = 1024;
constexpr Duration kLongestWait = std::chrono::hours(24);

Errc code_of(int http_status) {
    switch (http_status) {
        case 401:
        case 403:
            return Errc::Denied;
        case 404:
        case 410:
            return Errc::NotFound;
        case 409:
            return Errc::Conflict;
        case 408:
        case 429:
            return Errc::Unavailable;
        default:
            return http_status >= 500 ? Errc::Unavailable : Errc::Invalid;
    }
}

// The server's words end up in logs and on terminals: one line, no control characters, not without end.
std::string printable(std::string_view text) {
    std::string line;
    for (const char c : text.substr(0, kMostWords))
        if (const auto byte = static_cast<unsigned char>(c); byte >= ' ' && byte != 0x7f)
            line += c;
        else if (!line.ends_with(' '))
            line += ' ';
    if (text.size() > kMostWords)
        line += "...";
    while (line.ends_with(' '))
        line.pop_back();
    return line;
}

std::string text_of(const Node& object, std::string_view key) {
    const Node* node = object.find(key);
    return node == nullptr || node->kind != Node::Kind::String ? "" : node->text;
}

std::optional<int> number_of(const Node& object, std::string_view key) {
    const Node* node = object.find(key);
    int value = 0;
    if (node == nullptr || node->kind != Node::Kind::Int)
        return std::nullopt;
    const auto [end, error] = std::from_chars(node->text.data(), node->text.data() + node->text.size(), value);
    return error == std::errc() ? std::optional(value) : std::nullopt;
}

// Whether it is a Status at all.
bool read_status(const Node& status, ApiError& error) {
    if (text_of(status, "kind") != "Status")
        return false;
    error.reason = printable(text_of(status, "reason"));
    error.message = printable(text_of(status, "message"));
    if (error.http_status == 0)
        error.http_status = number_of(status, "code").value_or(0);
    const Node* details = status.find("details");
    if (details == nullptr)
        return true;
    if (const auto seconds = number_of(*details, "retryAfterSeconds"); seconds && *seconds > 0)
        error.retry_after = std::min<Duration>(std::chrono::seconds(*seconds), kLongestWait);
    if (const Node* causes = details->find("causes"))
        for (const Node& cause : causes->children)
            error.causes.push_back({printable(text_of(cause, "field")), printable(text_of(cause, "message"))});
    return true;
}

// `admission webhook "policy.example.org" denied the request: reason` -> who, and the reason.
std::optional<std::pair<std::string, std::string>> denying_webhook(std::string_view message) {
    constexpr std::string_view kWebhook = "admission webhook \"";
    constexpr std::string_view kDenied = "\" denied the request";
    const std::size_t start = message.find(kWebhook);
    if (start == std::string_view::npos)
        return std::nullopt;
    const std::string_view name = message.substr(start + kWebhook.size());
    const std::size_t end = name.find(kDenied);
    if (end == std::string_view::npos)
        return std::nullopt;
    std::string_view reason = name.substr(end + kDenied.size());
    reason.remove_prefix(std::min(reason.find_first_not_of(": "), reason.size()));
    return std::pair(std::string(name.substr(0, end)), std::string(reason));
}

// What a person can do about a refusal that is not about a missing right.
std::string_view what_helps(const ApiError& error) {
    const std::string_view message = error.message;
    if (error.http_status == 401)
        return "the server knows nobody by this credential: it is expired, revoked, or of another cluster";
    if (error.http_status == 403 && message.contains("User \"system:anonymous\""))
        return "the request carried no credential that the server knows";
    if (error.http_status == 403 && message.contains("node requested token"))
        return "node credentials get tokens only for Pods that the API server has bound to that node; give the agent a "
               "ServiceAccount of its own (tokenlet enroll)";
    if (error.http_status == 403 && message.contains("node may only request 0 or 1 audiences"))
        return "give each token of the Pod one audience, or the agent a ServiceAccount of its own (tokenlet enroll)";
    if (error.http_status == 404 && message.contains("the server could not find the requested resource"))
        return "this server does not serve that API: is it a Kubernetes API server, and is its version right?";
    if (error.http_status >= 300 && error.http_status < 400)
        return "redirects are not followed: give the server's own address";
    return "";
}

void put_into_words(std::string_view what, std::string_view ns, bool is_status, ApiError& error) {
    std::string text(what);
    text += ": " + std::to_string(error.http_status);
    if (!error.reason.empty())
        text += " " + error.reason;
    if (const auto webhook = denying_webhook(error.message)) {
        text += ": the admission webhook \"" + webhook->first + "\" denied it";
        if (!webhook->second.empty())
            text += ": " + webhook->second;
    } else if (!is_status) {
        text += ": the answer is no Kubernetes Status; something in between may have made it";
    } else if (!error.message.empty()) {
        text += ": " + error.message;
    }
    if (error.http_status == 403) {
        if (const auto right = read_missing_right(error.message, ns)) {
            text += "; " + in_words(*right, subject_of(right->user));
            error.advice = rbac_for(*right);
        }
    }
    if (const std::string_view hint = what_helps(error); !hint.empty())
        text.append("; ").append(hint);
    error.error = Error{code_of(error.http_status), std::move(text)};
}

}  // namespace

ApiError read_refusal(const Refusal& refusal) {
    ApiError error{.error = {}, .http_status = refusal.http_status};
    error.server_time = parse_http_date(refusal.date);
    bool is_status = false;
    if (auto root = parse_json(refusal.body))
        is_status = read_status(*root, error);
    if (const auto asked = parse_retry_after(refusal.retry_after, error.server_time.value_or(refusal.now)))
        error.retry_after = asked;
    put_into_words(refusal.what, refusal.ns, is_status, error);
    return error;
}

ApiError read_status_object(std::string_view what, std::string_view status_json) {
    return read_refusal(
        {.what = what, .ns = {}, .http_status = 0, .body = status_json, .retry_after = {}, .date = {}, .now = {}});
}

std::optional<Duration> parse_retry_after(std::string_view text, WallTime now) {
    if (text.empty())
        return std::nullopt;
    if (const auto date = parse_http_date(text))
        return std::clamp(*date - now, Duration::zero(), kLongestWait);
    if (!std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; }))
        return std::nullopt;
    std::uint32_t seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error == std::errc::result_out_of_range)
        return kLongestWait;
    return std::min<Duration>(std::chrono::seconds(seconds), kLongestWait);
}

}  // namespace tokenlet::kube
