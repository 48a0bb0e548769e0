// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/cluster_issuer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "base/base64.h"

namespace tokenlet::agent {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

kube::ApiError refusal(int status, const std::string& message, Errc code) {
    return {.error = {code, "TokenRequest: " + message}, .http_status = status, .message = message};
}

struct ClusterIssuerTest : ::testing::Test {
    struct Sent {
        std::string path;
        std::string body;
        std::move_only_function<void(kube::ApiResult)> done;
    };

    std::unique_ptr<Loop> loop = *Loop::create();
    Now now{BootTime(1000s), WallTime(1'800'000'000s)};
    std::deque<Sent> sent;
    std::vector<std::string> reports;
    std::vector<std::string> advice;
    std::vector<std::string> names;
    std::vector<std::vector<std::string>> keys;
    std::vector<WallTime> clocks;
    std::unique_ptr<ClusterIssuer> issuer;
    std::vector<TokenAnswer> answers;

    void start(BoundObjectMode mode, rotation::PaceSettings pace = {}) {
        issuer = std::make_unique<ClusterIssuer>(
            *loop,
            [this](kube::ApiRequest request, std::move_only_function<void(kube::ApiResult)> done) {
                sent.push_back({request.path, std::string(request.body.view()), std::move(done)});
            },
            ClusterIssuer::Settings{.bound_object = {.mode = mode, .secret_name = "tokenlet-edge"},
                                    .node_name = "edge",
                                    .pace = pace,
                                    .clock = [this] { return now; },
                                    .random = [] { return ~std::uint64_t{0}; },
                                    .on_advice = [this](const std::string& yaml) { advice.push_back(yaml); }});
        issuer->announce({.root_ca = {},
                          .name = [this](const std::string& name) { names.push_back(name); },
                          .keys = [this](std::vector<std::string> ids) { keys.push_back(std::move(ids)); },
                          .clock = [this](WallTime time) { clocks.push_back(time); },
                          .report = [this](const Report& report) { reports.push_back(report.event); },
                          .look = [this] { issuer->maintain(now); }});
    }

    // Everything but token requests is refused and forgotten.
    void forget_discovery() {
        for (auto at = sent.begin(); at != sent.end();)
            at = at->path.starts_with("/api/") ? std::next(at) : sent.erase(at);
    }

    void ask(const std::string& account = "web", Duration left = 1min, const std::string& uid = "u-1",
             std::optional<kube::BoundObjectRef> held = {}) {
        RequestToken ask{.id = 1,
                         .request = {.ns = "shop",
                                     .service_account = account,
                                     .audiences = {},
                                     .expiration_seconds = 3600,
                                     .bound_object_ref = kube::BoundObjectRef{"Pod", "web-0", uid}},
                         .needed_by = now.boot + left,
                         .held_binding = std::move(held)};
        issuer->issue(std::move(ask), [this](TokenAnswer answer) { answers.push_back(std::move(answer)); });
        issuer->maintain(now);
        forget_discovery();
    }

    void answer(kube::ApiResult result) {
        ASSERT_FALSE(sent.empty());
        auto done = std::move(sent.front().done);
        sent.pop_front();
        done(std::move(result));
    }
    static kube::ApiAnswer token(const std::string& text = "aa.bb.cc") {
        return {.http_status = 201,
                .body = Secret(R"({"kind":"TokenRequest","metadata":{"uid":"sa-1"},"spec":{"expirationSeconds":3600},)"
                               R"("status":{"token":")" +
                               text + R"(","expirationTimestamp":"2027-01-15T09:00:00Z"}})"),
                .warnings = {"shortened"},
                .server_time = WallTime(1'800'000'001s)};
    }
    void know_pod(const std::string& uid) {
        issuer->tell({.ticket = 1,
                      .accounts_gone = {},
                      .pods_gone = {},
                      .accounts = {},
                      .pods = {{{"shop", "web-0"}, uid, "web"}}},
                     [](const Result<IssuerAnswer>&) {});
    }
};

TEST_F(ClusterIssuerTest, GivesWhatTheServerGaveWithItsClockAndWarnings) {
    start(BoundObjectMode::None);
    ask();
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].path, "/api/v1/namespaces/shop/serviceaccounts/web/token");
    EXPECT_THAT(sent[0].body, Not(HasSubstr("boundObjectRef")));
    answer(token());
    ASSERT_EQ(answers.size(), 1U);
    ASSERT_TRUE(answers[0]);
    EXPECT_EQ(answers[0]->token.view(), "aa.bb.cc");
    EXPECT_EQ(answers[0]->service_account_uid, "sa-1");
    EXPECT_THAT(answers[0]->warnings, ElementsAre("shortened"));
    EXPECT_EQ(answers[0]->server_time, WallTime(1'800'000'001s));
    ASSERT_TRUE(answers[0]->rebound) << "the core must not look for the Pod in it";
    EXPECT_FALSE(answers[0]->rebound->to);
}

TEST_F(ClusterIssuerTest, BindsAsTheModeSays) {
    struct Case {
        std::string_view name;
        BoundObjectMode mode;
        std::string_view want;
    };
    const Case cases[] = {
        {"the Pod", BoundObjectMode::Pod, R"("kind":"Pod","name":"web-0","uid":"u-1")"},
        {"the operator's Secret, by name", BoundObjectMode::Secret, R"("kind":"Secret","name":"tokenlet-edge"})"},
        {"the Node, by name", BoundObjectMode::Node, R"("kind":"Node","name":"edge"})"},
        {"auto begins with the Secret: a drawn uid is no Pod's there", BoundObjectMode::Auto,
         R"("kind":"Secret","name":"tokenlet-edge"})"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        sent.clear();
        start(c.mode);
        ask();
        ASSERT_EQ(sent.size(), 1U);
        EXPECT_THAT(sent[0].body, HasSubstr(c.want));
    }
}

TEST_F(ClusterIssuerTest, AutoFallsFromThePodToTheSecretToTheNodeToNothing) {
    start(BoundObjectMode::Auto);
    know_pod("u-1");
    ask();
    EXPECT_THAT(sent.at(0).body, HasSubstr(R"("kind":"Pod")"));
    answer(std::unexpected(refusal(409, "the UID in the bound object reference does not match", Errc::Conflict)));
    EXPECT_THAT(sent.at(0).body, HasSubstr(R"("kind":"Secret")"));
    answer(std::unexpected(refusal(404, "secrets \"tokenlet-edge\" not found", Errc::NotFound)));
    EXPECT_THAT(sent.at(0).body, HasSubstr(R"("kind":"Node")"));
    answer(std::unexpected(refusal(404, "nodes \"edge\" not found", Errc::NotFound)));
    EXPECT_THAT(sent.at(0).body, Not(HasSubstr("boundObjectRef")));
    answer(token());
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_TRUE(answers[0]);
    EXPECT_THAT(reports, ElementsAre("tokens are bound to nothing, only their expiry ends them"));

    ask();
    EXPECT_THAT(sent.at(0).body, Not(HasSubstr("boundObjectRef"))) << "what is missing is looked for once in a while";
    answer(token());
    EXPECT_EQ(reports.size(), 1U);
    now.boot += kLookForBoundObject;
    ask();
    EXPECT_THAT(sent.at(0).body, HasSubstr(R"("kind":"Pod")"));
}

TEST_F(ClusterIssuerTest, AutoNeverReplacesATokenByOneThatIsBoundToLess) {
    struct Case {
        std::string_view name;
        kube::BoundObjectRef held;
        std::vector<kube::ApiError> refusals;
        std::string_view last;  // asked for, however often
        std::string_view says;
    };
    const auto gone = [](std::string_view what) {
        return refusal(404, std::string(what) + " not found", Errc::NotFound);
    };
    const Case cases[] = {
        {"the Secret was deleted",
         {"Secret", "tokenlet-edge", "s-1"},
         {gone("pods \"web-0\""), gone("secrets \"tokenlet-edge\"")},
         R"("kind":"Secret")",
         "bound to Secret shop/tokenlet-edge, and whoever deleted that has ended it: nothing looser is asked for; to "
         "let "
         "this host in again: kubectl -n shop create secret generic tokenlet-edge --type=tokenlet.dev/bound-object"},
        {"the Pod was deleted",
         {"Pod", "web-0", "u-1"},
         {gone("pods \"web-0\"")},
         R"("kind":"Pod")",
         "bound to Pod shop/web-0"},
        {"the Node was deleted",
         {"Node", "edge", "n-1"},
         {gone("pods \"web-0\""), gone("secrets \"tokenlet-edge\""), gone("nodes \"edge\"")},
         R"("kind":"Node")",
         "bound to Node edge"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        sent.clear();
        answers.clear();
        start(BoundObjectMode::Auto);
        know_pod("u-1");
        ask("web", 1min, "u-1", c.held);
        for (const kube::ApiError& error : c.refusals)
            answer(std::unexpected(error));
        ASSERT_EQ(answers.size(), 1U);
        ASSERT_FALSE(answers[0]);
        EXPECT_THAT(answers[0].error().error.what, HasSubstr(c.says));

        ask("web", 1min, "u-1", c.held);
        ASSERT_EQ(sent.size(), 1U);
        EXPECT_THAT(sent[0].body, HasSubstr(c.last)) << "also while it is known to be missing";
        answer(token());
        EXPECT_TRUE(answers.at(1));
    }
}

TEST_F(ClusterIssuerTest, WhatAnotherModeBoundToIsNoReasonToAskForThat) {
    start(BoundObjectMode::Auto);
    ask("web", 1min, "u-1", kube::BoundObjectRef{"Secret", "tokenlet-u-1", "s-1"});
    answer(std::unexpected(refusal(404, "secrets \"tokenlet-edge\" not found", Errc::NotFound)));
    EXPECT_THAT(sent.at(0).body, HasSubstr(R"("kind":"Node")"));
}

TEST_F(ClusterIssuerTest, ARemovalThatFailsKeepsNoNewPodWaiting) {
    start(BoundObjectMode::PodSecret);
    sent.clear();
    std::size_t told = 0;
    const auto tell = [&](TellIssuer news) {
        issuer->tell(std::move(news), [&](const Result<IssuerAnswer>& answer) {
            EXPECT_TRUE(answer);
            ++told;
            loop->stop();
        });
        loop->run();
    };
    tell({.ticket = 1, .accounts_gone = {}, .pods_gone = {{{"shop", "old"}, "u-0"}}, .accounts = {}, .pods = {}});
    kube::ApiError forbidden = refusal(403, "cannot get secrets", Errc::Denied);
    forbidden.advice = "kind: Role";
    answer(std::unexpected(std::move(forbidden)));
    EXPECT_THAT(advice, ElementsAre("kind: Role"));
    EXPECT_THAT(reports, ElementsAre("objects made for pods that left cannot be removed yet"));
    tell({.ticket = 2,
          .accounts_gone = {},
          .pods_gone = {},
          .accounts = {},
          .pods = {{{"shop", "web-0"}, "u-1", "web", true}}});
    EXPECT_EQ(told, 2U);
    ask();
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].path, "/api/v1/namespaces/shop/secrets") << "its object is made";
    sent.clear();
    const std::optional<BootTime> next = issuer->maintain(now);
    ASSERT_TRUE(next);
    now.boot = *next;
    issuer->maintain(now);
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].path, "/api/v1/namespaces/shop/secrets/tokenlet-u-0") << "tried again by itself";
}

TEST_F(ClusterIssuerTest, FallsOverNothingButAMissingObject) {
    struct Case {
        std::string_view name;
        kube::ApiError error;
    };
    kube::ApiError forbidden = refusal(403, "cannot create", Errc::Denied);
    forbidden.advice = "kind: Role";
    kube::ApiError busy = refusal(429, "slow down", Errc::Unavailable);
    busy.retry_after = 7s;
    const Case cases[] = {
        {"no right", std::move(forbidden)},
        {"no account", refusal(404, "serviceaccounts \"web\" not found", Errc::NotFound)},
        {"no namespace", refusal(404, "namespaces \"shop\" not found", Errc::NotFound)},
        {"too many", std::move(busy)},
        {"no answer", refusal(0, "", Errc::Unavailable)},
    };
    start(BoundObjectMode::Auto);
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        answers.clear();
        ask();
        answer(std::unexpected(c.error));
        EXPECT_TRUE(sent.empty());
        ASSERT_EQ(answers.size(), 1U);
        ASSERT_FALSE(answers[0]);
        EXPECT_EQ(answers[0].error().error.code, c.error.error.code);
        EXPECT_EQ(answers[0].error().retry_after, c.error.retry_after);
    }
    EXPECT_THAT(advice, ElementsAre("kind: Role"));
}

TEST_F(ClusterIssuerTest, SaysWhatAChosenModeNeeds) {
    start(BoundObjectMode::Secret);
    ask();
    answer(std::unexpected(refusal(404, "secrets \"tokenlet-edge\" not found", Errc::NotFound)));
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_THAT(answers[0].error().error.what,
                EndsWith("kubectl -n shop create secret generic tokenlet-edge --type=tokenlet.dev/bound-object"))
        << "and names no looser mode";
}

TEST_F(ClusterIssuerTest, RefusesAnAnswerThatIsNoTokenAsSomethingToTryAgain) {
    start(BoundObjectMode::None);
    ask();
    answer(kube::ApiAnswer{.http_status = 201, .body = Secret("<html>")});
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].error().error.code, Errc::Unavailable);
}

TEST_F(ClusterIssuerTest, ThousandsThatAreDueDoNotStarveAnUrgentOne) {
    start(BoundObjectMode::None, {.per_second = 50, .burst = 100});
    for (int i = 0; i < 5000; ++i)
        ask("due-" + std::to_string(i), 10min + i * 1ms);
    EXPECT_EQ(sent.size(), 100U) << "a burst";
    now.boot += 1s;
    issuer->maintain(now);
    EXPECT_EQ(sent.size(), 150U);
    ask("urgent", 5s);
    EXPECT_EQ(sent.size(), 150U) << "the pace holds for urgent ones, too";
    now.boot += 20ms;
    issuer->maintain(now);
    EXPECT_EQ(sent.back().path, "/api/v1/namespaces/shop/serviceaccounts/urgent/token");

    std::size_t seconds = 0;
    for (; sent.size() < 5001 && seconds < 200; ++seconds) {
        now.boot += 1s;
        issuer->maintain(now);
    }
    EXPECT_EQ(seconds, 97U) << "nobody is forgotten, and the pace is used";
}

TEST_F(ClusterIssuerTest, ObjectsOfPodsGoAtTheSamePaceAndThoseOfPodsThatLeaveAfterThoseThatCome) {
    start(BoundObjectMode::PodSecret, {.per_second = 50, .burst = 100});
    forget_discovery();
    TellIssuer leaving{.ticket = 1, .accounts_gone = {}, .pods_gone = {}, .accounts = {}, .pods = {}};
    for (int i = 0; i < 500; ++i)
        leaving.pods_gone.push_back({{"shop", "old"}, "u-old-" + std::to_string(i)});
    issuer->tell(std::move(leaving), [](const Result<IssuerAnswer>&) {});
    EXPECT_EQ(sent.size(), 100U) << "a burst";
    now.boot += 1s;
    issuer->tell({.ticket = 2,
                  .accounts_gone = {},
                  .pods_gone = {},
                  .accounts = {},
                  .pods = {{{"shop", "web-0"}, "u-1", "web", true}}},
                 [](const Result<IssuerAnswer>&) {});
    issuer->maintain(now);
    EXPECT_EQ(sent.size(), 150U);
    ask();
    EXPECT_EQ(sent.size(), 150U) << "the pace holds for what is made, too";
    now.boot += 20ms;
    issuer->maintain(now);
    ASSERT_EQ(sent.back().path, "/api/v1/namespaces/shop/secrets");
    sent.back().done(kube::ApiAnswer{.http_status = 201, .body = Secret(R"({"metadata":{"uid":"s-1"}})")});
    EXPECT_EQ(sent.size(), 151U) << "and for the token that is bound to it";
    now.boot += 20ms;
    issuer->maintain(now);
    EXPECT_EQ(sent.back().path, "/api/v1/namespaces/shop/serviceaccounts/web/token");
    EXPECT_THAT(sent.back().body, HasSubstr(R"("uid":"s-1")"));
}

TEST_F(ClusterIssuerTest, TellsTheNameAndTheKeysAndLooksForOthers) {
    start(BoundObjectMode::None);
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].path, "/.well-known/openid-configuration");
    answer(kube::ApiAnswer{.http_status = 200, .body = Secret(R"({"issuer":"https://k","jwks_uri":"x"})")});
    EXPECT_THAT(names, ElementsAre("https://k"));
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].path, "/openid/v1/jwks");
    answer(kube::ApiAnswer{.http_status = 200, .body = Secret(R"({"keys":[{"kid":"b"},{"kid":"a"},{}]})")});
    ASSERT_EQ(keys.size(), 1U);
    EXPECT_THAT(keys[0], ElementsAre("a", "b"));
    EXPECT_EQ(issuer->maintain(now), now.boot + kKeysPeriod);

    now.boot += kKeysPeriod;
    issuer->maintain(now);
    answer(kube::ApiAnswer{.http_status = 200, .body = Secret(R"({"issuer":"https://k"})")});
    answer(kube::ApiAnswer{.http_status = 200, .body = Secret(R"({"keys":[{"kid":"c"}]})")});
    EXPECT_EQ(names.size(), 1U);
    EXPECT_EQ(keys.size(), 2U);

    issuer->look_at_keys();
    answer(std::unexpected(refusal(0, "", Errc::Unavailable)));
    EXPECT_LE(issuer->maintain(now), now.boot + kKeysSoon);
    EXPECT_TRUE(reports.empty()) << "a server that is away is everybody's business, not this one's";
    issuer->look_at_keys();
    kube::ApiError forbidden = refusal(403, "cannot get path", Errc::Denied);
    forbidden.advice = "kind: ClusterRole";
    answer(std::unexpected(std::move(forbidden)));
    EXPECT_EQ(reports.size(), 1U);
    EXPECT_THAT(advice, ElementsAre("kind: ClusterRole"));
}

TEST_F(ClusterIssuerTest, TellsTheServersClockAlsoWhileNoTokenIsAskedFor) {
    start(BoundObjectMode::None);
    const WallTime corrected = now.wall - 2h;
    answer(kube::ApiAnswer{.http_status = 200, .body = Secret(R"({"issuer":"https://k"})"), .server_time = corrected});
    EXPECT_THAT(clocks, ElementsAre(corrected));
}

TEST_F(ClusterIssuerTest, AsksForTheKeysLessAndLessOftenWhileTheServerIsAwayAndNotBeforeItSays) {
    start(BoundObjectMode::None);
    std::vector<Duration> pauses;
    for (int failure = 0; failure < 8; ++failure) {
        answer(std::unexpected(refusal(0, "", Errc::Unavailable)));
        const BootTime next = issuer->maintain(now).value_or(now.boot);
        pauses.push_back(std::chrono::round<std::chrono::seconds>(next - now.boot));
        now.boot = next;
        issuer->maintain(now);
    }
    EXPECT_THAT(pauses, ElementsAre(2s, 4s, 8s, 16s, 32s, 60s, 60s, 60s));

    kube::ApiError busy = refusal(429, "too many requests", Errc::Unavailable);
    busy.retry_after = 90s;
    const BootTime asked_for = now.boot + 90s;
    answer(std::unexpected(std::move(busy)));
    EXPECT_EQ(issuer->maintain(now), asked_for);
    issuer->look_at_keys_soon();
    EXPECT_EQ(issuer->maintain(now), asked_for) << "a watch that was lost is no reason to ask sooner";
}

TEST_F(ClusterIssuerTest, ATokenOfAKeyThatIsNotKnownHasTheKeysReadAgainSoonButNotAllTheTime) {
    const auto signed_with = [](std::string_view key) {
        return token(encode_base64url(R"({"alg":"ES256","kid":")" + std::string(key) + "\"}") + "." +
                     encode_base64url("{}") + ".c2ln");
    };
    start(BoundObjectMode::None);
    answer(kube::ApiAnswer{.http_status = 200, .body = Secret(R"({"issuer":"https://k"})")});
    answer(kube::ApiAnswer{.http_status = 200, .body = Secret(R"({"keys":[{"kid":"old"}]})")});
    ask();
    answer(signed_with("old"));
    EXPECT_EQ(issuer->maintain(now), now.boot + kKeysPeriod);

    const BootTime soon = now.boot + kKeysSoon;
    for (; now.boot < soon; now.boot += 1s) {
        ask();
        answer(signed_with("new"));
        EXPECT_EQ(issuer->maintain(now), soon) << "more such tokens do not put it off";
    }
    issuer->maintain(now);
    ASSERT_EQ(sent.size(), 1U);
    answer(kube::ApiAnswer{.http_status = 200, .body = Secret(R"({"issuer":"https://k"})")});
    answer(kube::ApiAnswer{.http_status = 200, .body = Secret(R"({"keys":[{"kid":"old"},{"kid":"new"}]})")});
    EXPECT_EQ(keys.size(), 2U);
    ask();
    answer(signed_with("new"));
    EXPECT_EQ(issuer->maintain(now), now.boot + kKeysPeriod);
}

}  // namespace
}  // namespace tokenlet::agent
