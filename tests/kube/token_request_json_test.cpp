// SPDX-License-Identifier: Apache-2.0
#include "kube/token_request_json.h"

namespace tokenlet::kube {
namespace {

TEST(TokenRequestJson, HoldsWhatIsAskedForAndNothingElse) {
    struct Case {
        std::string_view name;
        TokenRequest request;
        std::string_view want;
    };
    const Case cases[] = {
        {"no audience of its own, bound to nothing",
         {.ns = "shop", .service_account = "web", .audiences = {}, .expiration_seconds = 3607, .bound_object_ref = {}},
         R"({"expirationSeconds":3607})"},
        {"two audiences, one with what JSON must escape, bound to a Pod",
         {.ns = "shop",
          .service_account = "web",
          .audiences = {"vault", "a\"b"},
          .expiration_seconds = 600,
          .bound_object_ref = BoundObjectRef{"Pod", "web-0", "u-1"}},
         R"({"audiences":["vault","a\"b"],"expirationSeconds":600,)"
         R"("boundObjectRef":{"apiVersion":"v1","kind":"Pod","name":"web-0","uid":"u-1"}})"},
        {"bound to whichever Secret has the name",
         {.ns = "shop",
          .service_account = "web",
          .audiences = {""},
          .expiration_seconds = 600,
          .bound_object_ref = BoundObjectRef{"Secret", "tokenlet-edge", ""}},
         R"({"audiences":[""],"expirationSeconds":600,"boundObjectRef":{"apiVersion":"v1","kind":"Secret",)"
         R"("name":"tokenlet-edge"}})"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_EQ(
            token_request_json(c.request),
            R"({"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":)" + std::string(c.want) + "}");
    }
}

TEST(TokenRequestPath, EscapesNamesThatAPathWouldTakeApart) {
    EXPECT_EQ(token_request_path({.ns = "shop", .service_account = "we/b", .audiences = {}, .bound_object_ref = {}}),
              "/api/v1/namespaces/shop/serviceaccounts/we%2Fb/token");
}

constexpr std::string_view kAnswer =
    R"({"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","metadata":{"name":"web","namespace":"shop",)"
    R"("uid":"sa-1","creationTimestamp":"2026-11-24T10:00:00Z","managedFields":[{"fieldsV1":{"status":{"token":{}}}}]},)"
    R"("spec":{"audiences":["\"}token"],"expirationSeconds":3600,"boundObjectRef":null},)"
    R"("status":{"token":"aa.bb.cc","expirationTimestamp":"2026-11-24T11:00:00Z"}})";

TEST(IssuedToken, IsReadFromTheAnswer) {
    const auto issued = read_issued_token(kAnswer);
    ASSERT_TRUE(issued) << issued.error().what;
    EXPECT_EQ(issued->token.view(), "aa.bb.cc");
    EXPECT_EQ(rfc3339(issued->expiration_timestamp), "2026-11-24T11:00:00Z");
    EXPECT_EQ(issued->expiration_seconds, 3600);
    EXPECT_EQ(issued->service_account_uid, "sa-1");
}

std::string replaced(std::string_view what, std::string_view by) {
    std::string answer(kAnswer);
    answer.replace(answer.find(what), what.size(), by);
    return answer;
}

TEST(IssuedToken, IsRefusedInAnAnswerThatIsNoneWithoutAWordOfTheToken) {
    struct Case {
        std::string_view name;
        std::string answer;
        std::string_view want;
    };
    const Case cases[] = {
        {"a proxy's page", "<html>sign in</html>", "it holds no token"},
        {"nothing", "", "it holds no token"},
        {"an empty token", replaced("aa.bb.cc", ""), "it holds no token"},
        {"cut in the token", std::string(kAnswer.substr(0, kAnswer.find("bb.cc"))), "it holds no token"},
        {"cut after the token", std::string(kAnswer.substr(0, kAnswer.find("bb.cc") + 6)), "JSON"},
        {"a token elsewhere", replaced(R"("status":{"token":"aa)", R"("state":{"token":"aa)"), "it holds no token"},
        {"a token with an escape", replaced("aa.bb.cc", R"(aa\n.bb.cc)"), "its token is no JWT"},
        {"another kind", replaced("TokenRequest", "TokenReview"), "it is no TokenRequest"},
        {"no expiry", replaced("expirationTimestamp", "expiration"), "when the token expires"},
        {"a lifetime of nothing", replaced("3600", "0"), "for how long"},
        {"a lifetime in words", replaced("3600", "\"1h\""), "for how long"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const auto issued = read_issued_token(c.answer);
        ASSERT_FALSE(issued);
        EXPECT_EQ(issued.error().code, Errc::Unavailable);
        EXPECT_NE(issued.error().what.find(c.want), std::string::npos) << issued.error().what;
        EXPECT_EQ(issued.error().what.find("bb.cc"), std::string::npos) << issued.error().what;
    }
}

}  // namespace
}  // namespace tokenlet::kube
