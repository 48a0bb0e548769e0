// SPDX-License-Identifier: Apache-2.0
// Pods whose ids are those of a rootless podman's containers: tokenlet.dev/uid-map.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/core/core.h"
#include "tests/sim/world.h"

namespace tokenlet::agent {
namespace {

using sim::World;
using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr char kFault[] = "metadata.annotations['tokenlet.dev/uid-map']: ";

// What the host gives to alice, whose uid is 1000.
CoreSettings settings_with(const Result<projector::IdMap>& ids) {
    CoreSettings settings = World::default_settings();
    settings.rootless_ids = [&ids](const std::string&) { return ids; };
    return settings;
}

projector::IdMap alices_ids() {
    return {.users = {{0, 1000, 1}, {1, 100000, 65536}}, .groups = {{0, 1000, 1}, {1, 100000, 65536}}};
}

std::string alices_pod() {
    std::string text = sim::volume_yaml("shop", "web", "      - serviceAccountToken: {path: token}\n");
    return text.replace(text.find("name: web"), 9, "name: web, annotations: {tokenlet.dev/uid-map: \"podman:alice\"}");
}

std::string message(World& world) {
    const PodStatus* status = world.pod_status("shop", "web");
    return status == nullptr ? "absent" : status->message;
}

TEST(CoreRootless, APodWaitsForTheIdsOfItsContainersAndIsLookedAtWithEachListing) {
    Result<projector::IdMap> ids = fail(Errc::Invalid, "/etc/subuid: no line");
    World world(settings_with(ids));
    world.write("web.yaml", alices_pod());
    world.start();
    world.pass(1h);
    EXPECT_THAT(message(world), HasSubstr(std::string(kFault) + "/etc/subuid: no line"));
    EXPECT_TRUE(world.disk.empty());
    ids = alices_ids();
    world.write("other.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other, namespace: shop}\n");
    world.pass(1s);
    EXPECT_EQ(message(world), "");
    EXPECT_TRUE(world.read("shop", "web", "v", "token"));
    EXPECT_EQ(world.trouble, "");
}

TEST(CoreRootless, TheUserOfThePodmanMustBeOneThatThePolicyAllows) {
    const Result<projector::IdMap> ids = alices_ids();
    for (const std::int64_t allowed : {999, 1000}) {
        SCOPED_TRACE(allowed);
        CoreSettings settings = settings_with(ids);
        settings.policy.run_as_users = {{33, 33}, {allowed, allowed}};
        World world(std::move(settings));
        std::string pod = alices_pod();
        world.write("web.yaml", pod.replace(pod.find("spec:"), 5, "spec:\n  securityContext: {runAsUser: 33}"));
        world.start();
        world.pass(1s);
        EXPECT_EQ(message(world),
                  allowed == 1000 ? "" : std::string(kFault) + "1000 is not in policy.runAsUsers (33, 999)");
        EXPECT_EQ(world.trouble, "");
    }
}

}  // namespace
}  // namespace tokenlet::agent
