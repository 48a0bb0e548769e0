// SPDX-License-Identifier: Apache-2.0
#include "projector/plan.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include "projector/admission.h"

namespace tokenlet::projector {
namespace {

kube::VolumeMount mount(std::string volume) {
    return {.name = std::move(volume), .mount_path = "/mnt", .sub_path = {}};
}

kube::Volume projected(std::string name, std::vector<kube::VolumeProjection> sources = {}) {
    return {.name = std::move(name), .kind = kube::VolumeKind::Projected, .sources = std::move(sources)};
}

// One container, which mounts all volumes.
kube::Pod pod_with(std::vector<kube::Volume> volumes) {
    kube::Pod pod;
    pod.meta = {.ns = "production",
                .name = "web",
                .uid = "2b3c8a34-7f6d-4bb6-9d0b-3c1f7b7f9a10",
                .labels = {{"app", "web"}},
                .annotations = {}};
    pod.service_account_name = "frontend";
    pod.containers.resize(1);
    for (const kube::Volume& volume : volumes)
        pod.containers[0].volume_mounts.push_back(mount(volume.name));
    pod.volumes = std::move(volumes);
    return pod;
}

Plan compiled(const kube::Pod& pod, const Host& host = {}) {
    Result<Plan> plan = compile(pod, host);
    EXPECT_TRUE(plan) << plan.error().what;
    return *std::move(plan);
}

std::vector<std::string> names(const std::vector<VolumePlan>& volumes) {
    std::vector<std::string> all;
    for (const VolumePlan& volume : volumes)
        all.push_back(volume.name);
    return all;
}

TEST(Compile, PlansWhatAContainerMountsAndNamesTheRest) {
    kube::Pod pod = pod_with({projected("main"), {.name = "scratch", .sources = {}}});
    pod.volumes.push_back(projected("init"));
    pod.volumes.push_back(projected("debug"));
    pod.volumes.push_back(projected("nobody"));
    pod.volumes.push_back({.name = "nobody-either", .sources = {}});
    pod.init_containers.resize(1);
    pod.init_containers[0].volume_mounts = {mount("init")};
    pod.ephemeral_containers.resize(1);
    pod.ephemeral_containers[0].volume_mounts = {mount("debug")};
    const Plan plan = compiled(pod);
    EXPECT_EQ(names(plan.volumes), (std::vector<std::string>{"main", "init", "debug"}));
    EXPECT_EQ(plan.unmounted, std::vector<std::string>{"nobody"});
}

TEST(Compile, KeepsWhoThePodIs) {
    kube::Pod pod = pod_with({});
    pod.fs_group = 2000;
    const Plan plan = compiled(pod, {.ownership = Ownership::Acl, .allocatable = {}});
    EXPECT_EQ(plan.ns, "production");
    EXPECT_EQ(plan.name, "web");
    EXPECT_EQ(plan.uid, pod.meta.uid);
    EXPECT_EQ(plan.service_account, "frontend");
    EXPECT_EQ(plan.readership.fs_group, 2000u);
    EXPECT_EQ(plan.ownership, Ownership::Acl);
    pod.fs_group = -1;
    EXPECT_EQ(compile(pod, {}).error().code, Errc::Invalid);
}

TEST(Compile, ReducesEachKindOfSourceToWhatItNeeds) {
    kube::Volume volume = projected(
        "all",
        {std::monostate(),
         kube::ServiceAccountTokenProjection{.audience = "vault", .expiration_seconds = 600, .path = "./tokens//vault"},
         kube::ConfigMapProjection{.name = "cfg", .items = {{"a", "x//a", {}}, {"b", "b", 0400}}, .optional = true},
         kube::SecretProjection{.name = "tls", .items = {}, .optional = false},
         kube::DownwardApiProjection{
             {{.path = "./labels", .field = kube::ObjectFieldSelector{"metadata.labels"}, .mode = {}},
              {.path = "cpu", .field = kube::ResourceFieldSelector{"app", "limits.cpu", {}}, .mode = 0600}}},
         kube::ClusterTrustBundleProjection{.name = {},
                                            .signer_name = "example.com/s",
                                            .label_selector = kube::LabelSelector{{{"a", "b"}}, {}},
                                            .optional = true,
                                            .path = "ca/"}});
    volume.default_mode = 0440;
    kube::Pod pod = pod_with({volume});
    pod.containers[0].name = "app";
    const Plan plan = compiled(
        pod, {.ownership = Ownership::Chown,
              .allocatable = {.cpu = kube::parse_quantity("8").value(), .memory = {}, .ephemeral_storage = {}}});
    const std::vector<Source> want = {
        std::monostate(),
        TokenSource{"tokens/vault", "vault", 600},
        ObjectSource{ObjectKind::ConfigMap, true, "cfg", {{"a", "x/a", 0440}, {"b", "b", 0400}}},
        ObjectSource{ObjectKind::Secret, false, "tls", {}},
        DownwardSource{{{"labels", "app=\"web\"", 0440}, {"cpu", "8", 0600}}},
        BundleSource{
            "ca",
            BundleSelection{BundleSelection::By::Signer, "example.com/s", {{"a", Requirement::Operator::In, {"b"}}}},
            true},
    };
    EXPECT_EQ(plan.volumes.at(0).sources, want);
    EXPECT_EQ(plan.volumes.at(0).default_mode, 0440u);
}

TEST(Compile, KeepsTheTroubleOfOneSourceWithThatSource) {
    struct Case {
        std::string_view name;
        kube::VolumeProjection source;
        std::string why;
    };
    const Case cases[] = {
        {"a token's path", kube::ServiceAccountTokenProjection{.audience = {}, .path = "../x"},
         "serviceAccountToken: path \"../x\" must not contain '..'"},
        {"an item's path", kube::ConfigMapProjection{.name = "c", .items = {{"k", "/x", {}}}},
         "configMap: path \"/x\" must be relative"},
        {"a secret's path", kube::SecretProjection{.name = "c", .items = {{"k", "./..data", {}}}},
         "secret: path \"./..data\" must not start with '..'"},
        {"a bundle's path",
         kube::ClusterTrustBundleProjection{.name = "b", .signer_name = {}, .label_selector = {}, .path = ""},
         "clusterTrustBundle: path \"\" names no file"},
        {"a field",
         kube::DownwardApiProjection{{{.path = "f", .field = kube::ObjectFieldSelector{"spec.nodeName"}, .mode = {}}}},
         "downwardAPI: file \"f\": unsupported fieldPath: spec.nodeName"},
        {"a container",
         kube::DownwardApiProjection{
             {{.path = "f", .field = kube::ResourceFieldSelector{"ghost", "limits.cpu", {}}, .mode = {}}}},
         "downwardAPI: file \"f\": container \"ghost\" not found"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const Plan plan = compiled(pod_with({projected("bad", {c.source}), projected("good")}));
        ASSERT_EQ(plan.volumes.size(), 2u);
        EXPECT_EQ(plan.volumes[0].sources, std::vector<Source>{BrokenSource{c.why}});
    }
}

TEST(Compile, TakesTheGraceTimeFromTheAnnotation) {
    kube::Pod pod = pod_with({projected("a")});
    EXPECT_EQ(compiled(pod).grace, std::nullopt);
    pod.meta.annotations["tokenlet.dev/grace"] = "150s";
    EXPECT_EQ(compiled(pod).grace, std::chrono::seconds(150));
    pod.meta.annotations["tokenlet.dev/grace"] = "soon";
    EXPECT_EQ(compile(pod, {}).error().code, Errc::Invalid);
}

TEST(TokenRequest, IsWhatAKubeletAsksFor) {
    const Plan plan = compiled(pod_with({projected(
        "t", {kube::ServiceAccountTokenProjection{.audience = "vault", .expiration_seconds = 600, .path = "v"},
              kube::ConfigMapProjection{.name = "c", .items = {}},
              kube::ServiceAccountTokenProjection{.audience = "", .path = "own"}})}));
    const std::vector<const TokenSource*> tokens = token_sources(plan.volumes.at(0));
    ASSERT_EQ(tokens.size(), 2u);
    kube::TokenRequest want{.ns = "production",
                            .service_account = "frontend",
                            .audiences = {"vault"},
                            .expiration_seconds = 600,
                            .bound_object_ref = kube::BoundObjectRef{"Pod", "web", plan.uid}};
    EXPECT_EQ(token_request(plan, *tokens[0]), want);
    want.audiences = {};
    want.expiration_seconds = 3600;
    EXPECT_EQ(token_request(plan, *tokens[1]), want);
}

TEST(PluginDirectory, IsTheKubelets) {
    EXPECT_EQ(plugin_directory(kube::VolumeKind::Projected), "kubernetes.io~projected");
    EXPECT_EQ(plugin_directory(kube::VolumeKind::Secret), "kubernetes.io~secret");
    EXPECT_EQ(plugin_directory(kube::VolumeKind::ConfigMap), "kubernetes.io~configmap");
    EXPECT_EQ(plugin_directory(kube::VolumeKind::DownwardApi), "kubernetes.io~downward-api");
}

TEST(Plan, IsEqualForPodsThatProjectAlike) {
    const kube::Pod pod =
        pod_with({projected("t", {kube::ServiceAccountTokenProjection{.audience = {}, .path = "token"}})});
    kube::Pod other = pod;
    other.meta.annotations["unrelated"] = "x";
    EXPECT_EQ(compiled(pod), compiled(other));
    other.volumes[0].default_mode = 0400;
    EXPECT_NE(compiled(pod), compiled(other));
}

TEST(Plan, OfAnOrdinaryPodTakesAKibibyte) {
#ifdef TOKENLET_SANITIZED
    GTEST_SKIP() << "the sanitizer's allocator rounds as it likes";
#endif
    kube::ServiceAccount account;
    const kube::Pod pod = *admit(pod_with({}), &account);
    constexpr std::size_t kPods = 1000;
    std::vector<Plan> plans;
    plans.reserve(kPods);
    const std::size_t before = mallinfo2().uordblks;
    for (std::size_t i = 0; i < kPods; ++i)
        plans.push_back(compiled(pod));
    const std::size_t bytes_each = sizeof(Plan) + (mallinfo2().uordblks - before) / kPods;
    RecordProperty("bytes_each", static_cast<int>(bytes_each));
    EXPECT_LE(bytes_each, 1200u);
}

TEST(Compile, PlansAVolumeInTheDirectoryThatItsPodNames) {
    kube::Pod pod = pod_with({projected("api"), projected("kube-api-access-7x2fk")});
    pod.volumes.push_back(projected("unmounted"));
    pod.meta.annotations["tokenlet.dev/path"] = "kube-api-access=/shared/sa,unmounted=/shared/other";
    const Plan plan = compiled(pod);
    ASSERT_EQ(names(plan.volumes), (std::vector<std::string>{"api", "kube-api-access-7x2fk", "unmounted"}))
        << "a path is as good as a mount";
    EXPECT_FALSE(plan.volumes[0].direct);
    EXPECT_EQ(plan.volumes[0].place(), "");
    EXPECT_EQ(plan.volumes[1].place(), "/shared/sa");
    EXPECT_EQ(plan.volumes[2].place(), "/shared/other");
    pod.meta.annotations["tokenlet.dev/path"] = "kube-api-access-7x2fk=/shared/sb";
    EXPECT_NE(compiled(pod), plan);
}

TEST(Compile, RefusesAPathThatTheConfigurationDoesNotAllowOrThatIsNobodys) {
    struct Case {
        std::string_view name;
        std::string value;
        std::vector<std::string> allowed;
        std::string_view why;  // empty: allowed
    };
    const Case cases[] = {
        {"the directory itself", "api=/shared", {"/shared"}, ""},
        {"below it", "api=/shared/a/b", {"/other", "/shared"}, ""},
        {"beside it, with its name in front",
         "api=/shared-too",
         {"/shared", "/x"},
         "'/shared-too' lies in none of the directories that the agent's configuration allows in volumes.direct "
         "(/shared, /x)"},
        {"nothing is allowed", "api=/shared", {}, "volumes.direct (there are none)"},
        {"a volume of no Pod", "ghost=/shared", {"/shared"}, "the Pod has no volume 'ghost' that projects files"},
        {"a volume of a kind that is left alone", "scratch=/shared", {"/shared"}, "no volume 'scratch' that projects"},
        {"no injected volume", "kube-api-access=/shared", {"/shared"}, "no volume 'kube-api-access' that projects"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        kube::Pod pod = pod_with({projected("api"), {.name = "scratch", .sources = {}}});
        pod.meta.annotations["tokenlet.dev/path"] = c.value;
        const Result<Plan> plan = compile(pod, {.ownership = {}, .allocatable = {}, .direct = &c.allowed});
        if (c.why.empty()) {
            EXPECT_TRUE(plan) << plan.error().what;
            continue;
        }
        ASSERT_FALSE(plan);
        EXPECT_TRUE(plan.error().what.starts_with("metadata.annotations['tokenlet.dev/path']: ")) << plan.error().what;
        EXPECT_NE(plan.error().what.find(c.why), std::string::npos) << plan.error().what;
    }
}

TEST(Compile, RefusesTwoNamesForOneVolume) {
    kube::Pod pod = pod_with({projected("kube-api-access-7x2fk")});
    pod.meta.annotations["tokenlet.dev/path"] = "kube-api-access=/a,kube-api-access-7x2fk=/b";
    const Result<Plan> plan = compile(pod, {});
    ASSERT_FALSE(plan);
    EXPECT_NE(plan.error().what.find("volume kube-api-access-7x2fk is there twice"), std::string::npos);
}

}  // namespace
}  // namespace tokenlet::projector
