// SPDX-License-Identifier: Apache-2.0
#include "projector/admission.h"

#include <gtest/gtest.h>

namespace tokenlet::projector {
namespace {

constexpr std::string_view kName = "kube-api-access-rzmlm";

kube::Pod pod_named(std::string ns, std::string name) {
    kube::Pod pod;
    pod.meta.ns = std::move(ns);
    pod.meta.name = std::move(name);
    pod.containers = {{.name = "app", .volume_mounts = {}, .run_as_user = {}, .limits = {}, .requests = {}}};
    return pod;
}

kube::VolumeMount mount_at(std::string path, std::string volume) {
    return {.name = std::move(volume), .mount_path = std::move(path), .sub_path = {}};
}

kube::Pod admitted(kube::Pod pod, const kube::ServiceAccount& account = {}) {
    Result<kube::Pod> result = admit(std::move(pod), &account);
    EXPECT_TRUE(result);
    return *std::move(result);
}

TEST(Admit, NamesTheAccountDefaultWhenThePodNamesNone) {
    EXPECT_EQ(account_of(pod_named("shop", "web")).str(), "shop/default");
    EXPECT_EQ(admitted(pod_named("shop", "web")).service_account_name, "default");
    kube::Pod pod = pod_named("shop", "web");
    pod.service_account_name = "frontend";
    EXPECT_EQ(account_of(pod).str(), "shop/frontend");
    EXPECT_EQ(admitted(pod).service_account_name, "frontend");
}

TEST(Admit, RefusesAnUnknownAccountInTheApiServersWords) {
    kube::Pod pod = pod_named("shop", "web");
    pod.service_account_name = "ghost";
    pod.automount_service_account_token = false;
    const Result<kube::Pod> result = admit(pod, nullptr);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::NotFound);
    EXPECT_EQ(result.error().what, "error looking up service account shop/ghost: serviceaccount \"ghost\" not found");
}

TEST(Admit, InjectsTheVolumeThatTheApiServerInjects) {
    const kube::Pod pod = admitted(pod_named("shop", "web"));
    ASSERT_EQ(pod.volumes.size(), 1u);
    const kube::Volume& volume = pod.volumes[0];
    EXPECT_EQ(volume.kind, kube::VolumeKind::Projected);
    EXPECT_EQ(volume.default_mode, 0644u);
    ASSERT_EQ(volume.sources.size(), 3u);
    EXPECT_EQ(volume.sources[0], kube::VolumeProjection(kube::ServiceAccountTokenProjection{
                                     .audience = "", .expiration_seconds = 3607, .path = "token"}));
    EXPECT_EQ(volume.sources[1],
              kube::VolumeProjection(kube::ConfigMapProjection{
                  .name = "kube-root-ca.crt", .items = {{"ca.crt", "ca.crt", {}}}, .optional = false}));
    EXPECT_EQ(volume.sources[2],
              kube::VolumeProjection(kube::DownwardApiProjection{
                  {{.path = "namespace", .field = kube::ObjectFieldSelector{"metadata.namespace"}, .mode = {}}}}));
    ASSERT_EQ(pod.containers[0].volume_mounts.size(), 1u);
    const kube::VolumeMount& mount = pod.containers[0].volume_mounts[0];
    EXPECT_EQ(mount.name, volume.name);
    EXPECT_EQ(mount.mount_path, "/var/run/secrets/kubernetes.io/serviceaccount");
    EXPECT_EQ(mount.sub_path, "");
    EXPECT_TRUE(mount.read_only);
}

TEST(Admit, LetsThePodsWordOnAutomountBeatTheAccounts) {
    struct Case {
        std::string_view name;
        std::optional<bool> pod, account;
        bool injects;
    };
    const Case cases[] = {
        {"neither says", {}, {}, true},
        {"the account says no", {}, false, false},
        {"the account says yes", {}, true, true},
        {"the Pod says no", false, {}, false},
        {"the Pod says no, the account yes", false, true, false},
        {"the Pod says yes, the account no", true, false, true},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        kube::Pod pod = pod_named("shop", "web");
        pod.automount_service_account_token = c.pod;
        kube::ServiceAccount account;
        account.automount_service_account_token = c.account;
        pod = admitted(std::move(pod), account);
        EXPECT_EQ(pod.volumes.size(), c.injects ? 1u : 0u);
        EXPECT_EQ(pod.containers[0].volume_mounts.size(), c.injects ? 1u : 0u);
    }
}

TEST(Admit, MountsWhereNothingIsMountedAtThatVeryPath) {
    kube::Pod pod = pod_named("shop", "web");
    pod.volumes = {{.name = "mine", .sources = {}}};
    pod.containers.resize(3);
    pod.containers[0].volume_mounts = {mount_at("/data", "mine")};
    pod.containers[1].volume_mounts = {mount_at(kube::kServiceAccountMountPath, "mine")};
    pod.containers[2].volume_mounts = {mount_at(std::string(kube::kServiceAccountMountPath) + "/", "mine")};
    pod.init_containers.resize(1);
    pod.ephemeral_containers.resize(1);
    pod = admitted(std::move(pod));
    ASSERT_EQ(pod.volumes.size(), 2u);
    const std::string injected = pod.volumes[1].name;
    EXPECT_EQ(pod.containers[0].volume_mounts.back().name, injected);
    EXPECT_EQ(pod.containers[1].volume_mounts.size(), 1u) << "its own mount stands";
    EXPECT_EQ(pod.containers[2].volume_mounts.back().name, injected) << "another spelling is another path";
    EXPECT_EQ(pod.init_containers[0].volume_mounts.back().name, injected);
    EXPECT_TRUE(pod.ephemeral_containers[0].volume_mounts.empty());
}

TEST(Admit, InjectsNoVolumeThatNobodyNeeds) {
    kube::Pod pod = pod_named("shop", "web");
    pod.volumes = {{.name = "mine", .sources = {}}};
    pod.containers[0].volume_mounts = {mount_at(kube::kServiceAccountMountPath, "mine")};
    pod = admitted(std::move(pod));
    EXPECT_EQ(pod.volumes.size(), 1u);
    EXPECT_EQ(pod.containers[0].volume_mounts.size(), 1u);
}

TEST(Admit, MountsTheVolumeOfAnExportedPodInsteadOfASecondOne) {
    kube::Pod pod = pod_named("shop", "web");
    pod.volumes = {{.name = "kube-api-access-x7k2p", .kind = kube::VolumeKind::Projected, .sources = {}}};
    pod.containers.resize(2);
    pod.containers[0].volume_mounts = {mount_at(kube::kServiceAccountMountPath, "kube-api-access-x7k2p")};
    pod = admitted(std::move(pod));
    EXPECT_EQ(pod.volumes.size(), 1u);
    EXPECT_EQ(pod.containers[0].volume_mounts.size(), 1u);
    EXPECT_EQ(pod.containers[1].volume_mounts.at(0).name, "kube-api-access-x7k2p");
}

TEST(Admit, TwiceIsOnce) {
    const kube::Pod once = admitted(pod_named("shop", "web"));
    const kube::Pod twice = admitted(once);
    EXPECT_EQ(once.volumes, twice.volumes);
    EXPECT_EQ(once.containers, twice.containers);
}

TEST(InjectedVolumeName, IsTheSameForEverAndDiffersBetweenPods) {
    EXPECT_EQ(injected_volume_name("production", "web"), kName) << "paths on disk depend on it";
    EXPECT_NE(injected_volume_name("production", "web2"), kName);
    EXPECT_NE(injected_volume_name("staging", "web"), kName);
    EXPECT_NE(injected_volume_name("a", "b-c"), injected_volume_name("a-b", "c"));
}

TEST(IsInjectedName, KnowsOursAndTheApiServersNames) {
    EXPECT_TRUE(is_injected_name(injected_volume_name("shop", "web")));
    EXPECT_TRUE(is_injected_name("kube-api-access-x7k2p"));
    for (std::string_view name :
         {"kube-api-access", "kube-api-access-", "kube-api-access-x7k2", "kube-api-access-x7k2pp",
          "kube-api-access-hello", "kube-api-accessx7k2p", "my-kube-api-access-x7k2p"})
        EXPECT_FALSE(is_injected_name(name)) << name;
}

}  // namespace
}  // namespace tokenlet::projector
