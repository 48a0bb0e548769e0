// SPDX-License-Identifier: Apache-2.0
#include "kube/jwt.h"

#include "base/base64.h"

namespace tokenlet::kube {
namespace {

using namespace std::chrono_literals;

constexpr WallTime kNow{1'790'000'000s};

// As kube-apiserver 1.36 makes them.
constexpr std::string_view kHeader = R"({"alg":"ES256","kid":"k-1"})";
constexpr std::string_view kClaims =
    R"({"aud":["vault"],"exp":1790003600,"iat":1790000000,"iss":"https://tokens.example.org","jti":"j-1",)"
    R"("kubernetes.io":{"namespace":"production","node":{"name":"edge-7","uid":"n-1"},"pod":{"name":"web","uid":"p-1"},)"
    R"("serviceaccount":{"name":"frontend","uid":"s-1"},"warnafter":1790003607},"nbf":1790000000,)"
    R"("sub":"system:serviceaccount:production:frontend"})";

std::string token_of(std::string_view header, std::string_view claims) {
    return encode_base64url(header) + "." + encode_base64url(claims) + "." + encode_base64url("signature");
}

TokenRequest request() {
    return {.ns = "production",
            .service_account = "frontend",
            .audiences = {"vault"},
            .expiration_seconds = 3600,
            .bound_object_ref = BoundObjectRef{"Pod", "web", "p-1"}};
}

TEST(ReadJwt, TellsWhatATokenClaims) {
    const auto jwt = read_jwt(token_of(kHeader, kClaims));
    ASSERT_TRUE(jwt) << jwt.error().what;
    EXPECT_EQ(jwt->alg, "ES256");
    EXPECT_EQ(jwt->kid, "k-1");
    EXPECT_EQ(jwt->issuer, "https://tokens.example.org");
    EXPECT_EQ(jwt->subject, "system:serviceaccount:production:frontend");
    EXPECT_EQ(jwt->audiences, std::vector<std::string>{"vault"});
    EXPECT_EQ(jwt->issued_at, kNow);
    EXPECT_EQ(jwt->not_before, kNow);
    EXPECT_EQ(jwt->expires_at, kNow + 3600s);
    EXPECT_EQ(jwt->warn_after, kNow + 3607s);
    EXPECT_EQ(jwt->id, "j-1");
    EXPECT_EQ(jwt->ns, "production");
    EXPECT_EQ(jwt->service_account->uid, "s-1");
    EXPECT_EQ(jwt->pod->name, "web");
    EXPECT_EQ(jwt->pod->uid, "p-1");
    EXPECT_EQ(jwt->node->name, "edge-7");
    EXPECT_FALSE(jwt->secret);
    EXPECT_EQ(jwt->header_json, "{\n  \"alg\": \"ES256\",\n  \"kid\": \"k-1\"\n}");
    EXPECT_TRUE(jwt->claims_json.starts_with("{\n  \"aud\": [\n    \"vault\"\n  ],\n  \"exp\": 1790003600,"));
}

TEST(ReadJwt, LeavesOutTheTextWhereNobodyWillLookAtIt) {
    const auto jwt = read_jwt(token_of(kHeader, kClaims), JwtText::LeftOut);
    ASSERT_TRUE(jwt) << jwt.error().what;
    EXPECT_EQ(jwt->id, "j-1");
    EXPECT_EQ(jwt->header_json + jwt->claims_json, "");
}

TEST(ReadJwt, UnderstandsALegacyToken) {
    const auto jwt = read_jwt(token_of(
        kHeader,
        R"({"iss":"kubernetes/serviceaccount","kubernetes.io/serviceaccount/namespace":"shop",)"
        R"("kubernetes.io/serviceaccount/secret.name":"web-token","kubernetes.io/serviceaccount/service-account.name":"web",)"
        R"("kubernetes.io/serviceaccount/service-account.uid":"s-2","sub":"system:serviceaccount:shop:web"})"));
    ASSERT_TRUE(jwt) << jwt.error().what;
    EXPECT_EQ(jwt->ns, "shop");
    EXPECT_EQ(jwt->service_account->name, "web");
    EXPECT_EQ(jwt->service_account->uid, "s-2");
    EXPECT_EQ(jwt->secret->name, "web-token");
    EXPECT_FALSE(jwt->expires_at);
}

TEST(ReadJwt, TakesTheVariantsThatOthersMake) {
    const auto jwt = read_jwt(
        token_of(R"({"typ":"JWT","alg":"RS256"})", R"({"aud":"one","exp":1790003600.5,"x":"\u001b[31m\u007f"})"));
    ASSERT_TRUE(jwt) << jwt.error().what;
    EXPECT_EQ(jwt->audiences, std::vector<std::string>{"one"});
    EXPECT_EQ(jwt->expires_at, kNow + 3600s);
    EXPECT_EQ(jwt->claims_json.find_first_of("\x1b\x7f"), std::string::npos)
        << "escape codes must not reach a terminal";
    EXPECT_EQ(read_jwt(token_of(kHeader, R"({"exp":99999999999999999999})"))->expires_at, WallTime(9'000'000'000s));
}

TEST(ReadJwt, RefusesWhatIsNoneWithoutQuotingIt) {
    struct Case {
        std::string_view name;
        std::string token;
        std::string_view want;
    };
    const Case cases[] = {
        {"nothing", "", "three parts"},
        {"one part", "geheim", "three parts"},
        {"two parts", "geheim.geheim", "three parts"},
        {"four parts", token_of(kHeader, kClaims) + ".geheim", "more than three parts"},
        {"an empty signature", encode_base64url(kHeader) + "." + encode_base64url(kClaims) + ".", "three parts"},
        {"padding", "e30=." + encode_base64url(kClaims) + ".AA", "header: not base64url"},
        {"a line feed behind it", token_of(kHeader, kClaims) + "\n", "signature: not base64url"},
        {"no JSON", token_of("geheim", kClaims), "header: line 1: JSON: "},
        {"JSON, but a list", token_of(kHeader, "[1]"), "claims: not a JSON object"},
        {"a claim twice", token_of(kHeader, R"({"aud":"a","aud":"b"})"),
         "claims: line 1: the key 'aud' is there already"},
        {"exp as a string", token_of(kHeader, R"({"exp":"geheim"})"),
         "claim exp: expected a number of seconds, found a string"},
        {"a negative exp", token_of(kHeader, R"({"exp":-1})"), "claim exp: expected a number of seconds"},
        {"aud of numbers", token_of(kHeader, R"({"aud":[1]})"), "claim aud: expected a string, found an integer"},
        {"kubernetes.io as a string", token_of(kHeader, R"({"kubernetes.io":"geheim"})"),
         "claim kubernetes.io: expected a mapping"},
        {"deeply nested", token_of(kHeader, "{\"a\":" + std::string(20'000, '[')), "nested deeper"},
        {"huge", std::string(10u << 20, 'a'), "more than 65536 bytes"},
        {"dots", std::string(60'000, '.'), "more than three parts"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const auto jwt = read_jwt(c.token);
        ASSERT_FALSE(jwt);
        EXPECT_EQ(jwt.error().code, Errc::Invalid);
        EXPECT_NE(jwt.error().what.find(c.want), std::string::npos) << jwt.error().what;
        EXPECT_EQ(jwt.error().what.find("geheim"), std::string::npos) << jwt.error().what;
    }
}

TEST(CheckToken, PassesTheTokenThatWasAskedFor) {
    const auto jwt = *read_jwt(token_of(kHeader, kClaims));
    const auto check = [&](auto change) {
        TokenRequest asked = request();
        change(asked);
        return check_token(jwt, asked, kNow);
    };
    EXPECT_TRUE(check([](TokenRequest&) {}));
    EXPECT_TRUE(check([](TokenRequest& r) { r.audiences = {}; })) << "the issuer's own audiences";
    EXPECT_TRUE(check([](TokenRequest& r) { r.bound_object_ref.reset(); }));
    EXPECT_TRUE(check([](TokenRequest& r) { r.bound_object_ref = BoundObjectRef{"Node", "edge-7", "n-1"}; }));
    EXPECT_TRUE(check([](TokenRequest& r) { r.bound_object_ref->uid = ""; }));
}

TEST(CheckToken, RefusesAnyOther) {
    const auto jwt = *read_jwt(token_of(kHeader, kClaims));
    struct Case {
        std::string_view name;
        void (*change)(TokenRequest&);
        WallTime now;
        std::string_view want;
    };
    const Case cases[] = {
        {"another account", [](TokenRequest& r) { r.service_account = "back"; }, kNow,
         "the token's sub is \"system:serviceaccount:production:frontend\", not "
         "\"system:serviceaccount:production:back\""},
        {"another namespace", [](TokenRequest& r) { r.ns = "test"; }, kNow, "the token's sub is"},
        {"another audience", [](TokenRequest& r) { r.audiences = {"sts"}; }, kNow,
         "the token's aud does not hold \"sts\""},
        {"one audience too few", [](TokenRequest& r) { r.audiences = {"vault", "sts"}; }, kNow,
         "does not hold \"sts\""},
        {"expired", [](TokenRequest&) {}, kNow + 3600s,
         "the token expired at 2026-09-21T15:13:20Z, it is 2026-09-21T15:13:20Z"},
        {"another Pod's uid", [](TokenRequest& r) { r.bound_object_ref->uid = "p-2"; }, kNow,
         "the token is bound to the Pod with uid \"p-1\", not \"p-2\""},
        {"another Pod's name", [](TokenRequest& r) { r.bound_object_ref->name = "web2"; }, kNow,
         "the token is bound to the Pod \"web\", not \"web2\""},
        {"not bound to a Secret", [](TokenRequest& r) { r.bound_object_ref->kind = "Secret"; }, kNow,
         "the token is not bound to a Secret"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        TokenRequest asked = request();
        c.change(asked);
        const auto checked = check_token(jwt, asked, c.now);
        ASSERT_FALSE(checked);
        EXPECT_NE(checked.error().what.find(c.want), std::string::npos) << checked.error().what;
    }
    EXPECT_FALSE(check_token(*read_jwt(token_of(kHeader, R"({"sub":"system:serviceaccount:production:frontend"})")),
                             request(), kNow))
        << "no aud";
    EXPECT_FALSE(check_token(
        *read_jwt(token_of(kHeader, R"({"aud":["vault"],"sub":"system:serviceaccount:production:frontend"})")),
        request(), kNow))
        << "no exp";
}

}  // namespace
}  // namespace tokenlet::kube
