// SPDX-License-Identifier: Apache-2.0
#include "authority/token_rules.h"

#include <gtest/gtest.h>

#include "tests/authority/scratch.h"

namespace tokenlet::authority {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kNowSeconds = kNow.time_since_epoch() / 1s;
constexpr std::int64_t kTwoTo32 = std::int64_t{1} << 32;

struct GrantTest : testing::Test {
    AuthorityConfiguration config{.issuer = "https://issuer.example"};
    Registry registry;
    Entropy entropy = counting_entropy();

    void SetUp() override {
        config.max_token_expiration = 0s;
        ASSERT_TRUE(registry.put_service_account({"shop", "frontend"}, "sa-uid", entropy));
        ASSERT_TRUE(registry.put_node("edge-7", "node-uid", entropy));
        ASSERT_TRUE(put_pod("web", "web-uid", "frontend", "edge-7"));
        ASSERT_TRUE(put_pod("other", "other-uid", "backend", "edge-7"));
        ASSERT_TRUE(put_pod("nowhere", "nowhere-uid", "frontend", "edge-8"));
        ASSERT_TRUE(put_pod("leaving", "leaving-uid", "frontend", "edge-7"));
        registry.mark_pod_deleted({"shop", "leaving"}, kNow);
    }

    Result<> put_pod(std::string name, std::string uid, std::string account, std::string node) {
        return registry.put_pod({.key = {"shop", std::move(name)},
                                 .uid = std::move(uid),
                                 .service_account = std::move(account),
                                 .node_name = std::move(node),
                                 .deletion_timestamp = {}},
                                entropy);
    }

    [[nodiscard]] Result<Grant> ask(const kube::TokenRequest& request, WallTime now = kNow) const {
        return grant(request, config, registry, now);
    }
};

kube::TokenRequest request_for(std::int64_t seconds, std::optional<kube::BoundObjectRef> bound = {}) {
    return {.ns = "shop",
            .service_account = "frontend",
            .audiences = {},
            .expiration_seconds = seconds,
            .bound_object_ref = std::move(bound)};
}

kube::BoundObjectRef pod(std::string name, std::string uid = "") {
    return {"Pod", std::move(name), std::move(uid)};
}

using GrantBounds = GrantTest;

TEST_F(GrantBounds, AreTheApiServersInItsWords) {
    struct Case {
        std::string_view name;
        std::int64_t seconds;
        std::string_view error;  // empty: granted
    };
    const Case cases[] = {
        {"the least", 600, ""},
        {"a second less", 599,
         "spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes"},
        {"negative", -1, "spec.expirationSeconds: Invalid value: -1: may not specify a duration less than 10 minutes"},
        {"the most", kTwoTo32, ""},
        {"a second more", kTwoTo32 + 1,
         "spec.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const Result<Grant> granted = ask(request_for(c.seconds));
        ASSERT_EQ(granted.has_value(), c.error.empty());
        if (!granted) {
            EXPECT_EQ(granted.error().what, c.error);
            EXPECT_EQ(granted.error().code, Errc::Invalid);
        } else {
            EXPECT_EQ(granted->expiration_seconds, c.seconds);
            EXPECT_EQ(granted->claims.expires_at_seconds, kNowSeconds + c.seconds);
            EXPECT_EQ(granted->expiration_timestamp, kNow + std::chrono::seconds(c.seconds));
        }
    }
}

TEST_F(GrantBounds, AnotherMinimumIsNamedAsItIsWritten) {
    config.min_token_expiration = 30min;
    EXPECT_EQ(ask(request_for(600)).error().what,
              "spec.expirationSeconds: Invalid value: 600: may not specify a duration less than 30m0s");
}

TEST_F(GrantBounds, TheMaximumShortensAndSaysSo) {
    config.max_token_expiration = 1h;
    const Grant granted = ask(request_for(7200)).value();
    EXPECT_EQ(granted.expiration_seconds, 3600);
    EXPECT_EQ(granted.claims.expires_at_seconds, kNowSeconds + 3600);
    EXPECT_THAT(granted.warnings,
                testing::ElementsAre("requested expiration of 7200 seconds shortened to 3600 seconds"));
    EXPECT_TRUE(ask(request_for(3600))->warnings.empty());
}

TEST_F(GrantBounds, TimesAreWholeSeconds) {
    const Grant granted = ask(request_for(600), kNow + 999ms).value();
    EXPECT_EQ(granted.claims.issued_at_seconds, kNowSeconds);
    EXPECT_EQ(granted.expiration_timestamp, kNow + 600s);
}

using GrantAudiences = GrantTest;

TEST_F(GrantAudiences, DefaultToTheApiAudiencesInOrder) {
    EXPECT_THAT(ask(request_for(600))->claims.audiences, testing::ElementsAre("https://issuer.example"));
    config.api_audiences = {"b", "a"};
    EXPECT_THAT(ask(request_for(600))->claims.audiences, testing::ElementsAre("b", "a"));
}

TEST_F(GrantAudiences, AreGrantedAsTheyAreAskedFor) {
    kube::TokenRequest request = request_for(600);
    request.audiences = {""};
    EXPECT_THAT(ask(request)->claims.audiences, testing::ElementsAre(""));
    request.audiences = {"vault", "https://issuer.example"};
    EXPECT_THAT(ask(request)->claims.audiences, testing::ElementsAre("vault", "https://issuer.example"));
}

using GrantAccounts = GrantTest;

TEST_F(GrantAccounts, MustExistAndAreNamedWhenTheyDoNot) {
    kube::TokenRequest request = request_for(600);
    request.service_account = "ghost";
    EXPECT_EQ(ask(request).error().what, R"(serviceaccounts "ghost" not found)");
    EXPECT_EQ(ask(request).error().code, Errc::NotFound);
    request.ns = "nowhere";
    EXPECT_EQ(ask(request).error().what, R"(namespaces "nowhere" not found)");
}

TEST_F(GrantAccounts, DefaultExistsWithoutBeingDeclared) {
    kube::TokenRequest request = request_for(600);
    request.service_account = "default";
    EXPECT_EQ(ask(request)->claims.service_account.name, "default");
}

using GrantBinding = GrantTest;

TEST_F(GrantBinding, FollowsTheObjectOnRecord) {
    struct Case {
        std::string_view name;
        kube::BoundObjectRef ref;
        Errc code;
        std::string_view error;  // empty: granted
    };
    const Case cases[] = {
        {"the Pod", pod("web", "web-uid"), {}, ""},
        {"no uid given: bound by the one on record", pod("web"), {}, ""},
        {"terminating: still granted", pod("leaving", "leaving-uid"), {}, ""},
        {"the node", {"Node", "edge-7", "node-uid"}, {}, ""},
        {"unknown Pod", pod("ghost"), Errc::NotFound, R"(pods "ghost" not found)"},
        {"unknown node", {"Node", "edge-9", ""}, Errc::NotFound, R"(nodes "edge-9" not found)"},
        {"unknown secret", {"Secret", "host", ""}, Errc::NotFound, R"(secrets "host" not found)"},
        {"another kind",
         {"ConfigMap", "x", ""},
         Errc::Invalid,
         "cannot bind token to object of type /v1, Kind=ConfigMap"},
        {"another account's Pod", pod("other", "other-uid"), Errc::Invalid,
         R"(cannot bind token for serviceaccount "frontend" to pod running with different serviceaccount name.)"},
        {"another uid", pod("web", "old-uid"), Errc::Conflict,
         R"(Operation cannot be fulfilled on Pod "web": the UID in the bound object reference (old-uid) does not )"
         "match the UID in record. The object might have been deleted and then recreated"},
        {"another node's uid",
         {"Node", "edge-7", "old-uid"},
         Errc::Conflict,
         R"(Operation cannot be fulfilled on Node "edge-7": the UID in the bound object reference (old-uid) does not )"
         "match the UID in record. The object might have been deleted and then recreated"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const Result<Grant> granted = ask(request_for(600, c.ref));
        ASSERT_EQ(granted.has_value(), c.error.empty());
        if (!granted) {
            EXPECT_EQ(granted.error().what, c.error);
            EXPECT_EQ(granted.error().code, c.code);
        }
    }
}

TEST_F(GrantBinding, APodsTokenNamesItsNodeWhereThatIsKnown) {
    const Claims web = ask(request_for(600, pod("web")))->claims;
    EXPECT_EQ(web.pod, (ClaimedObject{"web", "web-uid"}));
    EXPECT_EQ(web.node, (ClaimedObject{"edge-7", "node-uid"}));
    EXPECT_FALSE(ask(request_for(600, pod("nowhere")))->claims.node);
}

TEST_F(GrantBinding, ANodesTokenNamesNoPod) {
    const Claims claims = ask(request_for(600, kube::BoundObjectRef{"Node", "edge-7", ""}))->claims;
    EXPECT_EQ(claims.node, (ClaimedObject{"edge-7", "node-uid"}));
    EXPECT_FALSE(claims.pod);
}

TEST_F(GrantBinding, ADeletedPodIsServedForAMinute) {
    EXPECT_TRUE(ask(request_for(600, pod("leaving")), kNow + 60s));
    EXPECT_EQ(ask(request_for(600, pod("leaving")), kNow + 61s).error().code, Errc::NotFound);
    EXPECT_TRUE(honours_tokens(*registry.pod({"shop", "leaving"}), kNow + 60s));
    EXPECT_FALSE(honours_tokens(*registry.pod({"shop", "leaving"}), kNow + 60s + 1ns));
}

using GrantExtension = GrantTest;

TEST_F(GrantExtension, IsForBoundTokensOfExactly3607SecondsForTheApiServer) {
    struct Case {
        std::string_view name;
        bool flag;
        Duration maximum;
        std::int64_t seconds;
        std::vector<std::string> audiences;
        std::optional<kube::BoundObjectRef> bound;
        bool extended;
    };
    const std::vector<std::string> none;
    const Case cases[] = {
        {"as upstream has it", true, 0s, 3607, none, pod("web"), true},
        {"its own audience named", true, 0s, 3607, {"api"}, pod("web"), true},
        {"off, as is our default", false, 0s, 3607, none, pod("web"), false},
        {"another length", true, 0s, 3600, none, pod("web"), false},
        {"another audience", true, 0s, 3607, {"vault"}, pod("web"), false},
        {"one audience of two is another", true, 0s, 3607, {"api", "vault"}, pod("web"), false},
        {"not bound", true, 0s, 3607, none, {}, false},
        {"bound to the node", true, 0s, 3607, none, kube::BoundObjectRef{"Node", "edge-7", ""}, false},
        {"the maximum comes first", true, 1h, 3607, none, pod("web"), false},
        {"a maximum above it does not matter", true, 2h, 3607, none, pod("web"), true},
        {"shortened to 3607 by the maximum", true, 3607s, 7200, none, pod("web"), true},
    };
    config.api_audiences = {"api", "https://issuer.example"};
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        config.extend_token_expiration = c.flag;
        config.max_token_expiration = c.maximum;
        kube::TokenRequest request = request_for(c.seconds, c.bound);
        request.audiences = c.audiences;
        const Grant granted = ask(request).value();
        EXPECT_EQ(granted.claims.warn_after_seconds.has_value(), c.extended);
        if (c.extended) {
            EXPECT_EQ(granted.claims.expires_at_seconds, kNowSeconds + 31'536'000);
            EXPECT_EQ(granted.claims.warn_after_seconds, kNowSeconds + 3607);
            EXPECT_EQ(granted.expiration_seconds, 3607) << "the answer goes on saying 3607";
        } else {
            EXPECT_EQ(granted.claims.expires_at_seconds, kNowSeconds + granted.expiration_seconds);
        }
    }
}

}  // namespace
}  // namespace tokenlet::authority
