// SPDX-License-Identifier: Apache-2.0
// The whole way of a manifest through this folder: text in, files out.
#include <gtest/gtest.h>

#include "kube/decode.h"
#include "projector/admission.h"
#include "projector/payload.h"

namespace tokenlet::projector {
namespace {

constexpr std::string_view kManifests = R"(
apiVersion: v1
kind: Pod
metadata:
  {name: web, namespace: production, uid: 2b3c8a34, labels: {app: web, note: "4"}, annotations: {a: "1\n2"}}
spec:
  serviceAccountName: frontend
  securityContext: {runAsUser: 1000, fsGroup: 2000}
  containers:
  - name: app
    image: example.com/app
    resources: {limits: {cpu: 1500m}}
    volumeMounts:
    - {name: all, mountPath: /all}
    - {name: plain, mountPath: /plain}
  volumes:
  - name: all
    projected:
      defaultMode: 0440
      sources:
      - serviceAccountToken: {path: vault/token, audience: vault, expirationSeconds: 600}
      - configMap: {name: web, items: [{key: color, path: ./color, mode: 0400}]}
      - secret: {name: absent, optional: true}
      - downwardAPI:
          items:
          - {path: labels, fieldRef: {fieldPath: metadata.labels}}
          - {path: cpu, resourceFieldRef: {containerName: app, resource: limits.cpu, divisor: 1m}}
          - {path: memory, resourceFieldRef: {containerName: app, resource: limits.memory, divisor: 1Mi}}
      - clusterTrustBundle: {signerName: example.com/ca, labelSelector: {matchLabels: {state: live}}, path: ca.pem}
  - name: plain
    configMap: {name: web}
  - name: scratch
    emptyDir: {}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web, namespace: production}
data: {color: blue}
binaryData: {blob: AAE=}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-root-ca.crt, namespace: production}
data: {ca.crt: PEM}
---
apiVersion: certificates.k8s.io/v1beta1
kind: ClusterTrustBundle
metadata: {name: "example.com:ca:v1", labels: {state: live}}
spec:
  signerName: example.com/ca
  trustBundle: |
    the root
    -----BEGIN CERTIFICATE-----
    QUJD
    -----END CERTIFICATE-----
)";

class Manifests : public Objects {
public:
    Manifests() {
        for (kube::Decoded& decoded : kube::decode_manifests(kManifests, "web.yaml")) {
            EXPECT_TRUE(decoded.object) << decoded.object.error().what;
            if (decoded.object)
                objects_.push_back(*std::move(decoded.object));
        }
    }

    [[nodiscard]] const kube::Pod& pod() const { return std::get<kube::Pod>(objects_.at(0)); }

    Result<const kube::ConfigMap*> config_map(const kube::ObjectKey& key) const override {
        return find<kube::ConfigMap>(key);
    }
    Result<const kube::Secret*> secret(const kube::ObjectKey& key) const override { return find<kube::Secret>(key); }
    Result<std::vector<const kube::ClusterTrustBundle*>> trust_bundles() const override {
        std::vector<const kube::ClusterTrustBundle*> all;
        for (const kube::Object& object : objects_)
            if (const auto* bundle = std::get_if<kube::ClusterTrustBundle>(&object))
                all.push_back(bundle);
        return all;
    }

private:
    template <class Object>
    Result<const Object*> find(const kube::ObjectKey& key) const {
        for (const kube::Object& object : objects_)
            if (const auto* found = std::get_if<Object>(&object); found != nullptr && found->meta.key() == key)
                return found;
        return fail(Errc::NotFound, "not found");
    }

    std::vector<kube::Object> objects_;
};

using Files = std::map<std::string, std::string>;

TEST(Projection, TurnsAManifestIntoTheFilesOfItsVolumes) {
    const Manifests manifests;
    kube::ServiceAccount account;
    const Allocatable host{.cpu = {}, .memory = kube::parse_quantity("8Gi").value(), .ephemeral_storage = {}};
    const Result<kube::Pod> pod = admit(manifests.pod(), &account);
    ASSERT_TRUE(pod);
    const Result<Plan> plan = compile(*pod, {.ownership = Ownership::Chown, .allocatable = host});
    ASSERT_TRUE(plan) << plan.error().what;
    ASSERT_EQ(plan->volumes.size(), 3u);

    const std::vector<TokenBytes> tokens = {"TOKEN"};
    const Files want[] = {
        {{"vault/token", "TOKEN"},
         {"color", "blue"},
         {"labels", "app=\"web\"\nnote=\"4\""},
         {"cpu", "1500"},
         {"memory", "8192"},
         {"ca.pem", "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"}},
        {{"color", "blue"}, {"blob", std::string("\0\1", 2)}},
        {{"token", "TOKEN"}, {"ca.crt", "PEM"}, {"namespace", "production"}},
    };
    for (std::size_t i = 0; i < plan->volumes.size(); ++i) {
        const VolumePlan& volume = plan->volumes[i];
        SCOPED_TRACE(volume.name);
        const std::size_t count = token_sources(volume).size();
        const Result<fsatomic::Payload> payload = build(*plan, volume, std::span(tokens).first(count), manifests);
        ASSERT_TRUE(payload) << payload.error().what;
        Files files;
        for (const auto& [path, file] : payload->files)
            files[path] = file.bytes.view();
        EXPECT_EQ(files, want[i]);
    }

    const Result<fsatomic::Payload> first = build(*plan, plan->volumes[0], tokens, manifests);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->files.at("vault/token").access,
              (fsatomic::Access{.mode = 0640, .owner = 1000, .group = 2000, .readers = {}}));
    EXPECT_EQ(first->files.at("color").access,
              (fsatomic::Access{.mode = 0440, .owner = 0, .group = 2000, .readers = {}}));
    EXPECT_EQ(plan->volumes[1].kind, kube::VolumeKind::ConfigMap);
    EXPECT_EQ(plan->volumes[2].name, injected_volume_name("production", "web"));
}

}  // namespace
}  // namespace tokenlet::projector
