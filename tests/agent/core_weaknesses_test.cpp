// SPDX-License-Identifier: Apache-2.0
// What users report against the kubelet and the core must not do; each test is named after its symptom.
// docs/kubelet-weaknesses.md has the whole list, with the rows that other tests try.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "agent/core/core.h"
#include "kube/jwt.h"
#include "tests/sim/world.h"

namespace tokenlet::agent {
namespace {

using sim::volume_yaml;
using sim::World;
using namespace std::chrono_literals;
using ::testing::HasSubstr;

const std::string kToken = "      - serviceAccountToken: {path: token}\n";

struct CoreWeaknesses : ::testing::Test {
    World world;
    void TearDown() override { EXPECT_EQ(world.trouble, ""); }

    void start_with_one_pod() {
        world.write("web.yaml", volume_yaml("shop", "web", kToken));
        world.start();
        world.pass(100ms);
        ASSERT_TRUE(token());
    }
    std::optional<std::string> token(const std::string& pod = "web") { return world.read("shop", pod, "v", "token"); }
    const FileStatus& file() { return world.pod_status("shop", "web")->volumes.at(0).files.at(0); }
};

// The most requests within ten seconds, of those from `first` on.
std::size_t highest_spike(const World& world, std::size_t first) {
    const auto& requests = world.issuer.requests;
    std::size_t most = 0;
    for (std::size_t from = first, to = first; from < requests.size(); ++from) {
        while (to < requests.size() && requests[to].first - requests[from].first <= 10s)
            ++to;
        most = std::max(most, to - from);
    }
    return most;
}

TEST(CoreWeaknessesAtACluster, TokensOfAServerWhoseClockWasAheadDoNotStayInvalidOnceItIsCorrected) {
    CoreSettings settings = World::default_settings();
    settings.issuer_clock = IssuerClock::Measured;
    World world(settings);
    world.issuer.clock_offset = 2h;
    world.write("web.yaml", volume_yaml("shop", "web", kToken));
    world.start();
    world.pass(1min);
    EXPECT_TRUE(world.pod_status("shop", "web")->ready);
    world.issuer.clock_offset = 0s;
    // As the issuer's keys are read, every ten minutes.
    world.act([](Core& core, Now now) { core.on_issuer_clock(now, now.wall); });
    world.pass(1s);
    EXPECT_EQ(world.issuer.requests.size(), 2u);
    EXPECT_LE(kube::read_jwt(*world.read("shop", "web", "v", "token"))->issued_at, world.now().wall);
    EXPECT_TRUE(world.reported("issuer's clock is another than was known"));
    EXPECT_EQ(world.trouble, "");
}

TEST(CoreWeaknessesInAFleet, ThreeHundredTokensOfOneMomentAreNotRenewedInASpikeNorAfterARestart) {
    for (const bool restarts : {false, true}) {
        SCOPED_TRACE(restarts ? "with a restart" : "as they are");
        CoreSettings settings = World::default_settings();
        settings.rotation.max_jitter = rotation::RotationPolicy().max_jitter;
        World world(settings);
        for (int i = 0; i < 300; ++i)
            world.write("p" + std::to_string(i), volume_yaml("shop", "p" + std::to_string(i), kToken));
        world.start();
        world.pass(30min);
        ASSERT_EQ(world.issuer.requests.size(), 300u);
        if (restarts) {
            world.crash();
            world.start();
        }
        world.pass(19min);
        EXPECT_EQ(world.issuer.requests.size(), 600u);
        EXPECT_LT(highest_spike(world, 300), 300u / 10);
        EXPECT_EQ(world.trouble, "");
    }
}

TEST_F(CoreWeaknesses, ARefusalOfTwentyHoursIsAskedAgainAllTheTimeAndShown) {
    start_with_one_pod();
    const auto first = token();
    // A control plane that restarts: its authorizer does not know the node yet. No waiting mends a 403, says the code.
    world.issuer.refuses = Error{Errc::Denied, "TokenRequest: 403 Forbidden: no relationship found"};
    world.pass(20h);
    EXPECT_EQ(token(), first) << "a stale file, not a missing one";
    EXPECT_GT(world.issuer.requests.size(), 19u * 60) << "never given up";
    EXPECT_FALSE(world.pod_status("shop", "web")->ready);
    EXPECT_THAT(file().last_error, HasSubstr("no relationship found"));
    EXPECT_TRUE(world.reported("token refresh still fails and the token is about to expire"));
    EXPECT_TRUE(world.reported("token has expired and cannot be refreshed"));
    world.issuer.refuses.reset();
    world.pass(61s);
    EXPECT_NE(token(), first);
    EXPECT_TRUE(world.pod_status("shop", "web")->ready);
}

TEST_F(CoreWeaknesses, ATerminatingPodsTokenGoesOnBeingRenewed) {
    const std::string terminating =
        "apiVersion: v1\nkind: Pod\nmetadata: {namespace: shop, name: web, deletionGracePeriodSeconds: 14400,\n"
        "  deletionTimestamp: '2027-01-15T08:00:00Z'}\n";
    std::string manifest = volume_yaml("shop", "web", kToken);
    manifest.replace(0, manifest.find("spec:"), terminating);
    world.write("web.yaml", manifest);
    world.start();
    world.pass(4h + 1min);
    EXPECT_EQ(world.issuer.requests.size(), 6u) << "dumped while it was terminating, it is served as any other";

    for (const char* name : {"a", "b", "c"})
        world.write(name, volume_yaml("shop", name, kToken));
    world.pass(30min);
    const auto before = token("a");
    for (const char* file : {"a", "b", "c", "web.yaml"})
        world.unlink(file);
    world.pass(30min);
    EXPECT_NE(world.status().removal_held, "");
    EXPECT_NE(token("a"), before) << "while it leaves, its containers may still run";
    EXPECT_TRUE(token("a"));
}

TEST_F(CoreWeaknesses, OneVolumeThatCannotBeMadeDoesNotBlockTheTokensOfTheWholePod) {
    const std::string two_volumes = R"(apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: web}
spec:
  automountServiceAccountToken: false
  containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /v}, {name: w, mountPath: /w}, {name: x, mountPath: /x}]}]
  volumes:
  - {name: v, projected: {sources: [{serviceAccountToken: {path: token}}]}}
  - {name: w, projected: {sources: [{configMap: {name: nowhere}}]}}
  - {name: x, projected: {sources: [{serviceAccountToken: {path: token, audience: vault}}]}}
)";
    world.publish_fails = [](const VolumePath& path) -> std::optional<Error> {
        if (path.volume == "x")
            return Error{Errc::Io, "openat(token): No space left on device"};
        return std::nullopt;
    };
    world.write("web.yaml", two_volumes);
    world.start();
    world.pass(1s);
    const auto first = token();
    ASSERT_TRUE(first);
    world.pass(49min);
    EXPECT_NE(token(), first);
    EXPECT_FALSE(world.pod_status("shop", "web")->ready) << "what cannot be made is shown all the same";
}

TEST_F(CoreWeaknesses, AStaticPodHasItsServiceAccountsToken) {
    // In kubeadm's form, with what a kubelet adds to the Pods that it reads from files.
    world.write("account.yaml",
                "apiVersion: v1\nkind: ServiceAccount\nmetadata: {namespace: kube-system, name: probe}\n");
    world.write("probe.yaml", R"(apiVersion: v1
kind: Pod
metadata:
  name: probe
  namespace: kube-system
  labels: {component: probe, tier: control-plane}
  annotations: {kubernetes.io/config.source: file, kubernetes.io/config.hash: 5a1b3c}
spec:
  hostNetwork: true
  priorityClassName: system-node-critical
  serviceAccountName: probe
  containers:
  - name: probe
    image: registry.k8s.io/probe:v1
    command: [probe, --kubeconfig=/etc/kubernetes/probe.conf]
    volumeMounts: [{name: kubeconfig, mountPath: /etc/kubernetes/probe.conf, readOnly: true}]
  volumes: [{name: kubeconfig, hostPath: {path: /etc/kubernetes/probe.conf, type: FileOrCreate}}]
)");
    world.start();
    world.pass(1s);
    const auto found = world.read("kube-system", "probe", "kube-api-access", "token");
    ASSERT_TRUE(found);
    EXPECT_EQ(kube::read_jwt(*found)->subject, "system:serviceaccount:kube-system:probe");
}

TEST(CoreWeaknessesByConfiguration, ATenMinuteTokenIsRenewedEverySixSeconds) {
    CoreSettings settings = World::default_settings();
    settings.rotation.fraction = 0.01;
    World world(settings);
    world.write("web.yaml",
                volume_yaml("shop", "web", "      - serviceAccountToken: {path: token, expirationSeconds: 600}\n"));
    world.start();
    world.pass(1min + 1s);
    EXPECT_EQ(world.issuer.requests.size(), 11u);
    EXPECT_EQ(world.trouble, "");
}

TEST_F(CoreWeaknesses, TheRealEndOfATokenThatTheServerExtendsIsKnownAlsoAfterARestart) {
    world.issuer.extends = 8760h - 1h;
    start_with_one_pod();
    EXPECT_GT(*file().valid_until, world.now().wall + 8759h);
    EXPECT_LT(*file().expires_at, world.now().wall + 2h) << "by which it rotates";
    world.crash();
    world.start();
    world.pass(1s);
    EXPECT_EQ(world.issuer.requests.size(), 1u);
    EXPECT_GT(*file().valid_until, world.now().wall + 8759h);
}

TEST_F(CoreWeaknesses, AfterASuspendNoExpiredTokenIsLeftForTheNextSync) {
    start_with_one_pod();
    const auto first = token();
    world.suspend(50min);
    world.wake();
    world.pass(1s);
    EXPECT_NE(token(), first) << "it has aged meanwhile";
    const auto second = token();
    world.suspend(30h);
    world.wake();
    world.pass(1s);
    EXPECT_NE(token(), second) << "it has expired meanwhile";
}

TEST_F(CoreWeaknesses, AFailedRenewalShowsItsAgeItsTimeLeftAndHowOftenItFailed) {
    start_with_one_pod();
    world.issuer.refuses = Error{Errc::Unavailable, "TokenRequest: 503"};
    world.pass(50min);
    EXPECT_GT(world.status().token_failures, 2u);
    EXPECT_EQ(file().failures, world.status().token_failures);
    EXPECT_EQ(file().last_error, "TokenRequest: 503");
    EXPECT_GT(*file().retries_at, world.now().wall);
    EXPECT_GT(world.now().wall - *file().issued_at, 50min - 1s);
    EXPECT_LT(*file().expires_at - world.now().wall, 10min + 1s);
    world.issuer.refuses.reset();
    world.pass(61s);
    EXPECT_EQ(file().failures, 0u);
}

}  // namespace
}  // namespace tokenlet::agent
