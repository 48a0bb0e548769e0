// SPDX-License-Identifier: Apache-2.0
#include "authority/registry.h"

#include <gtest/gtest.h>

#include "tests/authority/scratch.h"

namespace tokenlet::authority {
namespace {

using namespace std::chrono_literals;

const kube::ObjectKey kDefault{"shop", "default"};
const kube::ObjectKey kFrontend{"shop", "frontend"};
const kube::ObjectKey kWeb{"shop", "web"};

PodRecord web() {
    return {
        .key = kWeb, .uid = "web-uid", .service_account = "frontend", .node_name = "edge-7", .deletion_timestamp = {}};
}

struct RegistryTest : testing::Test {
    Registry registry;
    Entropy entropy = counting_entropy();

    std::string put(const kube::ObjectKey& key, std::string_view uid = "") {
        return registry.put_service_account(key, uid, entropy).value();
    }
};

using RegistryAccounts = RegistryTest;
using RegistryPods = RegistryTest;

TEST_F(RegistryAccounts, AUidIsDrawnOnceAndKept) {
    const std::string uid = put(kFrontend);
    EXPECT_EQ(uid, uid_number(1));
    EXPECT_EQ(put(kFrontend), uid);
}

TEST_F(RegistryAccounts, AUidThatIsGivenWinsAndStaysWhenItIsNoLongerGiven) {
    put(kFrontend);
    EXPECT_EQ(put(kFrontend, "given"), "given");
    EXPECT_EQ(put(kFrontend), "given");
}

TEST_F(RegistryAccounts, DefaultExistsWhereverAnAccountOrAPodDoes) {
    put(kFrontend);
    ASSERT_NE(registry.service_account(kDefault), nullptr);
    EXPECT_EQ(registry.service_account(kDefault)->origin, ServiceAccountRecord::Origin::Implied);
    ASSERT_TRUE(registry.put_pod(
        {.key = {"lab", "x"}, .uid = "x-uid", .service_account = "default", .node_name = {}, .deletion_timestamp = {}},
        entropy));
    EXPECT_NE(registry.service_account({"lab", "default"}), nullptr);
    EXPECT_EQ(registry.service_account({"elsewhere", "default"}), nullptr);
}

TEST_F(RegistryAccounts, RemovedAndMadeAgainIsAnotherAccount) {
    const std::string before = put(kFrontend);
    ASSERT_TRUE(registry.remove_service_account(kFrontend, entropy));
    EXPECT_EQ(registry.service_account(kFrontend), nullptr);
    EXPECT_NE(put(kFrontend), before);
}

TEST_F(RegistryAccounts, DefaultComesBackAtOnceWithAnotherUid) {
    put(kFrontend);
    const std::string before = put(kDefault);
    ASSERT_TRUE(registry.remove_service_account(kDefault, entropy));
    ASSERT_NE(registry.service_account(kDefault), nullptr);
    EXPECT_NE(registry.service_account(kDefault)->uid, before);
}

TEST_F(RegistryAccounts, WithoutRandomnessThereIsNoAccount) {
    Entropy none = [](std::span<unsigned char>) -> Result<> { return fail(Errc::Unavailable, "none left"); };
    const auto result = registry.put_service_account(kFrontend, "", none);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().what, "service account shop/frontend: none left");
    EXPECT_EQ(registry.service_account(kFrontend), nullptr);
}

TEST_F(RegistryPods, TwoPodsCannotShareAUid) {
    ASSERT_TRUE(registry.put_pod(web(), entropy));
    PodRecord twin = web();
    twin.key.name = "twin";
    const auto result = registry.put_pod(twin, entropy);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::Conflict);
    EXPECT_EQ(result.error().what,
              "pod shop/twin: its uid web-uid belongs to pod shop/web; give one of them another uid");
    EXPECT_EQ(registry.pod(twin.key), nullptr);
}

TEST_F(RegistryPods, ARenamedPodTakesItsUidFromTheOneThatLeaves) {
    ASSERT_TRUE(registry.put_pod(web(), entropy));
    registry.mark_pod_deleted(kWeb, kNow);
    PodRecord renamed = web();
    renamed.key.name = "web2";
    EXPECT_TRUE(registry.put_pod(renamed, entropy));
    EXPECT_EQ(registry.pod(kWeb), nullptr);
    EXPECT_FALSE(registry.next_pod_expiry());
}

TEST_F(RegistryPods, ADeletedPodIsForgottenWhenItsTokensAreDead) {
    ASSERT_TRUE(registry.put_pod(web(), entropy));
    registry.mark_pod_deleted(kWeb, kNow + 500ms);
    registry.mark_pod_deleted(kWeb, kNow + 30s);
    EXPECT_EQ(registry.pod(kWeb)->deletion_timestamp, kNow) << "the first mark counts, in whole seconds";
    registry.remove_expired_pods(kNow + 60s);
    EXPECT_NE(registry.pod(kWeb), nullptr);
    const WallTime due = registry.next_pod_expiry().value();
    EXPECT_EQ(due, kNow + 60s + 1ns);
    registry.remove_expired_pods(due);
    EXPECT_EQ(registry.pod(kWeb), nullptr);
    EXPECT_FALSE(registry.next_pod_expiry());
}

TEST_F(RegistryPods, APodThatComesBackWithItsUidIsAliveAgain) {
    ASSERT_TRUE(registry.put_pod(web(), entropy));
    registry.mark_pod_deleted(kWeb, kNow);
    ASSERT_TRUE(registry.put_pod(web(), entropy));
    registry.remove_expired_pods(kNow + 1h);
    EXPECT_NE(registry.pod(kWeb), nullptr);
}

TEST_F(RegistryPods, WithoutAUidAPodIsRefused) {
    PodRecord pod = web();
    pod.uid.clear();
    EXPECT_EQ(registry.put_pod(pod, entropy).error().code, Errc::Invalid);
}

using RegistryChangeTracking = RegistryTest;

TEST_F(RegistryChangeTracking, APodMayWaitForTheDiskADrawnUidMayNot) {
    EXPECT_EQ(registry.urgency(), Urgency::None);
    put(kFrontend);
    EXPECT_EQ(registry.urgency(), Urgency::Before);
    registry.changes_saved();
    ASSERT_TRUE(registry.put_pod(web(), entropy));
    EXPECT_EQ(registry.urgency(), Urgency::Soon);
    put(kFrontend, "other");
    EXPECT_EQ(registry.urgency(), Urgency::Before);
}

TEST_F(RegistryChangeTracking, TheSameAgainIsNoChange) {
    put(kFrontend);
    ASSERT_TRUE(registry.put_pod(web(), entropy));
    ASSERT_TRUE(registry.put_node("edge-7", "", entropy));
    registry.changes_saved();
    put(kFrontend);
    ASSERT_TRUE(registry.put_pod(web(), entropy));
    ASSERT_TRUE(registry.put_node("edge-7", "", entropy));
    EXPECT_EQ(registry.urgency(), Urgency::None);
    EXPECT_TRUE(registry.changes().pods.empty());
}

TEST_F(RegistryChangeTracking, SaysWhatIsThereAndWhatIsNot) {
    put(kFrontend);
    ASSERT_TRUE(registry.put_pod(web(), entropy));
    registry.changes_saved();
    ASSERT_TRUE(registry.remove_service_account(kFrontend, entropy));
    registry.remove_pod(kWeb);
    ASSERT_TRUE(registry.put_node("edge-7", "", entropy));
    const RegistryChanges changes = registry.changes();
    EXPECT_EQ(changes.removed_accounts, std::vector{kFrontend});
    EXPECT_EQ(changes.removed_pods, std::vector{kWeb});
    ASSERT_EQ(changes.nodes.size(), 1u);
    EXPECT_EQ(changes.nodes[0].name, "edge-7");
    EXPECT_TRUE(changes.accounts.empty());
}

}  // namespace
}  // namespace tokenlet::authority
