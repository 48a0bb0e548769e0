// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/own_objects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace tokenlet::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const IssuerPod kPod{{"shop", "web"}, "u-1", "web-account", true};

std::string object(const std::string& name, const std::string& node, const std::string& pod_uid,
                   const std::string& uid) {
    return R"({"metadata":{"namespace":"shop","name":")" + name + R"(","uid":")" + uid +
           R"(","labels":{"app.kubernetes.io/managed-by":"tokenlet"},"annotations":{"tokenlet.dev/node":")" + node +
           R"(","tokenlet.dev/pod-uid":")" + pod_uid + "\"}}}";
}

// A server that answers at once, from what a test has put in.
struct OwnObjectsTest : ::testing::Test {
    std::vector<std::string> calls;   // "GET /path"
    std::vector<std::string> bodies;  // of those that have one
    std::map<std::string, std::vector<kube::ApiResult>> answers;
    std::optional<OwnObjects> own;
    std::vector<OwnObjects::Made> made;

    void start(OwnObjects::Kind kind) {
        own.emplace(
            [this](kube::ApiRequest request, std::move_only_function<void(kube::ApiResult)> done) {
                const std::string call = request.method + " " + request.path;
                calls.push_back(call);
                if (!request.body.empty())
                    bodies.emplace_back(request.body.view());
                auto& of_call = answers[call];
                if (of_call.empty())
                    return done(refused(404, Errc::NotFound));
                kube::ApiResult answer = std::move(of_call.front());
                of_call.erase(of_call.begin());
                done(std::move(answer));
            },
            kind, "edge");
    }
    static kube::ApiResult refused(int status, Errc code) {
        return std::unexpected(kube::ApiError{.error = {code, "refused"}, .http_status = status});
    }
    static kube::ApiResult answer(const std::string& json) {
        return kube::ApiAnswer{.http_status = 200, .body = Secret(json)};
    }
    void ensure(const IssuerPod& pod = kPod) {
        own->ensure(pod, [this](OwnObjects::Made result) { made.push_back(std::move(result)); });
    }
    Result<> remove(OwnObjects::Gone gone) {
        Result<> result = fail(Errc::Internal, "not told");
        own->remove(std::move(gone), [&](Result<> told) { result = std::move(told); });
        return result;
    }
};

TEST_F(OwnObjectsTest, AreMadeOnceForEachPod) {
    start(OwnObjects::Kind::Secret);
    answers["POST /api/v1/namespaces/shop/secrets"].push_back(answer(object("tokenlet-u-1", "edge", "u-1", "s-1")));
    ensure();
    ensure();
    EXPECT_EQ(calls.size(), 1U);
    ASSERT_EQ(made.size(), 2U);
    EXPECT_EQ(*made[1], (kube::BoundObjectRef{"Secret", "tokenlet-u-1", "s-1"}));
    EXPECT_THAT(bodies[0], HasSubstr(R"("app.kubernetes.io/managed-by":"tokenlet")"));
    own->forget("u-1");
    ensure();
    EXPECT_EQ(calls.size(), 2U) << "somebody has deleted it";
}

TEST_F(OwnObjectsTest, OfAnEarlierRunAreTakenOver) {
    start(OwnObjects::Kind::GatedPod);
    answers["POST /api/v1/namespaces/shop/pods"].push_back(refused(409, Errc::Conflict));
    answers["GET /api/v1/namespaces/shop/pods/web"].push_back(answer(object("web", "edge", "u-1", "p-1")));
    ensure();
    ASSERT_EQ(made.size(), 1U);
    EXPECT_EQ(*made[0], (kube::BoundObjectRef{"Pod", "web", "p-1"}));
    EXPECT_THAT(bodies[0], HasSubstr(R"("serviceAccountName":"web-account")"));
    EXPECT_THAT(bodies[0], HasSubstr("schedulingGates"));
}

TEST_F(OwnObjectsTest, OfAPodThatHadTheNameBeforeMakeRoom) {
    start(OwnObjects::Kind::GatedPod);
    auto& posts = answers["POST /api/v1/namespaces/shop/pods"];
    posts.push_back(refused(409, Errc::Conflict));
    posts.push_back(answer(object("web", "edge", "u-1", "p-2")));
    answers["GET /api/v1/namespaces/shop/pods/web"].push_back(answer(object("web", "edge", "u-0", "p-1")));
    answers["DELETE /api/v1/namespaces/shop/pods/web"].push_back(answer("{}"));
    ensure();
    ASSERT_EQ(made.size(), 1U);
    EXPECT_EQ(made[0]->uid, "p-2");
    EXPECT_THAT(bodies.at(1), HasSubstr(R"("preconditions":{"uid":"p-1"})")) << "that very one, and no other";
}

TEST_F(OwnObjectsTest, OfStrangersAreLeftAlone) {
    struct Case {
        std::string_view name;
        std::string existing;
    };
    const Case cases[] = {
        {"a workload's", R"({"metadata":{"name":"web","uid":"p-1"}})"},
        {"another host's", object("web", "other", "u-1", "p-1")},
        {"without our label",
         R"({"metadata":{"name":"web","annotations":{"tokenlet.dev/node":"edge","tokenlet.dev/pod-uid":"u-1"}}})"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        calls.clear();
        made.clear();
        start(OwnObjects::Kind::GatedPod);
        answers["POST /api/v1/namespaces/shop/pods"].push_back(refused(409, Errc::Conflict));
        answers["GET /api/v1/namespaces/shop/pods/web"].push_back(answer(c.existing));
        ensure();
        ASSERT_EQ(made.size(), 1U);
        ASSERT_FALSE(made[0]);
        EXPECT_THAT(made[0].error().error.what, HasSubstr("exists and is not ours"));
        answers["GET /api/v1/namespaces/shop/pods/web"].push_back(answer(c.existing));
        EXPECT_TRUE(remove({.pods = {{{"shop", "web"}, "u-1"}}, .all = {}}));
        answers["GET /api/v1/pods"].push_back(answer(R"({"items":[)" + c.existing + "]}"));
        EXPECT_TRUE(remove({.pods = {}, .all = std::vector<IssuerPod>{}}));
        for (const std::string& call : calls)
            EXPECT_FALSE(call.starts_with("DELETE")) << call;
    }
}

TEST_F(OwnObjectsTest, GoWithTheirPods) {
    start(OwnObjects::Kind::Secret);
    const std::string path = "/api/v1/namespaces/shop/secrets/tokenlet-u-1";
    answers["GET " + path].push_back(answer(object("tokenlet-u-1", "edge", "u-1", "s-1")));
    answers["DELETE " + path].push_back(answer("{}"));
    EXPECT_TRUE(remove({.pods = {{{"shop", "web"}, "u-1"}}, .all = {}}));
    EXPECT_EQ(calls.back(), "DELETE " + path);
    EXPECT_TRUE(remove({.pods = {{{"shop", "web"}, "u-1"}}, .all = {}})) << "gone already";

    answers["GET " + path].push_back(refused(503, Errc::Unavailable));
    EXPECT_FALSE(remove({.pods = {{{"shop", "web"}, "u-1"}}, .all = {}})) << "has to be tried again";
}

TEST_F(OwnObjectsTest, OfPodsThatNobodyKnowsAreFoundByLabelWhereWeMayLook) {
    start(OwnObjects::Kind::Secret);
    const std::string items = R"({"items":[)" + object("tokenlet-u-1", "edge", "u-1", "s-1") + "," +
                              object("tokenlet-u-9", "edge", "u-9", "s-9") + "]}";
    const std::string gone = "DELETE /api/v1/namespaces/shop/secrets/tokenlet-u-9";
    answers[gone].push_back(answer("{}"));
    answers["GET /api/v1/secrets"].push_back(answer(items));
    EXPECT_TRUE(remove({.pods = {}, .all = std::vector{kPod}}));
    EXPECT_THAT(calls, ElementsAre("GET /api/v1/secrets", gone));

    calls.clear();
    answers[gone].push_back(answer("{}"));
    answers["GET /api/v1/secrets"].push_back(refused(403, Errc::Denied));
    answers["GET /api/v1/namespaces/shop/secrets"].push_back(answer(items));
    EXPECT_TRUE(remove({.pods = {}, .all = std::vector{kPod}}));
    EXPECT_THAT(calls, ElementsAre("GET /api/v1/secrets", "GET /api/v1/namespaces/shop/secrets", gone));

    calls.clear();
    answers["GET /api/v1/secrets"].push_back(refused(0, Errc::Unavailable));
    EXPECT_FALSE(remove({.pods = {}, .all = std::vector{kPod}}));
}

}  // namespace
}  // namespace tokenlet::agent
