// SPDX-License-Identifier: Apache-2.0
#include "agent/core/core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kube/jwt.h"
#include "tests/sim/world.h"

namespace tokenlet::agent {
namespace {

using sim::pod_yaml;
using sim::volume_yaml;
using sim::World;
using namespace std::chrono_literals;
using ::testing::HasSubstr;

const std::string kToken = "      - serviceAccountToken: {path: token}\n";
const std::string kVaultToken = "      - serviceAccountToken: {path: token, audience: vault}\n";

std::string config_map(const std::string& ns, const std::string& name, const std::string& data) {
    return "apiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: " + ns + ", name: " + name + "}\ndata: " + data +
           "\n";
}

std::string account(const std::string& ns, const std::string& name, const std::string& extra = "") {
    return "apiVersion: v1\nkind: ServiceAccount\nmetadata: {namespace: " + ns + ", name: " + name + extra + "}\n";
}

struct CoreTest : ::testing::Test {
    World world;
    void TearDown() override { EXPECT_EQ(world.trouble, ""); }

    // A running agent with one Pod, shop/web, which has its first token.
    void start_with_one_pod() {
        world.write("web.yaml", volume_yaml("shop", "web", kToken));
        world.start();
        world.pass(100ms);
        ASSERT_TRUE(token());
        ASSERT_EQ(world.issuer.requests.size(), 1u);
    }
    std::optional<std::string> token(const std::string& pod = "web") { return world.read("shop", pod, "v", "token"); }
    std::string uid(const std::string& pod = "web") {
        const PodStatus* status = world.pod_status("shop", pod);
        return status == nullptr ? "" : status->uid;
    }
    kube::Jwt claims() { return kube::read_jwt(*token()).value(); }
    std::size_t requests() const { return world.issuer.requests.size(); }
};

TEST_F(CoreTest, AManifestBecomesATokenBoundToItsPod) {
    world.write("web.yaml", pod_yaml("shop", "web"));
    world.start();
    world.pass(100ms);
    const auto token = world.read("shop", "web", "kube-api-access", "token");
    ASSERT_TRUE(token);
    const kube::Jwt jwt = kube::read_jwt(*token).value();
    EXPECT_EQ(jwt.subject, "system:serviceaccount:shop:default");
    ASSERT_TRUE(jwt.pod);
    EXPECT_EQ(jwt.pod->name, "web");
    EXPECT_EQ(jwt.pod->uid, uid());
    EXPECT_EQ(world.read("shop", "web", "kube-api-access", "ca.crt"), "CA\n");
    EXPECT_EQ(world.read("shop", "web", "kube-api-access", "namespace"), "shop");
    EXPECT_TRUE(world.pod_status("shop", "web")->ready);
    EXPECT_TRUE(world.status().settled);
}

TEST_F(CoreTest, ATokenIsRotatedAtEightyPercentOfItsLifetime) {
    start_with_one_pod();
    const auto first = token();
    world.pass(48min - 1s);
    EXPECT_EQ(token(), first);
    world.pass(2s);
    EXPECT_NE(token(), first);
    EXPECT_EQ(requests(), 2u);
    world.pass(24h);
    EXPECT_EQ(requests(), 32u) << "one each 48 minutes";
}

TEST_F(CoreTest, AFailingIssuerTakesNothingAwayAndIsRetriedAtItsPace) {
    start_with_one_pod();
    const auto first = token();
    world.issuer.refuses = Error{Errc::Unavailable, "TokenRequest: 503"};
    world.pass(53min);
    EXPECT_TRUE(world.pod_status("shop", "web")->ready) << "due, but readers have time";
    world.pass(2min);
    EXPECT_FALSE(world.pod_status("shop", "web")->ready) << "readiness turns false before readers fail";
    EXPECT_THAT(world.pod_status("shop", "web")->message, HasSubstr("about to expire"));
    world.pass(35min);
    EXPECT_EQ(token(), first) << "expired, but not missing";
    EXPECT_FALSE(world.pod_status("shop", "web")->ready) << "and readiness says so";
    EXPECT_TRUE(world.reported("token refresh failed, serving the old token"));
    EXPECT_TRUE(world.reported("token refresh still fails and the token is about to expire"));
    EXPECT_TRUE(world.reported("token has expired and cannot be refreshed"));
    EXPECT_GT(requests(), 40u) << "42 minutes, at most a minute apart";
    EXPECT_LT(requests(), 400u);
    world.issuer.refuses.reset();
    world.pass(61s);
    EXPECT_NE(token(), first);
    EXPECT_TRUE(world.pod_status("shop", "web")->ready);
    EXPECT_TRUE(world.reported("token refresh works again"));
}

TEST_F(CoreTest, AnIssuerThatNeverAnswersIsAskedAgain) {
    start_with_one_pod();
    const auto first = token();
    world.issuer.up = false;
    world.pass(50min);
    EXPECT_EQ(token(), first);
    world.issuer.up = true;
    world.pass(2min);
    EXPECT_NE(token(), first);
}

TEST_F(CoreTest, AVanishedManifestIsALeavingOnlyAfterTheDelay) {
    start_with_one_pod();
    const std::string was = uid();
    world.unlink("web.yaml");
    world.pass(9s);
    EXPECT_TRUE(token()) << "editors unlink and create";
    world.write("web.yaml", volume_yaml("shop", "web", kToken));
    world.pass(1min);
    EXPECT_TRUE(token());
    EXPECT_EQ(uid(), was);
    EXPECT_EQ(requests(), 1u);

    world.unlink("web.yaml");
    world.pass(11s);
    EXPECT_FALSE(token());
    EXPECT_TRUE(world.disk.empty());
    EXPECT_TRUE(world.identities.empty());
    EXPECT_TRUE(world.issuer.deleted.contains(was)) << "tokens bound to it die";
    EXPECT_TRUE(world.status().pods.empty());

    world.write("web.yaml", volume_yaml("shop", "web", kToken));
    world.pass(1s);
    EXPECT_TRUE(token());
    EXPECT_NE(uid(), was) << "another Pod: the old tokens stay dead";
}

TEST_F(CoreTest, AFailedListingRemovesNothing) {
    start_with_one_pod();
    world.unlink("web.yaml");
    world.listing_fails = Error{Errc::Io, "read directory: Input/output error"};
    world.pass(2h);
    EXPECT_TRUE(token());
    EXPECT_GT(requests(), 2u) << "and it goes on being rotated";
    world.listing_fails.reset();
    world.pass(2min);
    EXPECT_FALSE(token());
}

TEST_F(CoreTest, WhenMostPodsVanishTogetherTheirRemovalIsHeld) {
    const auto start_four = [&] {
        for (const char* name : {"a", "b", "c", "d"})
            world.write(std::string(name) + ".yaml", volume_yaml("shop", name, kToken));
        world.start();
        world.pass(1s);
    };
    start_four();
    for (const char* name : {"a", "b", "c"})
        world.unlink(std::string(name) + ".yaml");
    world.pass(10min);
    EXPECT_TRUE(token("a"));
    EXPECT_THAT(world.status().removal_held, HasSubstr("3 of 4 pods vanished together"));
    world.core().release_removals(world.now());
    world.pass(1s);
    EXPECT_FALSE(token("a"));
    EXPECT_TRUE(token("d"));
    EXPECT_EQ(world.status().removal_held, "");

    world.crash();
    start_four();
    for (const char* name : {"a", "b", "c", "d"})
        world.unlink(std::string(name) + ".yaml");
    world.pass(55min);
    EXPECT_TRUE(token("a"));
    world.pass(6min);
    EXPECT_FALSE(token("a")) << "held for an hour";
}

TEST_F(CoreTest, TwoOfFourPodsMayGo) {
    for (const char* name : {"a", "b", "c", "d"})
        world.write(std::string(name) + ".yaml", volume_yaml("shop", name, kToken));
    world.start();
    world.pass(1s);
    world.unlink("a.yaml");
    world.unlink("b.yaml");
    world.pass(11s);
    EXPECT_FALSE(token("a"));
    EXPECT_TRUE(token("c"));
}

TEST_F(CoreTest, AnotherDirectoryUnderThePathHoldsRemovalsUntilThePodsAreBack) {
    start_with_one_pod();
    world.device = 7;  // the disk was unmounted
    world.unlink("web.yaml");
    world.pass(30min);
    EXPECT_TRUE(token());
    EXPECT_THAT(world.status().removal_held, HasSubstr("another one"));
    world.device = 1;
    world.write("web.yaml", volume_yaml("shop", "web", kToken));
    world.pass(2h);
    EXPECT_TRUE(token());
    EXPECT_EQ(world.status().removal_held, "");
}

TEST_F(CoreTest, ARestartAsksForNothingAndWritesNothing) {
    for (int i = 0; i < 50; ++i)
        world.write("p" + std::to_string(i), volume_yaml("shop", "p" + std::to_string(i), kToken));
    world.start();
    world.pass(10min);
    const auto disk_before = world.writes;
    ASSERT_EQ(requests(), 50u);
    world.crash();
    world.pass(5min);
    world.start();
    world.pass(33min - 1s);
    EXPECT_EQ(requests(), 50u);
    EXPECT_EQ(world.writes, disk_before);
    EXPECT_TRUE(world.status().settled);
    world.pass(2s);
    EXPECT_EQ(requests(), 100u) << "and their deadlines are kept";
}

TEST_F(CoreTest, ARestartWithTheIssuerDownServesOn) {
    start_with_one_pod();
    const auto first = token();
    world.crash();
    world.issuer.refuses = Error{Errc::Unavailable, "down"};
    world.telling_fails = Error{Errc::Unavailable, "down"};
    world.start();
    world.pass(10min);
    EXPECT_EQ(token(), first);
    EXPECT_TRUE(world.pod_status("shop", "web")->ready);
    world.issuer.refuses.reset();
    world.telling_fails.reset();
    world.pass(1h);
    EXPECT_NE(token(), first);
}

TEST_F(CoreTest, AfterARebootTheWallClockSaysHowOldATokenIs) {
    start_with_one_pod();
    world.pass(10min);
    world.reboot();
    world.start();
    world.pass(37min);
    EXPECT_EQ(requests(), 1u);
    world.pass(2min);
    EXPECT_EQ(requests(), 2u);
}

TEST_F(CoreTest, AConfigMapEditReachesTheFilesAndAsksForNoToken) {
    world.write("cm.yaml", config_map("shop", "web", "{color: blue}"));
    world.write("web.yaml", volume_yaml("shop", "web", kToken + "      - configMap: {name: web}\n"));
    world.start();
    world.pass(100ms);
    const auto before = token();
    EXPECT_EQ(world.read("shop", "web", "v", "color"), "blue");
    world.write("cm.yaml", config_map("shop", "web", "{color: red, size: xl}"));
    world.pass(10ms);
    EXPECT_EQ(world.read("shop", "web", "v", "color"), "red");
    EXPECT_EQ(world.read("shop", "web", "v", "size"), "xl");
    EXPECT_EQ(token(), before);
    EXPECT_EQ(requests(), 1u);
}

TEST_F(CoreTest, AVolumeThatLacksAnObjectIsNotPublishedUntilItIsThere) {
    world.write("web.yaml", volume_yaml("shop", "web", kToken + "      - configMap: {name: web}\n"));
    world.start();
    world.pass(1s);
    EXPECT_FALSE(token()) << "all or nothing";
    EXPECT_THAT(world.pod_status("shop", "web")->message, HasSubstr("sources[1].configMap \"web\""));
    EXPECT_TRUE(world.status().settled) << "it says why not";
    world.write("cm.yaml", config_map("shop", "web", "{a: b}"));
    world.pass(1s);
    EXPECT_TRUE(token());
    world.unlink("cm.yaml");
    world.pass(1min);
    EXPECT_EQ(world.read("shop", "web", "v", "a"), "b") << "what was published stays";
    EXPECT_THAT(world.pod_status("shop", "web")->message, HasSubstr("not found"));
}

TEST_F(CoreTest, AServiceAccountMadeAnewMeansANewTokenAtOnce) {
    world.write("account.yaml", account("shop", "web"));
    world.write("web.yaml", volume_yaml("shop", "web", kToken) + "  serviceAccountName: web\n");
    world.start();
    world.pass(1s);
    const auto first = token();
    ASSERT_TRUE(first);
    world.write("account.yaml", account("shop", "web", ", uid: another"));
    world.pass(1s);
    EXPECT_NE(token(), first);
    EXPECT_EQ(claims().service_account->uid, "another");
    EXPECT_EQ(requests(), 2u);
}

TEST_F(CoreTest, ANewSigningKeyMeansNewTokensAtOnceOnceTheOldOneIsNotAccepted) {
    start_with_one_pod();
    const auto first = token();
    world.core().on_issuer_keys(world.now(), {"key-1", "key-2"});
    world.pass(1s);
    EXPECT_EQ(token(), first);
    world.issuer.key_id = "key-2";
    world.core().on_issuer_keys(world.now(), {"key-2"});
    world.pass(1s);
    EXPECT_NE(token(), first);
    EXPECT_EQ(claims().kid, "key-2");
}

TEST_F(CoreTest, AWrongAnswerIsNeverPublished) {
    struct Case {
        std::string_view name;
        std::function<void(kube::TokenRequest&)> twist;
    };
    const Case cases[] = {
        {"another audience", [](kube::TokenRequest& request) { request.audiences = {"elsewhere"}; }},
        {"another Pod's uid", [](kube::TokenRequest& request) { request.bound_object_ref->uid = "stranger"; }},
        {"not bound at all", [](kube::TokenRequest& request) { request.bound_object_ref.reset(); }},
        {"another account", [](kube::TokenRequest& request) { request.service_account = "root"; }},
        {"expired", [](kube::TokenRequest& request) { request.expiration_seconds = -1; }},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        World other;
        other.write("web.yaml", volume_yaml("shop", "web", kVaultToken));
        other.start();
        other.pass(1s);
        const auto first = other.read("shop", "web", "v", "token");
        ASSERT_TRUE(first);
        other.issuer.twist = c.twist;
        other.pass(50min);
        EXPECT_EQ(other.read("shop", "web", "v", "token"), first);
        EXPECT_TRUE(other.reported("token refresh failed"));
        other.issuer.twist = nullptr;
        other.pass(2min);
        EXPECT_NE(other.read("shop", "web", "v", "token"), first);
    }
}

TEST_F(CoreTest, AStepOfTheWallClockEitherWayRenewsWhatItMakesInvalid) {
    start_with_one_pod();
    const auto first = token();
    world.step_wall(-2h);
    world.list_now();  // any event shows the step; the shell's timer makes one
    world.pass(1s);
    EXPECT_NE(token(), first) << "it was from the future";
    const auto second = token();
    world.step_wall(3h);
    world.list_now();
    world.pass(1s);
    EXPECT_NE(token(), second) << "it had expired";
    EXPECT_TRUE(world.reported("wall clock stepped"));
    EXPECT_EQ(requests(), 3u);
}

TEST_F(CoreTest, OneBrokenVolumeHoldsUpNoOther) {
    start_with_one_pod();
    world.write("bad.yaml", volume_yaml("shop", "bad", kToken));
    world.publish_fails = [&](const VolumePath& path) -> std::optional<Error> {
        if (world.names.contains({"shop", "web", "v"}) && path == world.names.at({"shop", "web", "v"}))
            return std::nullopt;
        return Error{Errc::Io, "openat(token): No space left on device"};
    };
    world.pass(3h);
    EXPECT_FALSE(token("bad"));
    EXPECT_EQ(world.volume("shop", "web", "v")->writes, 4u);
    EXPECT_THAT(world.pod_status("shop", "bad")->message, HasSubstr("No space left"));
    world.publish_fails = nullptr;
    world.pass(61s);
    EXPECT_TRUE(token("bad"));
    EXPECT_TRUE(world.pod_status("shop", "bad")->ready);
}

TEST_F(CoreTest, TheReplacedGenerationStaysForTheGraceTimeAndThenGoes) {
    start_with_one_pod();
    world.pass(48min + 1s);
    EXPECT_EQ(world.volume("shop", "web", "v")->generations.size(), 2u);
    world.pass(8s);
    EXPECT_EQ(world.volume("shop", "web", "v")->generations.size(), 2u);
    world.pass(3s);
    EXPECT_EQ(world.volume("shop", "web", "v")->generations.size(), 1u);
}

TEST_F(CoreTest, GenerationsOfAnEarlierRunAreSweptAfterTheGraceTime) {
    start_with_one_pod();
    world.pass(48min + 1s);
    world.crash();
    world.start();
    world.pass(9s);
    EXPECT_EQ(world.volume("shop", "web", "v")->generations.size(), 2u);
    world.pass(3s);
    EXPECT_EQ(world.volume("shop", "web", "v")->generations.size(), 1u);
}

TEST_F(CoreTest, AnotherUidInTheManifestIsAnotherPod) {
    const auto with_uid = [](const std::string& uid) {
        return "apiVersion: v1\nkind: Pod\nmetadata: {namespace: shop, name: web, uid: " + uid +
               "}\nspec:\n  containers: [{name: c, image: i}]\n";
    };
    world.write("web.yaml", with_uid("one"));
    world.start();
    world.pass(1s);
    EXPECT_EQ(uid(), "one");
    world.write("web.yaml", with_uid("two"));
    world.pass(1s);
    EXPECT_EQ(uid(), "two");
    EXPECT_EQ(world.disk.size(), 1u);
    EXPECT_TRUE(world.issuer.deleted.contains("one"));
    EXPECT_TRUE(world.read("shop", "web", "kube-api-access", "token"));
    world.write("web.yaml", with_uid("one"));
    world.pass(1s);
    EXPECT_EQ(uid(), "one");
    EXPECT_TRUE(world.read("shop", "web", "kube-api-access", "token"));
}

TEST_F(CoreTest, EditsOfAPodKeepItsUid) {
    start_with_one_pod();
    const std::string was = uid();
    world.write("web.yaml", volume_yaml("shop", "web", kVaultToken));
    world.pass(1s);
    EXPECT_EQ(uid(), was);
    EXPECT_EQ(claims().audiences, std::vector<std::string>{"vault"});
    EXPECT_EQ(requests(), 2u);
}

TEST_F(CoreTest, AVolumeTakenOutOfTheManifestLeavesAfterTheDelay) {
    start_with_one_pod();
    world.write("web.yaml", pod_yaml("shop", "web"));
    world.pass(9s);
    EXPECT_TRUE(token());
    EXPECT_TRUE(world.read("shop", "web", "kube-api-access", "token"));
    world.pass(2s);
    EXPECT_FALSE(token());
    EXPECT_EQ(world.disk.size(), 1u);
}

TEST_F(CoreTest, APodOfAnUnknownAccountWaitsForItByName) {
    world.write("web.yaml", volume_yaml("shop", "web", kToken) + "  serviceAccountName: ghost\n");
    world.start();
    world.pass(1s);
    EXPECT_FALSE(token());
    EXPECT_THAT(world.pod_status("shop", "web")->message, HasSubstr("serviceaccount \"ghost\" not found"));
    world.write("account.yaml", account("shop", "ghost"));
    world.pass(1s);
    EXPECT_TRUE(token());
}

TEST_F(CoreTest, ABadEditLeavesTheLastGoodVersionInForce) {
    start_with_one_pod();
    world.write("web.yaml",
                "kind: Pod\napiVersion: v1\nmetadata: {namespace: shop, name: web}\nspec: {containers: 7}\n");
    world.pass(3h);
    EXPECT_TRUE(token());
    EXPECT_EQ(requests(), 4u) << "and it is rotated";
    EXPECT_EQ(world.status().problems.size(), 1u);
    world.write("web.yaml", volume_yaml("shop", "web", kToken) + "  serviceAccountName: ghost\n");
    world.pass(3h);
    EXPECT_TRUE(token()) << "a good document, but not an admissible Pod";
    EXPECT_EQ(requests(), 8u);
}

TEST_F(CoreTest, WhatThePolicyForbidsIsRefusedWithItsReason) {
    CoreSettings settings = World::default_settings();
    settings.policy.namespaces = {"shop"};
    World strict(settings);
    strict.write("a.yaml", volume_yaml("shop", "web", kToken));
    strict.write("b.yaml", volume_yaml("kube-system", "web", kToken));
    strict.start();
    strict.pass(1s);
    EXPECT_TRUE(strict.read("shop", "web", "v", "token"));
    EXPECT_FALSE(strict.read("kube-system", "web", "v", "token"));
    EXPECT_THAT(strict.pod_status("kube-system", "web")->message, HasSubstr("namespace"));
}

TEST_F(CoreTest, NoTokenIsAskedForBeforeItsUidIsOnDisk) {
    world.identities_fail = Error{Errc::Io, "fdatasync(pods): No space left on device"};
    world.write("web.yaml", volume_yaml("shop", "web", kToken));
    world.start();
    world.pass(10min);
    EXPECT_EQ(requests(), 0u);
    EXPECT_THAT(world.pod_status("shop", "web")->message, HasSubstr("No space left"));
    world.identities_fail.reset();
    world.pass(61s);
    EXPECT_TRUE(token());
    EXPECT_EQ(world.identities.size(), 1u);
}

TEST_F(CoreTest, ACrashAtAnyCommandLosesNoIdentity) {
    for (int crash_at = 1; crash_at < 12; ++crash_at) {
        World other;
        int commands = 0;
        other.on_command = [&](const Command& command) {
            if (!std::holds_alternative<Report>(command) && ++commands == crash_at)
                other.crash();
        };
        other.write("web.yaml", volume_yaml("shop", "web", kToken));
        other.start();
        other.pass(1s);
        const std::string first = other.disk.empty() ? "" : other.disk.begin()->first.pod_uid;
        other.on_command = nullptr;
        other.start();
        other.pass(1min);
        ASSERT_TRUE(other.read("shop", "web", "v", "token")) << crash_at;
        EXPECT_EQ(other.disk.size(), 1u) << crash_at;
        EXPECT_TRUE(first.empty() || other.disk.begin()->first.pod_uid == first) << crash_at;
    }
}

TEST_F(CoreTest, WhatAnEarlierRunLeftWithoutManifestGoesLikeAnyOther) {
    start_with_one_pod();
    world.crash();
    world.unlink("web.yaml");
    world.start();
    world.pass(9s);
    EXPECT_TRUE(token());
    world.pass(2s);
    EXPECT_FALSE(token());
    EXPECT_TRUE(world.disk.empty());
    EXPECT_TRUE(world.names.empty()) << "nor a name that leads nowhere";
    EXPECT_TRUE(world.identities.empty());
}

TEST_F(CoreTest, ARestartWhileAManifestIsBrokenRemovesNothing) {
    start_with_one_pod();
    const std::string was = uid();
    world.crash();
    world.write("web.yaml", "metadata: {name: [broken");
    world.start();
    world.pass(2h);
    EXPECT_TRUE(token()) << "the broken document may be its own";
    EXPECT_EQ(world.identities.size(), 1u);
    world.write("web.yaml", volume_yaml("shop", "web", kToken));
    world.pass(1s);
    EXPECT_EQ(uid(), was);
    EXPECT_TRUE(world.pod_status("shop", "web")->ready);
}

TEST_F(CoreTest, ARestartAsksForNothingWhenTheIssuersClockIsAnother) {
    CoreSettings settings = World::default_settings();
    settings.issuer_clock = IssuerClock::Measured;
    World skewed(settings);
    skewed.issuer.clock_offset = 3h;
    skewed.write("web.yaml", volume_yaml("shop", "web", kToken));
    skewed.start();
    skewed.pass(10min);
    skewed.crash();
    skewed.start();
    skewed.pass(10min);
    EXPECT_EQ(skewed.issuer.requests.size(), 1u);
}

TEST_F(CoreTest, ALostStateDirectoryCostsNoPodItsUidNorItsFiles) {
    start_with_one_pod();
    const std::string was = uid();
    world.crash();
    world.identities.clear();
    world.start();
    world.pass(1min);
    EXPECT_EQ(uid(), was);
    EXPECT_EQ(requests(), 1u);
    EXPECT_EQ(world.identities.size(), 1u) << "and it is recorded again";
}

TEST_F(CoreTest, WhatAnEarlierRunLeftIsShownAsNotReadyWhileItsRemovalIsHeld) {
    for (const char* name : {"a", "b", "c", "d"})
        world.write(std::string(name) + ".yaml", volume_yaml("shop", name, kToken));
    world.start();
    world.pass(1s);
    world.crash();
    for (const char* name : {"a", "b", "c"})
        world.unlink(std::string(name) + ".yaml");
    world.start();
    world.pass(1min);
    ASSERT_EQ(world.status().pods.size(), 4u);
    EXPECT_FALSE(world.pod_status("shop", "a")->ready);
    EXPECT_THAT(world.pod_status("shop", "a")->message, HasSubstr("removal is held"));
    EXPECT_TRUE(world.pod_status("shop", "d")->ready);
}

TEST_F(CoreTest, ATokenFromTheFutureIsNotReady) {
    start_with_one_pod();
    world.issuer.refuses = Error{Errc::Unavailable, "the wall clock is behind"};
    world.step_wall(-2h);
    world.list_now();
    world.pass(1s);
    EXPECT_FALSE(world.pod_status("shop", "web")->ready);
    EXPECT_THAT(world.pod_status("shop", "web")->message, HasSubstr("not valid before"));
}

TEST_F(CoreTest, ThePodsOwnGraceTimeCounts) {
    std::string manifest = volume_yaml("shop", "web", kToken);
    manifest.replace(manifest.find("name: web"), 9, "name: web, annotations: {tokenlet.dev/grace: 150s}");
    world.write("web.yaml", manifest);
    world.start();
    world.pass(48min + 1s);
    world.pass(148s);
    EXPECT_EQ(world.volume("shop", "web", "v")->generations.size(), 2u);
    world.pass(3s);
    EXPECT_EQ(world.volume("shop", "web", "v")->generations.size(), 1u);
}

TEST_F(CoreTest, SourcesWithTheSameAudienceAndLifetimeShareAToken) {
    world.write("web.yaml", volume_yaml("shop", "web",
                                        kToken + "      - serviceAccountToken: {path: again}\n" +
                                            "      - serviceAccountToken: {path: other, audience: x}\n"));
    world.start();
    world.pass(1s);
    EXPECT_EQ(requests(), 2u);
    EXPECT_EQ(token(), world.read("shop", "web", "v", "again"));
    EXPECT_NE(token(), world.read("shop", "web", "v", "other"));
}

TEST_F(CoreTest, RequestsAreLimitedAndTheMostUrgentGoFirst) {
    start_with_one_pod();
    world.pass(47min);
    for (int i = 0; i < 1000; ++i)
        world.write("p" + std::to_string(i), volume_yaml("shop", "p" + std::to_string(i), kToken));
    world.issuer.latency = 5s;
    const std::size_t before = requests();
    world.pass(2min);
    EXPECT_LE(world.most_requests_at_once, 64u);
    EXPECT_GT(requests(), before + 1000);
    world.pass(2min);
    EXPECT_TRUE(world.status().settled);
}

TEST_F(CoreTest, AManifestMayOverrideTheRootCa) {
    world.write("ca.yaml", config_map("shop", "kube-root-ca.crt", "{ca.crt: mine}"));
    world.write("web.yaml", pod_yaml("shop", "web"));
    world.write("db.yaml", pod_yaml("store", "db"));
    world.start();
    world.pass(1s);
    EXPECT_EQ(world.read("shop", "web", "kube-api-access", "ca.crt"), "mine");
    EXPECT_EQ(world.read("store", "db", "kube-api-access", "ca.crt"), "CA\n");
    world.core().on_root_ca(world.now(), "CA2\n");
    world.pass(1s);
    EXPECT_EQ(world.read("store", "db", "kube-api-access", "ca.crt"), "CA2\n") << "a new CA reaches the files at once";
}

TEST_F(CoreTest, RotateNowAsksForNewTokensOfThatPod) {
    start_with_one_pod();
    const auto first = token();
    EXPECT_TRUE(world.core().rotate_now(world.now(), {"shop", "web"}, ""));
    world.pass(1s);
    EXPECT_NE(token(), first);
    EXPECT_EQ(world.core().rotate_now(world.now(), {"shop", "db"}, "").error().code, Errc::NotFound);
    EXPECT_EQ(world.core().rotate_now(world.now(), {"shop", "web"}, "none").error().code, Errc::NotFound);
}

TEST_F(CoreTest, AfterARestartInAnotherIssuersServiceTheOldTokenServesUntilTheNewOneIsThere) {
    start_with_one_pod();
    const auto first = token();
    world.crash();
    CoreSettings settings = World::default_settings();
    settings.issuer = "https://other";
    World moved(settings);
    moved.disk = world.disk;
    moved.names = world.names;
    moved.identities = world.identities;
    moved.write("web.yaml", volume_yaml("shop", "web", kToken));
    moved.issuer.latency = 5s;
    moved.start();
    moved.pass(4s);
    EXPECT_EQ(moved.read("shop", "web", "v", "token"), first);
    moved.pass(2s);
    EXPECT_NE(moved.read("shop", "web", "v", "token"), first);
}

TEST_F(CoreTest, AMeasuredClockIsBelievedInsteadOfOurs) {
    CoreSettings settings = World::default_settings();
    settings.issuer_clock = IssuerClock::Measured;
    World skewed(settings);
    skewed.issuer.clock_offset = 3h;
    skewed.write("web.yaml", volume_yaml("shop", "web", kToken));
    skewed.start();
    skewed.pass(47min);
    EXPECT_EQ(skewed.issuer.requests.size(), 1u) << "by our clock the token is from the future";
    EXPECT_TRUE(skewed.pod_status("shop", "web")->ready);
    skewed.pass(2min);
    EXPECT_EQ(skewed.issuer.requests.size(), 2u);
}

TEST_F(CoreTest, AStepOfOurClockMakesNoTokenOfAMeasuredIssuerInvalid) {
    for (const Duration step : {Duration(-2h), Duration(2h)}) {
        SCOPED_TRACE(go_duration(step));
        CoreSettings settings = World::default_settings();
        settings.issuer_clock = IssuerClock::Measured;
        World stepped(settings);
        stepped.write("web.yaml", volume_yaml("shop", "web", kToken));
        stepped.start();
        stepped.pass(10min);
        stepped.step_wall(step);
        stepped.issuer.clock_offset = -step;  // which goes on as it did
        stepped.wake();
        stepped.pass(10min);
        EXPECT_TRUE(stepped.reported("wall clock stepped"));
        EXPECT_TRUE(stepped.pod_status("shop", "web")->ready);
        stepped.crash();
        stepped.start();
        stepped.pass(10min);
        EXPECT_EQ(stepped.issuer.requests.size(), 1u);
        stepped.pass(20min);
        EXPECT_EQ(stepped.issuer.requests.size(), 2u) << "at its time";
    }
}

TEST_F(CoreTest, ARenewalSaysWhatTheTokenSoFarIsBoundTo) {
    start_with_one_pod();
    EXPECT_FALSE(world.issuer.last_held) << "there is none yet";
    world.crash();
    start_with_one_pod();
    world.core().on_issuer_name(world.now(), "https://sim");
    world.pass(49min);
    EXPECT_EQ(requests(), 2u);
    ASSERT_TRUE(world.issuer.last_held) << "also of one that was adopted";
    EXPECT_EQ(world.issuer.last_held, world.issuer.requests.back().second.bound_object_ref);

    world.core().on_issuer_name(world.now(), "https://other");
    world.wake();
    world.pass(1s);
    EXPECT_EQ(requests(), 3u);
    EXPECT_FALSE(world.issuer.last_held) << "what another issuer bound it to is nothing here";
}

TEST_F(CoreTest, APodThatAnotherIssuerMayHaveMeantIsNothingHere) {
    start_with_one_pod();
    world.crash();
    start_with_one_pod();
    world.pass(49min);
    EXPECT_EQ(requests(), 2u);
    EXPECT_FALSE(world.issuer.last_held) << "the name of this issuer is not known";
    world.pass(49min);
    EXPECT_EQ(requests(), 3u);
    EXPECT_TRUE(world.issuer.last_held) << "it is that of the token it has given meanwhile";
}

TEST_F(CoreTest, ASecretIsALockBeforeTheNameOfTheIssuerIsKnown) {
    const kube::BoundObjectRef secret{"Secret", "tokenlet-edge", "s-1"};
    world.issuer.binds_to = secret;
    start_with_one_pod();
    world.crash();
    start_with_one_pod();
    world.pass(49min);
    EXPECT_EQ(requests(), 2u);
    EXPECT_EQ(world.issuer.last_held, secret) << "a restart is no way around it";
}

TEST_F(CoreTest, AnIssuerThatDoesNotNameTheAccountIsBelievedByItsToken) {
    world.issuer.names_no_account = true;
    start_with_one_pod();
    world.pass(10min);
    EXPECT_EQ(requests(), 1u) << "no token would ever be good enough";
    world.crash();
    world.start();
    world.pass(10min);
    EXPECT_EQ(requests(), 1u);
}

TEST_F(CoreTest, WhatIsDemandedGoesBeforeWhatIsDue) {
    CoreSettings settings = World::default_settings();
    settings.requests_at_once = 1;
    World crowded(settings);
    for (int i = 0; i < 8; ++i)
        crowded.write("p" + std::to_string(i), volume_yaml("shop", "p" + std::to_string(i), kToken));
    crowded.start();
    crowded.write("young.yaml", volume_yaml("shop", "young", kVaultToken));
    crowded.pass(48min - 1s);
    crowded.issuer.latency = 10s;
    const std::size_t before = crowded.issuer.requests.size();
    crowded.pass(2s);
    ASSERT_TRUE(crowded.core().rotate_now(crowded.now(), {"shop", "young"}, ""));
    crowded.pass(20s);
    ASSERT_GE(crowded.issuer.requests.size(), before + 2);
    EXPECT_EQ(crowded.issuer.requests.at(before + 1).second.audiences, std::vector<std::string>{"vault"});
}

TEST_F(CoreTest, ATokenIsReplacedTheMomentTheSteppedClockPassesItsEnd) {
    start_with_one_pod();
    world.pass(5min + 1s);  // the audit is not for a while
    const auto first = token();
    world.step_wall(52min);
    world.wake();
    world.pass(2min + 50s);
    EXPECT_EQ(token(), first);
    world.pass(11s);
    EXPECT_NE(token(), first) << "by age it would be due in 40 minutes";
}

TEST_F(CoreTest, AnAnswerThatASuspendKeptUnderWayIsNotTakenForFresh) {
    CoreSettings settings = World::default_settings();
    settings.issuer_clock = IssuerClock::Measured;
    World laptop(settings);
    laptop.write("web.yaml", volume_yaml("shop", "web", kToken));
    laptop.start();
    laptop.pass(47min);
    const auto first = laptop.read("shop", "web", "v", "token");
    laptop.issuer.delivery = 30s;
    laptop.pass(1min + 10s);  // asked and signed, not yet here
    laptop.suspend(3h);
    laptop.issuer.delivery = 0s;
    laptop.issuer.refuses = Error{Errc::Unavailable, "no network yet"};
    laptop.pass(1s);
    EXPECT_EQ(laptop.read("shop", "web", "v", "token"), first);
    EXPECT_FALSE(laptop.pod_status("shop", "web")->ready) << "the answer is three hours old and has expired";
    laptop.issuer.refuses.reset();
    laptop.pass(61s);
    EXPECT_TRUE(laptop.pod_status("shop", "web")->ready);
}

TEST_F(CoreTest, AnAnswerOfAKeyThatWentMeanwhileIsAskedForAgain) {
    start_with_one_pod();
    world.pass(48min - 1s);
    world.issuer.delivery = 10s;
    world.pass(5s);  // signed by key-1, not yet here
    world.issuer.key_id = "key-2";
    world.core().on_issuer_keys(world.now(), {"key-2"});
    world.issuer.delivery = 0s;
    world.pass(10s);
    EXPECT_EQ(claims().kid, "key-2");
    EXPECT_EQ(requests(), 3u);
}

TEST_F(CoreTest, AVolumeThatIsBackWhenTheDirectoryCanBeReadAgainHasNotLeft) {
    start_with_one_pod();
    world.write("web.yaml", pod_yaml("shop", "web"));
    world.pass(5s);
    world.listing_fails = Error{Errc::Io, "Input/output error"};
    world.write("web.yaml", volume_yaml("shop", "web", kToken));
    world.pass(1min);
    EXPECT_TRUE(token()) << "taken out for five seconds, as far as anybody can tell";
    world.listing_fails.reset();
    world.list_now();
    world.pass(1min);
    EXPECT_TRUE(token());
}

TEST_F(CoreTest, AManifestThatWasBrokenAtTheStartHasItsDelayOnceItIsReadable) {
    start_with_one_pod();
    const std::string was = uid();
    world.crash();
    world.write("web.yaml", "metadata: {name: [broken");
    world.start();
    world.pass(1h);
    world.unlink("web.yaml");  // an editor unlinks and creates
    world.pass(5s);
    EXPECT_TRUE(token());
    EXPECT_TRUE(world.issuer.deleted.empty());
    world.write("web.yaml", volume_yaml("shop", "web", kToken));
    world.pass(1min);
    EXPECT_EQ(uid(), was);
}

TEST_F(CoreTest, AManifestThatComesBackBrokenHasNotLeft) {
    start_with_one_pod();
    const std::string was = uid();
    world.unlink("web.yaml");
    world.pass(1s);
    world.write("web.yaml", "metadata: {name: [broken");
    world.pass(2h);
    EXPECT_TRUE(token());
    EXPECT_FALSE(world.pod_status("shop", "web")->leaving);
    world.write("web.yaml", volume_yaml("shop", "web", kToken));
    world.pass(1s);
    EXPECT_EQ(uid(), was);
}

TEST_F(CoreTest, AReleaseIsForThePodsThatAreAbsentThen) {
    for (const char* name : {"a", "b", "c", "d", "e", "f", "g", "h"})
        world.write(std::string(name) + ".yaml", volume_yaml("shop", name, kToken));
    world.start();
    world.pass(1s);
    world.crash();
    world.write("a.yaml", "metadata: {name: [broken");  // so that a cannot leave, and stays absent
    for (const char* name : {"b", "c", "d", "e"})
        world.unlink(std::string(name) + ".yaml");
    world.start();
    world.pass(2h);
    for (const char* name : {"f", "g", "h"})
        world.unlink(std::string(name) + ".yaml");
    world.device = 7;
    world.pass(30min);
    EXPECT_TRUE(token("f")) << "the directory was unmounted after the release";
    EXPECT_NE(world.status().removal_held, "");
}

TEST_F(CoreTest, APodWhoseLeavingDiedHalfwayDoesNotComeBackFromTheDead) {
    start_with_one_pod();
    const std::string was = uid();
    world.identities_fail = Error{Errc::Io, "No space left on device"};
    world.unlink("web.yaml");
    world.pass(1min);
    EXPECT_FALSE(token());
    world.crash();
    world.identities_fail.reset();
    world.write("web.yaml", volume_yaml("shop", "web", kToken));
    world.start();
    world.pass(1s);
    EXPECT_TRUE(token());
    EXPECT_FALSE(world.issuer.deleted.contains(uid())) << "the issuer would have refused its tokens";
}

TEST_F(CoreTest, AVolumeThatACrashKeptFromGoingGivesNoPodItsDeadUid) {
    start_with_one_pod();
    world.write("db.yaml", volume_yaml("shop", "db", kToken));
    world.pass(1s);
    const std::string was = uid();
    world.removal_ends = [](const VolumePath&) { return sim::End::Fails; };
    world.unlink("web.yaml");
    world.pass(1min);
    ASSERT_TRUE(world.issuer.deleted.contains(was));
    world.crash();
    world.removal_ends = nullptr;
    world.write("web.yaml", volume_yaml("shop", "web", kToken));
    world.start();
    world.pass(1min);
    EXPECT_NE(uid(), was);
    EXPECT_TRUE(token());
    EXPECT_EQ(world.disk.size(), 2u);
}

TEST_F(CoreTest, OfTwoVolumesWithOneTokenTheYoungerIsAdopted) {
    const std::string two =
        "apiVersion: v1\nkind: Pod\nmetadata: {namespace: shop, name: web}\nspec:\n  automountServiceAccountToken: "
        "false\n  containers:\n  - {name: c, volumeMounts: [{name: v, mountPath: /v}, {name: w, mountPath: /w}]}\n"
        "  volumes:\n  - name: v\n    projected: {sources: [{serviceAccountToken: {path: token}}]}\n"
        "  - name: w\n    projected: {sources: [{serviceAccountToken: {path: token}}]}\n";
    world.write("web.yaml", two);
    world.start();
    world.pass(1s);
    world.publish_fails = [](const VolumePath& path) -> std::optional<Error> {
        return path.volume == "v" ? std::optional(Error{Errc::Io, "No space left on device"}) : std::nullopt;
    };
    world.pass(48min);
    const auto young = world.read("shop", "web", "w", "token");
    EXPECT_NE(token(), young);
    world.crash();
    world.publish_fails = nullptr;
    world.start();
    world.pass(1s);
    EXPECT_EQ(token(), young);
    EXPECT_EQ(world.read("shop", "web", "w", "token"), young);
    EXPECT_EQ(requests(), 2u);
}

TEST_F(CoreTest, RequestsThatAreNeverAnsweredStarveNoOtherToken) {
    CoreSettings settings = World::default_settings();
    settings.requests_at_once = 2;
    World crowded(settings);
    crowded.write("web.yaml", volume_yaml("shop", "web", kToken));
    for (int i = 0; i < 20; ++i)
        crowded.write("p" + std::to_string(i), volume_yaml("void", "p" + std::to_string(i), kToken));
    crowded.start();
    crowded.pass(1min);
    crowded.issuer.unreachable_for = "void";
    crowded.pass(49min + 1min);
    const auto first = crowded.read("shop", "web", "v", "token");
    crowded.pass(48min + 1min);
    EXPECT_NE(crowded.read("shop", "web", "v", "token"), first);
    EXPECT_TRUE(crowded.pod_status("shop", "web")->ready);
}

TEST_F(CoreTest, WhatAFailedPublishReplacedHasItsGraceTimeToo) {
    start_with_one_pod();
    world.pass(48min - 5s);
    world.core().rotate_now(world.now(), {"shop", "web"}, "");
    world.pass(5s - 1ms);
    bool halfway = true;
    world.publish_ends = [&](const VolumePath&) { return halfway ? sim::End::FailsHalfway : sim::End::Done; };
    world.core().rotate_now(world.now(), {"shop", "web"}, "");
    world.pass(6s);  // the first sweep is due
    EXPECT_EQ(world.volume("shop", "web", "v")->generations.size(), 3u);
    halfway = false;
    world.pass(1min);
    EXPECT_EQ(world.volume("shop", "web", "v")->generations.size(), 1u);
}

TEST_F(CoreTest, ARestartMeasuresTheIssuersClockByTheYoungestToken) {
    CoreSettings settings = World::default_settings();
    settings.issuer_clock = IssuerClock::Measured;
    World skewed(settings);
    skewed.write("a.yaml", volume_yaml("shop", "a", kToken));
    skewed.start();
    skewed.pass(1min);
    skewed.step_wall(-5h);  // our clock; the issuer's goes on
    skewed.issuer.clock_offset = 5h;
    skewed.write("b.yaml", volume_yaml("shop", "b", kToken));
    skewed.pass(10min);
    const std::size_t before = skewed.issuer.requests.size();
    skewed.crash();
    skewed.start();
    skewed.pass(10min);
    EXPECT_EQ(skewed.issuer.requests.size(), before) << "by a's record the clock is five hours off";
}

TEST_F(CoreTest, ATokenThatNeedsNoRequestAnyMoreWhenItsTurnComesIsStillRotatedInTime) {
    CoreSettings settings = World::default_settings();
    settings.issuer_clock = IssuerClock::Measured;
    settings.requests_at_once = 1;
    World crowded(settings);
    for (int i = 0; i < 4; ++i)
        crowded.write("p" + std::to_string(i), volume_yaml("shop", "p" + std::to_string(i), kToken));
    crowded.start();
    crowded.pass(45min);
    crowded.issuer.latency = 1s;
    crowded.issuer.clock_offset = 15min + 20s;  // all have expired, until the next answer tells another time
    ASSERT_TRUE(crowded.core().rotate_now(crowded.now(), {"shop", "p0"}, ""));
    crowded.pass(1500ms);
    ASSERT_EQ(crowded.issuer.requests.size(), 6u);
    crowded.issuer.clock_offset -= 50s;
    crowded.pass(1s);
    ASSERT_EQ(crowded.issuer.requests.size(), 6u) << "two that waited have half a minute left after all";
    crowded.pass(1min);
    EXPECT_EQ(crowded.issuer.requests.size(), 8u);
}

TEST_F(CoreTest, WhatAPublishUnderWayReplacesIsNotSwept) {
    start_with_one_pod();
    ASSERT_TRUE(world.core().rotate_now(world.now(), {"shop", "web"}, ""));
    world.pass(9s);
    world.publish_latency = 2s;  // until the core hears of it
    ASSERT_TRUE(world.core().rotate_now(world.now(), {"shop", "web"}, ""));
    world.pass(5s);  // the first one's grace time ends in between
    EXPECT_GE(world.volume("shop", "web", "v")->generations.size(), 2u);
    world.pass(30s);
    EXPECT_EQ(world.volume("shop", "web", "v")->generations.size(), 1u);
}

TEST_F(CoreTest, AGraceTimeThatEndsWhileAVolumeIsPublishedKeepsNobodyBusy) {
    struct Case {
        std::string_view name;
        std::optional<Error> failure;
    };
    for (const Case& c :
         {Case{"what was replaced goes afterwards", {}},
          Case{"also when the publish fails", Error{Errc::Io, "openat(token): No space left on device"}}}) {
        SCOPED_TRACE(c.name);
        CoreSettings settings = World::default_settings();
        settings.grace = 0s;
        World slow(settings);
        slow.write("web.yaml", volume_yaml("shop", "web", kToken));
        slow.start();
        slow.pass(1s);
        slow.publish_latency = 2s;
        ASSERT_TRUE(slow.core().rotate_now(slow.now(), {"shop", "web"}, ""));
        slow.pass(1s);
        ASSERT_TRUE(slow.core().rotate_now(slow.now(), {"shop", "web"}, ""));
        slow.publish_fails = [&](const VolumePath&) { return c.failure; };
        slow.pass(3500ms);  // the first is published, and with the second begins the end of what the first replaced
        EXPECT_EQ(slow.volume("shop", "web", "v")->generations.size(), 1u);
        EXPECT_EQ(slow.trouble, "");
    }
}

TEST_F(CoreTest, AChangeWhileAVolumeIsPublishedIsNotLost) {
    world.write("cm.yaml", config_map("shop", "web", "{color: blue}"));
    world.write("web.yaml", volume_yaml("shop", "web", kToken + "      - configMap: {name: web}\n"));
    world.publish_latency = 2s;  // a slow disk
    world.start();
    world.pass(1s);
    world.write("cm.yaml", config_map("shop", "web", "{color: red}"));
    world.pass(5s);
    EXPECT_EQ(world.read("shop", "web", "v", "color"), "red");
}

TEST_F(CoreTest, AQuietAgentHasNothingToDoUntilTheNextDeadline) {
    start_with_one_pod();
    world.pass(30s);
    const auto next = world.core().next_deadline();
    ASSERT_TRUE(next);
    EXPECT_GT(*next - world.now().boot, 9min) << "the audit is first";
}

}  // namespace
}  // namespace tokenlet::agent
