// SPDX-License-Identifier: Apache-2.0
// A core whose accounts and objects come from a cluster.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/core/core.h"
#include "kube/jwt.h"
#include "tests/sim/world.h"

namespace tokenlet::agent {
namespace {

using sim::volume_yaml;
using sim::World;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using Kind = WatchedObject::Kind;

const std::string kSources =
    "      - serviceAccountToken: {path: token}\n"
    "      - configMap: {name: web-config}\n";
const WatchedObject kAccount{Kind::ServiceAccount, {"shop", "default"}};
const WatchedObject kMap{Kind::ConfigMap, {"shop", "web-config"}};

kube::ServiceAccount account(const std::string& uid, std::optional<bool> automount = {}) {
    return {.meta = {.ns = "shop", .name = "default", .uid = uid, .labels = {}, .annotations = {}},
            .origin = {},
            .automount_service_account_token = automount};
}

kube::ConfigMap config_map(const std::string& value) {
    kube::ConfigMap map;
    map.meta.ns = "shop";
    map.meta.name = "web-config";
    map.data["key"] = value;
    return map;
}

kube::ClusterTrustBundle bundle(const std::string& name) {
    kube::ClusterTrustBundle made;
    made.meta.name = name;
    made.trust_bundle = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    return made;
}

struct CoreOnACluster : ::testing::Test {
    static CoreSettings settings() {
        CoreSettings made = World::default_settings();
        made.objects_from = ObjectsFrom::Cluster;
        return made;
    }

    World world{settings()};

    void TearDown() override { EXPECT_EQ(world.trouble, ""); }

    template <class T>
    void tell(const WatchedObject& what, T object) {
        if constexpr (std::is_same_v<T, kube::ServiceAccount>)
            world.issuer.accounts[what.key] = object.meta.uid;
        world.act([&](Core& core, Now now) {
            std::vector<kube::Object> objects;
            objects.emplace_back(std::move(object));
            core.on_object(now, what, std::move(objects));
        });
        world.pass(1s);
    }
    void tell_absent(const WatchedObject& what) {
        world.act([&](Core& core, Now now) { core.on_object(now, what, std::vector<kube::Object>{}); });
        world.pass(1s);
    }
    void tell_error(const WatchedObject& what, Errc code) {
        world.act([&](Core& core, Now now) { core.on_object(now, what, fail(code, "for a reason")); });
        world.pass(1s);
    }
    void start_with(const std::string& sources) {
        world.write("web.yaml", volume_yaml("shop", "web", sources));
        world.start();
        world.pass(1s);
    }
    std::optional<std::string> read(const std::string& path) { return world.read("shop", "web", "v", path); }
    std::string error() { return world.pod_status("shop", "web")->volumes.at(0).error; }
};

TEST_F(CoreOnACluster, WatchesWhatAPodNeedsAndNothingElse) {
    world.write("own.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {namespace: shop, name: own}\n");
    start_with(kSources +
               "      - secret: {name: tls}\n      - secret: {name: own}\n"
               "      - clusterTrustBundle: {name: ca, path: ca.pem}\n"
               "      - clusterTrustBundle: {signerName: a.b/c, path: s.pem, labelSelector: {}}\n");
    EXPECT_THAT(world.watched, UnorderedElementsAre(kAccount, kMap, WatchedObject{Kind::Secret, {"shop", "tls"}},
                                                    WatchedObject{Kind::ClusterTrustBundle, {"", "ca"}},
                                                    WatchedObject{Kind::BundlesOfSigner, {"", "a.b/c"}}))
        << "a manifest goes before the cluster";
    world.unlink("own.yaml");
    world.pass(15s);
    EXPECT_TRUE(world.watched.contains({Kind::Secret, {"shop", "own"}})) << "once the manifest has left";
    world.unlink("web.yaml");
    world.pass(15s);
    EXPECT_TRUE(world.watched.empty());
}

TEST_F(CoreOnACluster, AsksForATokenOnceTheAccountIsKnownAndPublishesOnceTheObjectsAre) {
    start_with(kSources);
    EXPECT_EQ(world.issuer.requests.size(), 0U);
    EXPECT_FALSE(world.status().settled) << "the answers may be on their way";
    tell(kAccount, account("u-1"));
    EXPECT_EQ(world.issuer.requests.size(), 1U);
    EXPECT_FALSE(read("token"));
    EXPECT_FALSE(world.status().settled);
    tell(kMap, config_map("one"));
    EXPECT_TRUE(read("token"));
    EXPECT_EQ(read("key"), "one");
    EXPECT_TRUE(world.status().settled);
    tell(kMap, config_map("two"));
    EXPECT_EQ(read("key"), "two");
    EXPECT_EQ(world.issuer.requests.size(), 1U);
}

TEST_F(CoreOnACluster, SaysWhatItWaitsForWhenTheServerIsAway) {
    start_with(kSources);
    tell_error(kAccount, Errc::Unavailable);
    tell_error(kMap, Errc::Unavailable);
    EXPECT_TRUE(world.status().settled) << "a start must not wait for a server that is away";
    EXPECT_THAT(error(), HasSubstr("for a reason"));
    tell(kMap, config_map("one"));
    tell(kAccount, account("u-1"));
    EXPECT_TRUE(read("token"));
}

TEST_F(CoreOnACluster, AnAccountThatMayNotBeReadIsTakenAsItWouldBeByDefault) {
    start_with(kSources);
    tell(kMap, config_map("one"));
    world.issuer.accounts[kAccount.key] = "u-1";
    tell_error(kAccount, Errc::Denied);
    EXPECT_TRUE(read("token"));
    world.pass(1min);
    EXPECT_EQ(world.issuer.requests.size(), 1U) << "an unknown uid makes no token foreign";
}

TEST_F(CoreOnACluster, ALostWatchChangesNoFile) {
    start_with(kSources);
    tell(kAccount, account("u-1"));
    tell(kMap, config_map("one"));
    const std::uint64_t writes = world.writes;
    tell_error(kAccount, Errc::Unavailable);
    tell_error(kMap, Errc::Denied);
    EXPECT_EQ(world.writes, writes);
    EXPECT_EQ(error(), "");
    world.pass(1h);
    EXPECT_GT(world.issuer.requests.size(), 1U) << "and tokens are rotated on";
    EXPECT_EQ(read("key"), "one");
}

TEST_F(CoreOnACluster, ADeletedObjectLeavesItsFilesAndAnError) {
    start_with(kSources);
    tell(kAccount, account("u-1"));
    tell(kMap, config_map("one"));
    tell_absent(kMap);
    EXPECT_EQ(read("key"), "one");
    EXPECT_THAT(error(), HasSubstr("not found"));
    tell(kMap, config_map("two"));
    EXPECT_EQ(read("key"), "two");
    EXPECT_EQ(error(), "");
}

TEST_F(CoreOnACluster, AnAccountMadeAnewGetsANewTokenAtOnce) {
    start_with(kSources);
    tell(kAccount, account("u-1"));
    tell(kMap, config_map("one"));
    tell_absent(kAccount);
    EXPECT_TRUE(read("token"));
    tell(kAccount, account("u-2"));
    EXPECT_EQ(kube::read_jwt(*read("token"))->service_account->uid, "u-2");
    EXPECT_EQ(world.issuer.requests.size(), 2U);
}

// A request that finds no account is final for a minute, for which readers of an account made anew cannot wait.
TEST_F(CoreOnACluster, ANoToTheAccountBeforeIsNoneToTheNewOne) {
    struct Case {
        std::string_view name;
        Duration delivery;
    };
    start_with(kSources);
    tell(kMap, config_map("one"));
    tell(kAccount, account("first"));
    for (const Case& c :
         {Case{"there is none when it arrives", 1ms}, Case{"it arrives after the new one's news", 1500ms}}) {
        SCOPED_TRACE(c.name);
        world.issuer.accounts.erase(kAccount.key);
        world.issuer.delivery = c.delivery;
        world.act([](Core& core, Now now) { EXPECT_TRUE(core.rotate_now(now, {"shop", "web"}, "")); });
        tell_absent(kAccount);
        world.issuer.delivery = {};
        tell(kAccount, account(std::string(c.name)));
        world.pass(3s);
        EXPECT_EQ(kube::read_jwt(*read("token"))->service_account->uid, c.name);
    }
}

TEST_F(CoreOnACluster, AnAccountThatTurnsAutomountOffTakesTheVolumeBeforeItIsEverThere) {
    world.write("web.yaml",
                "apiVersion: v1\nkind: Pod\nmetadata: {namespace: shop, name: web}\n"
                "spec: {containers: [{name: c, image: i}]}\n");
    world.start();
    world.pass(1s);
    EXPECT_EQ(world.pod_status("shop", "web")->volumes.size(), 1U);
    tell(kAccount, account("u-1", false));
    EXPECT_EQ(world.pod_status("shop", "web")->volumes.size(), 0U);
    EXPECT_EQ(world.issuer.requests.size(), 0U);
}

TEST_F(CoreOnACluster, AnOptionalBundleIsNotTakenForAbsentBeforeItIsKnown) {
    const WatchedObject ca{Kind::ClusterTrustBundle, {"", "ca"}};
    start_with("      - clusterTrustBundle: {name: ca, path: ca.pem, optional: true}\n");
    EXPECT_FALSE(read("ca.pem"));
    tell_error(ca, Errc::Invalid);
    EXPECT_FALSE(read("ca.pem"));
    EXPECT_THAT(error(), HasSubstr("for a reason"));
    tell(ca, bundle("ca"));
    EXPECT_THAT(*read("ca.pem"), HasSubstr("BEGIN CERTIFICATE"));
    tell_absent(ca);
    EXPECT_EQ(read("ca.pem"), "");
}

TEST_F(CoreOnACluster, ARestartWithTheServerAwayWritesNothingAndAsksForNothing) {
    start_with(kSources);
    tell(kAccount, account("u-1"));
    tell(kMap, config_map("one"));
    const std::uint64_t writes = world.writes;
    world.crash();
    world.start();
    world.pass(1s);
    tell_error(kAccount, Errc::Unavailable);
    tell_error(kMap, Errc::Unavailable);
    EXPECT_EQ(world.writes, writes);
    EXPECT_TRUE(world.status().settled);
    EXPECT_TRUE(world.pod_status("shop", "web")->ready) << "what stands there serves its readers";
    tell(kAccount, account("u-1"));
    tell(kMap, config_map("one"));
    EXPECT_EQ(world.writes, writes);
    EXPECT_EQ(world.issuer.requests.size(), 1U);
    EXPECT_TRUE(world.pod_status("shop", "web")->ready);
}

TEST_F(CoreOnACluster, ATokenOfAnotherIssuerIsAskedForAnewOnceTheNameIsKnown) {
    start_with("      - serviceAccountToken: {path: token}\n");
    tell(kAccount, account("u-1"));
    ASSERT_EQ(world.issuer.requests.size(), 1U);
    world.act([](Core& core, Now now) { core.on_issuer_name(now, "https://sim"); });
    world.pass(1s);
    EXPECT_EQ(world.issuer.requests.size(), 1U);
    const auto old = read("token");
    world.act([](Core& core, Now now) { core.on_issuer_name(now, "https://another"); });
    EXPECT_EQ(read("token"), old) << "until the new one is here";
    world.pass(1s);
    EXPECT_GT(world.issuer.requests.size(), 1U);
}

TEST(CoreWithManyDueTokens, DoesNotLetThemStarveOneThatHasFailed) {
    CoreSettings settings = World::default_settings();
    settings.requests_at_once = 1;
    World world{std::move(settings)};
    world.issuer.latency = 1s;
    world.issuer.refuses = Error{Errc::Unavailable, "once"};
    world.write("a.yaml", volume_yaml("shop", "first", "      - serviceAccountToken: {path: token}\n"));
    world.start();
    world.pass(1500ms);
    world.issuer.refuses.reset();
    for (int i = 0; i < 100; ++i)
        world.write("b" + std::to_string(i) + ".yaml",
                    volume_yaml("shop", "p" + std::to_string(i), "      - serviceAccountToken: {path: token}\n"));
    world.pass(15s);
    EXPECT_LT(world.issuer.requests.size(), 20U);
    EXPECT_TRUE(world.read("shop", "first", "v", "token"));
    EXPECT_EQ(world.trouble, "");
}

}  // namespace
}  // namespace tokenlet::agent
