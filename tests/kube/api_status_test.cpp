// SPDX-License-Identifier: Apache-2.0
#include "kube/api_status.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>

namespace tokenlet::kube {
namespace {

using namespace std::chrono_literals;

constexpr WallTime kNow{1'795'498'740s};  // 2026-11-24T05:39:00Z

std::string status(int code, std::string_view reason, std::string_view message, std::string_view details = "{}") {
    return R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":")" + std::string(message) +
           R"(","reason":")" + std::string(reason) + R"(","details":)" + std::string(details) + R"(,"code":)" +
           std::to_string(code) + "}";
}

ApiError refusal(int code, std::string_view body, std::string_view retry_after = "", std::string_view date = "") {
    return read_refusal({.what = "TokenRequest for shop/web",
                         .ns = "shop",
                         .http_status = code,
                         .body = body,
                         .retry_after = retry_after,
                         .date = date,
                         .now = kNow});
}

TEST(ReadRefusal, SaysWhatTheCallerCanDoNext) {
    struct Case {
        int http_status;
        Errc want;
    };
    const Case cases[] = {
        {301, Errc::Invalid},     {400, Errc::Invalid},     {401, Errc::Denied},      {403, Errc::Denied},
        {404, Errc::NotFound},    {405, Errc::Invalid},     {408, Errc::Unavailable}, {409, Errc::Conflict},
        {410, Errc::NotFound},    {413, Errc::Invalid},     {422, Errc::Invalid},     {429, Errc::Unavailable},
        {500, Errc::Unavailable}, {502, Errc::Unavailable}, {503, Errc::Unavailable}, {504, Errc::Unavailable}};
    for (const Case& c : cases) {
        const ApiError error = refusal(c.http_status, "");
        EXPECT_EQ(error.error.code, c.want) << c.http_status;
        EXPECT_EQ(error.is_retryable(), c.want == Errc::Unavailable) << c.http_status;
        EXPECT_EQ(error.http_status, c.http_status);
    }
}

TEST(ReadRefusal, RepeatsTheServersWords) {
    const ApiError error = refusal(404, status(404, "NotFound", R"(serviceaccounts \"web\" not found)"));
    EXPECT_EQ(error.error.what, R"(TokenRequest for shop/web: 404 NotFound: serviceaccounts "web" not found)");
    EXPECT_EQ(error.reason, "NotFound");
    EXPECT_EQ(error.message, R"(serviceaccounts "web" not found)");
}

TEST(ReadRefusal, KeepsTheFieldsThatAreWrong) {
    const ApiError error = refusal(
        422,
        status(
            422, "Invalid", "TokenRequest is invalid",
            R"({"causes":[{"reason":"FieldValueInvalid","message":"too short","field":"spec.expirationSeconds"}]})"));
    ASSERT_EQ(error.causes.size(), 1u);
    EXPECT_EQ(error.causes[0].field, "spec.expirationSeconds");
    EXPECT_EQ(error.causes[0].message, "too short");
}

TEST(ReadRefusal, SaysHowToMendAMissingRight) {
    const ApiError error = refusal(
        403,
        status(
            403, "Forbidden",
            R"(serviceaccounts \"web\" is forbidden: User \"ada\" cannot create resource \"serviceaccounts/token\" in API group \"\" in the namespace \"shop\")"));
    EXPECT_TRUE(error.error.what.ends_with("; allow User ada to create serviceaccounts/token 'web' in namespace shop"))
        << error.error.what;
    EXPECT_TRUE(error.advice.contains("kind: RoleBinding"));
}

TEST(ReadRefusal, TakesTheNamespaceOfAnAudienceFromTheRequest) {
    const ApiError error = refusal(
        403,
        status(
            403, "Forbidden",
            R"(serviceaccounts \"web\" is forbidden: audience \"vault\" not found in pod spec volume, system:node:e is not authorized to request tokens for this audience)"));
    EXPECT_TRUE(error.advice.contains("namespace: \"shop\"")) << error.advice;
}

TEST(ReadRefusal, NamesTheWebhookThatDenied) {
    const ApiError error =
        refusal(403, status(403, "Forbidden",
                            R"(admission webhook \"policy.example.org\" denied the request: no tokens on Tuesdays)"));
    EXPECT_EQ(error.error.what,
              "TokenRequest for shop/web: 403 Forbidden: the admission webhook \"policy.example.org\" denied it: no "
              "tokens on "
              "Tuesdays");
    EXPECT_EQ(error.advice, "");
}

TEST(ReadRefusal, SaysWhatHelps) {
    struct Case {
        std::string_view name;
        int http_status;
        std::string body;
        std::string_view want;
    };
    const Case cases[] = {
        {"a bad credential", 401, status(401, "Unauthorized", "Unauthorized"),
         "expired, revoked, or of another cluster"},
        {"no credential", 403,
         status(403, "Forbidden", R"(x is forbidden: User \"system:anonymous\" cannot get path \"/\")"),
         "the request carried no credential"},
        {"a node without a Pod", 403,
         status(403, "Forbidden", R"(serviceaccounts \"web\" is forbidden: node requested token not bound to a pod)"),
         "tokenlet enroll"},
        {"a node with two audiences", 403,
         status(403, "Forbidden", R"(serviceaccounts \"web\" is forbidden: node may only request 0 or 1 audiences)"),
         "one audience"},
        {"no such API", 404, status(404, "NotFound", "the server could not find the requested resource"),
         "does not serve that API"},
        {"a redirect", 302, "", "redirects are not followed"},
        {"a proxy's page", 502, "<html>Bad Gateway</html>", "no Kubernetes Status"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const ApiError error = refusal(c.http_status, c.body);
        EXPECT_TRUE(error.error.what.contains(c.want)) << error.error.what;
        EXPECT_EQ(error.advice, "");
    }
}

TEST(ReadRefusal, StaysOneLineWhateverTheServerSays) {
    const ApiError error = refusal(500, status(500, "InternalError", R"(a\n\u001b[31mb\t)" + std::string(5000, 'x')));
    EXPECT_LT(error.error.what.size(), 1200u);
    for (const char c : error.error.what)
        EXPECT_GE(static_cast<unsigned char>(c), ' ');
}

TEST(ReadRefusal, WaitsAsLongAsTheServerAsks) {
    const std::string body = status(429, "TooManyRequests", "slow down", R"({"retryAfterSeconds":7})");
    EXPECT_EQ(refusal(429, body).retry_after, 7s);
    EXPECT_EQ(refusal(429, body, "3").retry_after, 3s) << "the header is the later word";
    EXPECT_EQ(refusal(429, status(429, "TooManyRequests", "slow down")).retry_after, std::nullopt);
}

TEST(ReadRefusal, CountsADateFromTheServersOwnClock) {
    const ApiError error = refusal(503, "", "Tue, 24 Nov 2026 03:00:30 GMT", "Tue, 24 Nov 2026 03:00:00 GMT");
    EXPECT_EQ(error.retry_after, 30s);
    EXPECT_EQ(error.server_time, kNow - 2h - 39min);
}

TEST(ReadRefusal, KnowsAForgottenResourceVersion) {
    EXPECT_TRUE(refusal(410, status(410, "Expired", "too old resource version: 1 (2)")).is_expired());
    EXPECT_TRUE(read_status_object("watch of pods", status(410, "Expired", "too old resource version")).is_expired());
    EXPECT_FALSE(refusal(404, status(404, "NotFound", "gone")).is_expired());
}

TEST(ParseRetryAfter, ReadsSecondsAndDates) {
    struct Case {
        std::string_view text;
        std::optional<Duration> want;
    };
    const Case cases[] = {
        {"", std::nullopt},
        {"0", 0s},
        {"120", 120s},
        {"86401", 24h},
        {"99999999999999999999", 24h},
        {"-1", std::nullopt},
        {"1.5", std::nullopt},
        {" 1", std::nullopt},
        {"soon", std::nullopt},
        {"Tue, 24 Nov 2026 05:40:30 GMT", 90s},
        {"Tue, 24 Nov 2026 05:38:00 GMT", 0s},
        {"Tue, 24 Nov 2027 05:38:00 GMT", 24h},
    };
    for (const Case& c : cases)
        EXPECT_EQ(parse_retry_after(c.text, kNow), c.want) << c.text;
}

}  // namespace
}  // namespace tokenlet::kube
