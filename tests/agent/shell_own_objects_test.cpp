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

// Of a host that is called edge.
std::string object(const std::string& name, const std::string& host, const std::string& pod_uid, const std::string& uid,
                   const std::string& more_metadata = "", const std::string& account = "web-account") {
    return R"({"metadata":{"namespace":"shop","name":")" + name + R"(","uid":")" + uid +
           R"(","labels":{"app.kubernetes.io/managed-by":"tokenlet","tokenlet.dev/host":")" + host +
           R"("},"annotations":{"tokenlet.dev/node":"edge","tokenlet.dev/pod-uid":")" + pod_uid + "\"}" +
           more_metadata + R"(},"spec":{"serviceAccountName":")" + account + "\"}}";
}

// A server that answers at once, from what a test has put in.
struct OwnObjectsTest : ::testing::Test {
    std::vector<std::string> calls;   // "GET /path"
    std::vector<std::string> bodies;  // of those that have one
    std::map<std::string, std::vector<kube::ApiResult>> answers;
    std::optional<OwnObjects> own;
    std::vector<OwnObjects::Made> made;
    std::string delayed;  // calls of this method wait in held_back
    std::move_only_function<void(kube::ApiResult)> held_back;
    Now now{BootTime(std::chrono::seconds(1000)), WallTime(std::chrono::seconds(1'800'000'000))};
    std::set<std::string> remembered;  // in the state directory
    std::vector<std::string> reports;
    std::vector<std::string> advice;

    void start(OwnObjects::Kind kind, std::vector<IssuerPod> pods = {kPod}) {
        own.emplace(
            [this](kube::ApiRequest request, BootTime, std::move_only_function<void(kube::ApiResult)> done) {
                const std::string call = request.method + " " + request.path;
                calls.push_back(call);
                if (!request.body.empty())
                    bodies.emplace_back(request.body.view());
                if (request.method == delayed) {
                    held_back = std::move(done);
                    return;
                }
                auto& of_call = answers[call];
                if (of_call.empty())
                    return done(refused(404, Errc::NotFound));
                kube::ApiResult answer = std::move(of_call.front());
                of_call.erase(of_call.begin());
                done(std::move(answer));
            },
            OwnObjects::Settings{.kind = kind,
                                 .node_name = "edge",
                                 .host_id = "ours",
                                 .namespaces = remembered,
                                 .remember = [this](const std::set<std::string>& all) { remembered = all; },
                                 .clock = [this] { return now; },
                                 .random = [] { return ~std::uint64_t{0}; },
                                 .report = [this](const Report& report) { reports.push_back(report.event); },
                                 .on_refusal = [this](const kube::ApiError& error) { advice.push_back(error.advice); },
                                 .look = [] {}});
        own->follow({.gone = {}, .present = std::move(pods)});
    }
    static kube::ApiResult refused(int status, Errc code) {
        return std::unexpected(kube::ApiError{.error = {code, "refused"}, .http_status = status});
    }
    static kube::ApiResult answer(const std::string& json) {
        return kube::ApiAnswer{.http_status = 200, .body = Secret(json)};
    }
    void ensure(const IssuerPod& pod = kPod) {
        own->ensure(pod, now.boot, [this](OwnObjects::Made result) { made.push_back(std::move(result)); });
    }
    void leave(const IssuerPod& pod = kPod) { own->follow({.gone = {{pod.pod, pod.uid}}, .present = {}}); }
    // A start, with these Pods.
    void know_all(std::vector<IssuerPod> pods) {
        own->follow({.gone = {}, .present = std::move(pods), .extent = OwnObjects::Extent::Everything});
    }
    // What is tried again once its time has come.
    void try_again() {
        calls.clear();
        const std::optional<BootTime> next = own->maintain(now);
        ASSERT_TRUE(next);
        EXPECT_THAT(calls, IsEmpty()) << "not before";
        now.boot = *next;
        (void)own->maintain(now);
    }
    void let_the_post_end() {
        auto& posts = answers["POST /api/v1/namespaces/shop/secrets"];
        ASSERT_FALSE(posts.empty());
        held_back(std::move(posts.front()));
    }
    [[nodiscard]] bool is_done() { return !own->maintain(now); }
};

TEST_F(OwnObjectsTest, AreMadeOnceForEachPod) {
    start(OwnObjects::Kind::Secret);
    answers["POST /api/v1/namespaces/shop/secrets"].push_back(answer(object("tokenlet-u-1", "ours", "u-1", "s-1")));
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
    answers["GET /api/v1/namespaces/shop/pods/web"].push_back(answer(object("web", "ours", "u-1", "p-1")));
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
    posts.push_back(answer(object("web", "ours", "u-1", "p-2")));
    answers["GET /api/v1/namespaces/shop/pods/web"].push_back(answer(object("web", "ours", "u-0", "p-1")));
    answers["DELETE /api/v1/namespaces/shop/pods/web"].push_back(answer("{}"));
    ensure();
    ASSERT_EQ(made.size(), 1U);
    EXPECT_EQ(made[0]->uid, "p-2");
    EXPECT_THAT(bodies.at(1), HasSubstr(R"("preconditions":{"uid":"p-1"})")) << "that very one, and no other";
}

TEST_F(OwnObjectsTest, OfAPodThatRunsAsAnotherAccountNowAreMadeAnew) {
    start(OwnObjects::Kind::GatedPod);
    auto& posts = answers["POST /api/v1/namespaces/shop/pods"];
    posts.push_back(refused(409, Errc::Conflict));
    posts.push_back(answer(object("web", "ours", "u-1", "p-2")));
    answers["GET /api/v1/namespaces/shop/pods/web"].push_back(
        answer(object("web", "ours", "u-1", "p-1", "", "account-before")));
    delayed = "DELETE";
    ensure();
    ensure();
    EXPECT_THAT(made, IsEmpty());
    held_back(answer("{}"));
    ASSERT_EQ(made.size(), 2U);
    EXPECT_EQ(made[1]->uid, "p-2") << "the API server binds no token of another account to it";
    EXPECT_THAT(bodies.at(1), HasSubstr(R"("preconditions":{"uid":"p-1"})"));
}

TEST_F(OwnObjectsTest, ThatAreBeingDeletedAreNotTakenOver) {
    start(OwnObjects::Kind::Secret);
    auto& posts = answers["POST /api/v1/namespaces/shop/secrets"];
    posts.push_back(refused(409, Errc::Conflict));
    posts.push_back(answer(object("tokenlet-u-1", "ours", "u-1", "s-2")));
    answers["GET /api/v1/namespaces/shop/secrets/tokenlet-u-1"].push_back(
        answer(object("tokenlet-u-1", "ours", "u-1", "s-1", R"(,"deletionTimestamp":"2026-11-24T12:00:00Z")")));
    ensure();
    ASSERT_EQ(made.size(), 1U);
    ASSERT_FALSE(made[0]);
    EXPECT_EQ(made[0].error().error.code, Errc::Unavailable) << "it is tried again soon";
    EXPECT_THAT(made[0].error().error.what, HasSubstr("tokenlet-u-1 is being deleted"));
    ensure();
    ASSERT_EQ(made.size(), 2U);
    EXPECT_EQ(made[1]->uid, "s-2");
}

TEST_F(OwnObjectsTest, OfAPodThatIsBackWhileTheyAreDeletedAreMadeAfterwards) {
    start(OwnObjects::Kind::Secret);
    const std::string path = "/api/v1/namespaces/shop/secrets/tokenlet-u-1";
    answers["GET " + path].push_back(answer(object("tokenlet-u-1", "ours", "u-1", "s-1")));
    delayed = "DELETE";
    leave();
    own->follow({.gone = {}, .present = {kPod}});
    calls.clear();
    ensure();
    ASSERT_EQ(made.size(), 1U);
    ASSERT_FALSE(made[0]);
    EXPECT_EQ(made[0].error().error.code, Errc::Unavailable);
    EXPECT_THAT(calls, IsEmpty()) << "it would find the one that is about to go";
    held_back(answer("{}"));
    answers["POST /api/v1/namespaces/shop/secrets"].push_back(answer(object("tokenlet-u-1", "ours", "u-1", "s-2")));
    ensure();
    ASSERT_EQ(made.size(), 2U);
    EXPECT_EQ(made[1]->uid, "s-2");
}

TEST_F(OwnObjectsTest, OfStrangersAreLeftAlone) {
    struct Case {
        std::string_view name;
        std::string existing;
    };
    const Case cases[] = {
        {"a workload's", R"({"metadata":{"name":"web","uid":"p-1"}})"},
        {"another host's of the same name", object("web", "theirs", "u-1", "p-1")},
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
        EXPECT_THAT(made[0].error().error.what, HasSubstr("exists and was not made by this host"));
        answers["GET /api/v1/namespaces/shop/pods/web"].push_back(answer(c.existing));
        leave();
        answers["GET /api/v1/pods"].push_back(answer(R"({"items":[)" + c.existing + "]}"));
        know_all({});
        EXPECT_TRUE(is_done());
        for (const std::string& call : calls)
            EXPECT_FALSE(call.starts_with("DELETE")) << call;
    }
}

TEST_F(OwnObjectsTest, GoWithTheirPods) {
    start(OwnObjects::Kind::Secret);
    const std::string path = "/api/v1/namespaces/shop/secrets/tokenlet-u-1";
    answers["GET " + path].push_back(answer(object("tokenlet-u-1", "ours", "u-1", "s-1")));
    answers["DELETE " + path].push_back(answer("{}"));
    leave();
    EXPECT_EQ(calls.back(), "DELETE " + path);
    EXPECT_TRUE(is_done());
    leave();
    EXPECT_TRUE(is_done()) << "gone already";
    EXPECT_THAT(reports, IsEmpty());
}

TEST_F(OwnObjectsTest, ThatCannotBeRemovedAreTriedAgainAndToldOfOnce) {
    start(OwnObjects::Kind::Secret);
    const std::string path = "/api/v1/namespaces/shop/secrets/tokenlet-u-1";
    const std::string existing = object("tokenlet-u-1", "ours", "u-1", "s-1");
    answers["GET " + path].push_back(refused(503, Errc::Unavailable));
    leave();
    for (int tries = 0; tries < 3; ++tries) {
        answers["GET " + path].push_back(answer(existing));
        answers["DELETE " + path].push_back(std::unexpected(
            kube::ApiError{.error = {Errc::Denied, "forbidden"}, .http_status = 403, .advice = "kind: Role"}));
        try_again();
        EXPECT_EQ(calls.back(), "DELETE " + path);
    }
    EXPECT_THAT(reports, ElementsAre("objects made for pods that left cannot be removed yet"));
    EXPECT_THAT(advice, ElementsAre("", "kind: Role", "kind: Role", "kind: Role"));

    answers["GET " + path].push_back(answer(existing));
    answers["DELETE " + path].push_back(answer("{}"));
    try_again();
    EXPECT_TRUE(is_done());
    EXPECT_EQ(reports.back(), "objects made for pods that left are removed");
    EXPECT_EQ(reports.size(), 2U);
}

TEST_F(OwnObjectsTest, OfAPodThatIsBackAreNotRemoved) {
    start(OwnObjects::Kind::Secret);
    answers["GET /api/v1/namespaces/shop/secrets/tokenlet-u-1"].push_back(refused(503, Errc::Unavailable));
    leave();
    own->follow({.gone = {}, .present = {kPod}});
    calls.clear();
    EXPECT_TRUE(is_done());
    EXPECT_THAT(calls, IsEmpty());
}

TEST_F(OwnObjectsTest, AreNotMadeForAPodThatHasLeftAndGoWhenItLeftMeanwhile) {
    start(OwnObjects::Kind::Secret);
    answers["POST /api/v1/namespaces/shop/secrets"].push_back(answer(object("tokenlet-u-1", "ours", "u-1", "s-1")));
    delayed = "POST";
    ensure();
    leave();  // nothing is there yet
    EXPECT_TRUE(is_done());
    const std::string path = "/api/v1/namespaces/shop/secrets/tokenlet-u-1";
    answers["GET " + path].push_back(answer(object("tokenlet-u-1", "ours", "u-1", "s-1")));
    answers["DELETE " + path].push_back(answer("{}"));
    let_the_post_end();
    EXPECT_EQ(calls.back(), "DELETE " + path);

    calls.clear();
    ensure();
    ASSERT_EQ(made.size(), 2U);
    EXPECT_FALSE(made[1]);
    EXPECT_THAT(calls, IsEmpty());
}

TEST_F(OwnObjectsTest, OfPodsThatNobodyKnowsAreFoundByLabelWhereWeMayLook) {
    start(OwnObjects::Kind::Secret);
    const std::string items = R"({"items":[)" + object("tokenlet-u-1", "ours", "u-1", "s-1") + "," +
                              object("tokenlet-u-8", "theirs", "u-8", "s-8") + "," +
                              object("tokenlet-u-9", "ours", "u-9", "s-9") + "]}";
    const std::string gone = "DELETE /api/v1/namespaces/shop/secrets/tokenlet-u-9";
    answers[gone].push_back(answer("{}"));
    answers["GET /api/v1/secrets"].push_back(answer(items));
    know_all({kPod});
    EXPECT_THAT(calls, ElementsAre("GET /api/v1/secrets", gone));

    calls.clear();
    answers[gone].push_back(answer("{}"));
    answers["GET /api/v1/secrets"].push_back(refused(403, Errc::Denied));
    answers["GET /api/v1/namespaces/shop/secrets"].push_back(answer(items));
    know_all({kPod});
    EXPECT_THAT(calls, ElementsAre("GET /api/v1/secrets", "GET /api/v1/namespaces/shop/secrets", gone));
    EXPECT_TRUE(is_done());

    answers["GET /api/v1/secrets"].push_back(refused(0, Errc::Unavailable));
    know_all({kPod});
    answers["GET /api/v1/secrets"].push_back(answer(items));
    answers[gone].push_back(refused(500, Errc::Unavailable));
    try_again();
    EXPECT_THAT(calls, ElementsAre("GET /api/v1/secrets", gone));
    answers["GET /api/v1/secrets"].push_back(answer(items));
    answers[gone].push_back(answer("{}"));
    try_again();
    EXPECT_THAT(calls, ElementsAre("GET /api/v1/secrets", gone));
    EXPECT_TRUE(is_done());
}

TEST_F(OwnObjectsTest, AreFoundInNamespacesOfEarlierRunsWhereWeMayNotLookEverywhere) {
    start(OwnObjects::Kind::Secret);
    EXPECT_THAT(remembered, ElementsAre("shop")) << "before anything is made there";

    const auto start_without_pods = [this] {
        start(OwnObjects::Kind::Secret, {});
        calls.clear();
        answers["GET /api/v1/secrets"].push_back(refused(403, Errc::Denied));
        know_all({});
        EXPECT_EQ(calls.at(1), "GET /api/v1/namespaces/shop/secrets");
    };
    const std::string list = "GET /api/v1/namespaces/shop/secrets";
    const std::string gone = "DELETE /api/v1/namespaces/shop/secrets/tokenlet-u-1";
    const std::string items = R"({"items":[)" + object("tokenlet-u-1", "ours", "u-1", "s-1") + "]}";
    answers[list].push_back(refused(403, Errc::Denied));
    start_without_pods();
    EXPECT_THAT(remembered, ElementsAre("shop")) << "where nobody has looked something may be left";
    answers[list].push_back(answer(items));
    answers[gone].push_back(refused(500, Errc::Unavailable));
    start_without_pods();
    EXPECT_THAT(remembered, ElementsAre("shop")) << "it is there still";
    answers[list].push_back(answer(items));
    answers[gone].push_back(answer("{}"));
    start_without_pods();
    EXPECT_EQ(calls.back(), gone);
    EXPECT_THAT(remembered, IsEmpty());
}

}  // namespace
}  // namespace tokenlet::agent
