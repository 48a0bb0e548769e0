// SPDX-License-Identifier: Apache-2.0
#include "kube/decode.h"

#include "tests/kube/real_manifests.h"

namespace tokenlet::kube {
namespace {

// One line an object: "Pod shop/web", or what is wrong.
std::vector<std::string> outcomes(std::string_view bytes) {
    std::vector<std::string> lines;
    for (const Decoded& decoded : decode_manifests(bytes, "web.yaml")) {
        if (!decoded.object) {
            EXPECT_EQ(decoded.object.error().code, Errc::Invalid);
            lines.push_back(decoded.object.error().what);
            continue;
        }
        const Identity identity = identity_of(*decoded.object);
        EXPECT_EQ(decoded.identity, identity);
        EXPECT_EQ(decoded.origin, origin_of(*decoded.object));
        lines.push_back(identity.kind + " " + identity.key.str());
    }
    return lines;
}

std::string outcome(std::string_view bytes) {
    std::string text;
    for (const std::string& line : outcomes(bytes))
        text += (text.empty() ? "" : " | ") + line;
    return text;
}

template <class T>
T only(std::string_view bytes) {
    auto decoded = decode_manifests(bytes, "web.yaml");
    EXPECT_EQ(decoded.size(), 1u);
    if (decoded.size() != 1 || !decoded[0].object || !std::holds_alternative<T>(*decoded[0].object)) {
        ADD_FAILURE() << (decoded.empty() || decoded[0].object ? "another kind" : decoded[0].object.error().what);
        return T{};
    }
    return std::get<T>(*std::move(decoded[0].object));
}

// A Pod of one line each: fields of its spec, on line 5 and below.
std::string pod(std::string_view spec) {
    std::string text = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers: [{name: app}]\n";
    text += spec;
    return text;
}

std::string volume(std::string_view source) {
    return pod("  volumes:\n  - name: v\n    projected:\n      sources:\n      - " + std::string(source) + "\n");
}

TEST(DecodeManifests, LoadsWhatPeopleHave) {
    EXPECT_EQ(outcome(kKubeadmStaticPod), "Pod kube-system/kube-apiserver");
    EXPECT_EQ(outcome(kEksDump), "Pod media/uploader-7c9f4d5b6-x2x8k");
    EXPECT_EQ(outcomes(kGkeAndVault),
              (std::vector<std::string>{"ServiceAccount finance/reporter", "ConfigMap finance/gcp-config",
                                        "Secret finance/vault-ca", "Pod finance/reporter",
                                        "ClusterTrustBundle example.com:other:main"}));
    EXPECT_EQ(outcome(kIstioJson), "Pod default/details");
    EXPECT_EQ(
        outcome(kKubectlList),
        "Pod a/one | ConfigMap a/two | items[2]: line 13: kind: ReplicaSet is not read, for tokenlet starts nothing "
        "and counts no "
        "replicas. Drop its template here as a Pod instead, as this prints it: yq '.spec.template * {\"apiVersion\": "
        "\"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"three\", \"namespace\": \"a\"}}' FILE");
}

TEST(DecodeManifests, KeepsEverythingThatAVolumeSays) {
    const auto decoded = decode_manifests(kGkeAndVault, "web.yaml");
    ASSERT_EQ(decoded.size(), 5u);
    ASSERT_TRUE(decoded[3].object);
    const Pod& reporter = std::get<Pod>(*decoded[3].object);
    EXPECT_EQ(reporter.origin, (Origin{"web.yaml", 4, 42}));
    EXPECT_EQ(reporter.service_account_name, "reporter");
    EXPECT_EQ(reporter.automount_service_account_token, false);
    EXPECT_EQ(reporter.run_as_user, 1000);
    EXPECT_EQ(reporter.fs_group, 1000);
    EXPECT_EQ(reporter.supplemental_groups, (std::vector<std::int64_t>{2000, 3000}));
    EXPECT_EQ(reporter.init_containers.at(0).run_as_user, 100);
    EXPECT_EQ(reporter.containers.at(0).volume_mounts.at(3).sub_path, "app");
    EXPECT_TRUE(reporter.containers.at(0).volume_mounts.at(0).read_only);
    EXPECT_EQ(reporter.containers.at(0).requests.at("cpu"), *parse_quantity("500m"));
    EXPECT_EQ(reporter.containers.at(0).requests.at("memory"), *parse_quantity("1Gi")) << "defaulted from the limit";

    ASSERT_EQ(reporter.volumes.size(), 5u);
    EXPECT_EQ(reporter.volumes[0].kind, VolumeKind::Other);
    const Volume vault{"vault-token",
                       VolumeKind::Projected,
                       {ServiceAccountTokenProjection{"vault", 7200, "token"},
                        SecretProjection{"vault-ca", {{"tls.crt", "tls/ca.crt", mode_t{0444}}}, true}},
                       0400};
    EXPECT_EQ(reporter.volumes[1], vault);
    EXPECT_EQ(reporter.volumes[2].default_mode, kDefaultMode);
    EXPECT_EQ(std::get<ServiceAccountTokenProjection>(reporter.volumes[2].sources[0]).expiration_seconds, 3600);
    EXPECT_EQ(reporter.volumes[3].kind, VolumeKind::DownwardApi);
    const auto& info = std::get<DownwardApiProjection>(reporter.volumes[3].sources.at(0));
    EXPECT_EQ(std::get<ObjectFieldSelector>(info.items.at(1).field).field_path,
              "metadata.annotations['vault.hashicorp.com/role']");
    EXPECT_EQ(std::get<ResourceFieldSelector>(info.items.at(2).field).divisor, *parse_quantity("1m"));
    EXPECT_EQ(info.items.at(3).mode, mode_t{0440});
    const auto& bundle = std::get<ClusterTrustBundleProjection>(reporter.volumes[4].sources.at(0));
    EXPECT_EQ(bundle.label_selector, LabelSelector{}) << "an empty selector is not an absent one";
    EXPECT_TRUE(bundle.optional);
    EXPECT_FALSE(std::get<ClusterTrustBundleProjection>(reporter.volumes[4].sources.at(1)).label_selector);

    EXPECT_EQ(std::get<ServiceAccount>(*decoded[0].object).automount_service_account_token, false);
    const ConfigMap& map = std::get<ConfigMap>(*decoded[1].object);
    EXPECT_TRUE(map.immutable);
    EXPECT_TRUE(map.data.at("config.json").starts_with("{\n  \"type\""));
    EXPECT_EQ(map.binary_data.at("logo.png"), "\x89PNG\r\n\x1a\n");
    const Secret& secret = std::get<Secret>(*decoded[2].object);
    EXPECT_EQ(secret.type, "kubernetes.io/tls");
    EXPECT_EQ(secret.data.at("tls.key").view(), "-----BEGIN");
    EXPECT_EQ(secret.data.at("note").view(), "plain");
}

TEST(DecodeManifests, FillsInTheDefaultsOfTheApi) {
    const Pod web =
        only<Pod>(pod("  serviceAccount: old\n  volumes:\n  - name: a\n  - name: b\n    secret: {secretName: s}\n"));
    EXPECT_EQ(web.meta.ns, "default");
    EXPECT_EQ(web.service_account_name, "old") << "the field's old name still counts";
    EXPECT_EQ(web.volumes.at(0).kind, VolumeKind::Other) << "a volume of no kind is an emptyDir";
    EXPECT_EQ(web.volumes.at(1).kind, VolumeKind::Secret);
    EXPECT_EQ(web.volumes.at(1).default_mode, mode_t{0644});
    EXPECT_EQ(only<Pod>(pod("  serviceAccount: old\n  serviceAccountName: new\n")).service_account_name, "new");
    EXPECT_EQ(only<Secret>("apiVersion: v1\nkind: Secret\nmetadata: {name: s}").type, "Opaque");
}

TEST(DecodeManifests, ReadsModesAsKubernetesDoes) {
    struct Case {
        std::string_view spelling;
        mode_t mode;
    };
    for (const Case& c : {Case{"0400", 0400}, Case{"0o400", 0400}, Case{"256", 0400}, Case{"0x100", 0400}, Case{"0", 0},
                          Case{"0777", 0777}, Case{"511", 0777}, Case{"420.0", 0644}, Case{"null", 0644}}) {
        SCOPED_TRACE(c.spelling);
        const Pod web =
            only<Pod>(pod("  volumes: [{name: v, projected: {defaultMode: " + std::string(c.spelling) + "}}]"));
        EXPECT_EQ(web.volumes.at(0).default_mode, c.mode);
    }
}

TEST(DecodeManifests, AcceptsWhatTheApiAccepts) {
    struct Case {
        std::string_view name;
        std::string manifest;
    };
    const Case cases[] = {
        {"a source of no kind", volume("{}")},
        {"no sources", pod("  volumes: [{name: v, projected: {}}]")},
        {"an empty list of sources", pod("  volumes: [{name: v, projected: {sources: []}}]")},
        {"a token over another file",
         volume(
             "{configMap: {name: c, items: [{key: k, path: token}]}}\n      - {serviceAccountToken: {path: token}}")},
        {"600 seconds", volume("{serviceAccountToken: {path: t, expirationSeconds: 600}}")},
        {"2^32 seconds", volume("{serviceAccountToken: {path: t, expirationSeconds: 4294967296}}")},
        {"a nested path", volume("{serviceAccountToken: {path: a/b/token}}")},
        {"a key with brackets",
         volume("{downwardAPI: {items: [{path: p, fieldRef: {fieldPath: \"metadata.labels['a.b/c']\"}}]}}")},
        {"an annotation in upper case",
         volume("{downwardAPI: {items: [{path: p, fieldRef: {fieldPath: \"metadata.annotations['A.b/C']\"}}]}}")},
        {"a zero divisor", volume("{downwardAPI: {items: [{path: p, resourceFieldRef: {containerName: app, resource: "
                                  "limits.cpu, divisor: \"0\"}}]}}")},
        {"hugepages", volume("{downwardAPI: {items: [{path: p, resourceFieldRef: {containerName: app, resource: "
                             "limits.hugepages-1Gi, divisor: 1Mi}}]}}")},
        {"empty items", volume("{secret: {name: s, items: []}}")},
        {"null items", volume("{secret: {name: s, items: }}")},
        {"every kind of volume", pod("  volumes: [{name: a, hostPath: {path: /}}, {name: b, csi: {driver: x}}, {name: "
                                     "c, image: {reference: y}}]")},
        {"a status full of anything", pod("status: {whatever: [1, {2: 3}]}")},
        {"no pods", "apiVersion: v1\nkind: PodList\nitems: []"},
        {"a list of one kind", "apiVersion: v1\nkind: ConfigMapList\nitems: [{metadata: {name: c}}]"},
        {"empty config map", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        for (const Decoded& decoded : decode_manifests(c.manifest, "web.yaml"))
            EXPECT_TRUE(decoded.object) << decoded.object.error().what;
    }
}

TEST(DecodeManifests, RefusesWhatAVolumeMayNotSay) {
    const std::string source = "line 10: spec.volumes[0].projected.sources[0]";
    struct Case {
        std::string_view name;
        std::string manifest;
        std::string want;
    };
    const Case cases[] = {
        {"a lifetime below the minimum", volume("{serviceAccountToken: {path: t, expirationSeconds: 300}}"),
         source + ".serviceAccountToken.expirationSeconds: 300 is below 600"},
        {"a negative lifetime", volume("{serviceAccountToken: {path: t, expirationSeconds: -1}}"),
         source + ".serviceAccountToken.expirationSeconds: -1 is below 600"},
        {"a lifetime above the maximum", volume("{serviceAccountToken: {path: t, expirationSeconds: 4294967297}}"),
         source + ".serviceAccountToken.expirationSeconds: 4294967297 is above 4294967296 (2^32)"},
        {"a lifetime in quotes", volume("{serviceAccountToken: {path: t, expirationSeconds: '3600'}}"),
         source + ".serviceAccountToken.expirationSeconds: expected an integer, found string \"3600\""},
        {"no path", volume("{serviceAccountToken: {}}"), source + ".serviceAccountToken.path: required"},
        {"an absolute path", volume("{serviceAccountToken: {path: /t}}"),
         source + ".serviceAccountToken.path: \"/t\": must be a relative path"},
        {"a path upwards", volume("{serviceAccountToken: {path: a/../../t}}"),
         source + ".serviceAccountToken.path: \"a/../../t\": must not contain '..'"},
        {"a path of the writer's own", volume("{serviceAccountToken: {path: ..data}}"),
         source + ".serviceAccountToken.path: \"..data\": must not start with '..'"},
        {"two kinds in one source", volume("{serviceAccountToken: {path: t}, secret: {name: s}}"),
         source + ": may not specify more than 1 volume type per source"},
        {"a misspelt source", volume("{serviceAccountTokens: {path: t}}"),
         source + ".serviceAccountTokens: unknown field, did you mean 'serviceAccountToken'?"},
        {"a misspelt field", volume("{serviceAccountToken: {path: t, expirationSecond: 600}}"),
         source + ".serviceAccountToken.expirationSecond: unknown field, did you mean 'expirationSeconds'?"},
        {"a pod certificate", volume("{podCertificate: {keyType: ED25519}}"),
         source + ".podCertificate: tokenlet makes no pod certificates"},
        {"a config map without name", volume("{configMap: {}}"), source + ".configMap.name: required"},
        {"a config map with a hostile name", volume("{configMap: {name: ../x}}"),
         source + ".configMap.name: \"../x\": a lowercase RFC 1123 subdomain must consist"},
        {"an item without key", volume("{secret: {name: s, items: [{path: p}]}}"),
         source + ".secret.items[0].key: required"},
        {"an item without path", volume("{secret: {name: s, items: [{key: k}]}}"),
         source + ".secret.items[0].path: required"},
        {"an item's mode", volume("{secret: {name: s, items: [{key: k, path: p, mode: 644}]}}"),
         source + ".secret.items[0].mode: 01204 (decimal 644) is no file mode, which lies between 0 and 0777 octal"},
        {"one path twice",
         volume("{secret: {name: s, items: [{key: k, path: p}]}}\n      - {configMap: {name: c, items: [{key: k, path: "
                "p}]}}"),
         "line 11: spec.volumes[0].projected.sources[1].configMap.items[0].path: \"p\": conflicting duplicate paths"},
        {"secretName in a projection", volume("{secret: {secretName: s}}"),
         source + ".secret.name: required; " + source + ".secret.secretName: unknown field"},
        {"both references",
         volume("{downwardAPI: {items: [{path: p, fieldRef: {fieldPath: metadata.name}, resourceFieldRef: {}}]}}"),
         source + ".downwardAPI.items[0]: fieldRef and resourceFieldRef can not be specified simultaneously"},
        {"no reference", volume("{downwardAPI: {items: [{path: p}]}}"),
         source + ".downwardAPI.items[0]: one of fieldRef and resourceFieldRef is required"},
        {"a field for environments only",
         volume("{downwardAPI: {items: [{path: p, fieldRef: {fieldPath: status.podIP}}]}}"),
         source + ".downwardAPI.items[0].fieldRef.fieldPath: \"status.podIP\": not available in a volume"},
        {"a subscript of the name",
         volume("{downwardAPI: {items: [{path: p, fieldRef: {fieldPath: \"metadata.name['x']\"}}]}}"),
         source + ".downwardAPI.items[0].fieldRef.fieldPath: \"metadata.name['x']\": does not take a subscript"},
        {"an upper-case prefix of a label",
         volume("{downwardAPI: {items: [{path: p, fieldRef: {fieldPath: \"metadata.labels['A.b/c']\"}}]}}"),
         source + ".downwardAPI.items[0].fieldRef.fieldPath: \"metadata.labels['A.b/c']\": prefix part a lowercase"},
        {"another version of fields",
         volume("{downwardAPI: {items: [{path: p, fieldRef: {apiVersion: v2, fieldPath: metadata.name}}]}}"),
         source + ".downwardAPI.items[0].fieldRef.apiVersion: \"v2\": must be v1"},
        {"no container", volume("{downwardAPI: {items: [{path: p, resourceFieldRef: {resource: limits.cpu}}]}}"),
         source + ".downwardAPI.items[0].resourceFieldRef.containerName: required"},
        {"an unknown container",
         volume("{downwardAPI: {items: [{path: p, resourceFieldRef: {containerName: apq, resource: limits.cpu}}]}}"),
         "line 6: spec.volumes: volume \"v\", file \"p\": no container is named \"apq\", did you mean 'app'?"},
        {"an unknown resource",
         volume("{downwardAPI: {items: [{path: p, resourceFieldRef: {containerName: app, resource: limits.gpu}}]}}"),
         source + ".downwardAPI.items[0].resourceFieldRef.resource: \"limits.gpu\": must be limits. or requests."},
        {"a divisor of memory for cpu",
         volume("{downwardAPI: {items: [{path: p, resourceFieldRef: {containerName: app, resource: limits.cpu, "
                "divisor: 1Mi}}]}}"),
         source + ".downwardAPI.items[0].resourceFieldRef.divisor: \"1Mi\": only 1m and 1 divide cpu"},
        {"a divisor of two",
         volume("{downwardAPI: {items: [{path: p, resourceFieldRef: {containerName: app, resource: limits.memory, "
                "divisor: 2Mi}}]}}"),
         source + ".downwardAPI.items[0].resourceFieldRef.divisor: \"2Mi\": only 1, 1k"},
        {"a bundle with name and signer", volume("{clusterTrustBundle: {name: a, signerName: b/c, path: p}}"),
         source + ".clusterTrustBundle: exactly one of name and signerName must be set"},
        {"a bundle with neither", volume("{clusterTrustBundle: {path: p}}"),
         source + ".clusterTrustBundle: exactly one of name and signerName must be set"},
        {"a selector beside a name", volume("{clusterTrustBundle: {name: a, path: p, labelSelector: {}}}"),
         source + ".clusterTrustBundle.labelSelector: goes with signerName only"},
        {"an operator that is none",
         volume("{clusterTrustBundle: {signerName: a/b, path: p, labelSelector: {matchExpressions: [{key: k, operator: "
                "in}]}}}"),
         source + ".clusterTrustBundle.labelSelector.matchExpressions[0].operator: \"in\" is not one of In, NotIn, "
                  "Exists or DoesNotExist, did you mean 'In'?"},
        {"In without values",
         volume("{clusterTrustBundle: {signerName: a/b, path: p, labelSelector: {matchExpressions: [{key: k, operator: "
                "In}]}}}"),
         source + ".clusterTrustBundle.labelSelector.matchExpressions[0].values: must be specified"},
        {"a default mode in quotes", pod("  volumes: [{name: v, projected: {defaultMode: '0644'}}]"),
         "line 6: spec.volumes[0].projected.defaultMode: expected an integer such as 0644, without quotes, found "
         "string \"0644\""},
        {"two kinds of volume", pod("  volumes: [{name: v, secret: {secretName: s}, emptyDir: {}}]"),
         "line 6: spec.volumes[0]: may not specify more than 1 volume type"},
        {"an unknown kind of volume", pod("  volumes: [{name: v, projectd: {}}]"),
         "line 6: spec.volumes[0].projectd: unknown field, did you mean 'projected'?"},
        {"a volume without name", pod("  volumes: [{emptyDir: {}}]"), "line 6: spec.volumes[0].name: required"},
        {"a volume's hostile name", pod("  volumes: [{name: ../../etc, projected: {}}]"),
         "line 6: spec.volumes[0].name: \"../../etc\": a lowercase RFC 1123 label"},
        {"two volumes of one name", pod("  volumes: [{name: v}, {name: v}]"),
         "line 6: spec.volumes[1].name: \"v\": another volume has this name"},
        {"sources that are no list", pod("  volumes: [{name: v, projected: {sources: {}}}]"),
         "line 6: spec.volumes[0].projected.sources: expected a list, found a mapping"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const std::string text = outcome(c.manifest);
        EXPECT_TRUE(text.starts_with(c.want)) << text;
    }
}

TEST(DecodeManifests, RefusesWhatAPodMayNotSay) {
    const auto of_meta = [](std::string_view meta) {
        return "apiVersion: v1\nkind: Pod\nmetadata: " + std::string(meta) + "\nspec: {containers: [{name: app}]}";
    };
    const auto of_containers = [](std::string_view containers) {
        return "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {volumes: [{name: data}], containers: " +
               std::string(containers) + "}";
    };
    struct Case {
        std::string_view name;
        std::string manifest;
        std::string want;
    };
    const Case cases[] = {
        {"no name", of_meta("{}"), "line 3: metadata.name: name is needed"},
        {"no metadata", "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: app}]}",
         "line 1: metadata.name: name is needed"},
        {"generateName alone", of_meta("{generateName: web-}"),
         "line 3: metadata.name: name is needed; nobody here makes one"},
        {"a name in upper case", of_meta("{name: Web}"),
         "line 3: metadata.name: \"Web\": a lowercase RFC 1123 subdomain"},
        {"a number for a name", of_meta("{name: 123}"), "line 3: metadata.name: expected a string, found integer 123"},
        {"a namespace with dots", of_meta("{name: web, namespace: a.b}"),
         "line 3: metadata.namespace: \"a.b\": a lowercase RFC 1123 label"},
        {"a hostile uid", of_meta("{name: web, uid: ../../etc}"),
         "line 3: metadata.uid: \"../../etc\": must consist of 1 to 63"},
        {"a label's key", of_meta("{name: web, labels: {a/b/c: d}}"),
         "line 3: metadata.labels[a/b/c]: \"a/b/c\": name part must consist"},
        {"a label's value", of_meta("{name: web, labels: {a: 'b c'}}"),
         "line 3: metadata.labels.a: \"b c\": a valid label"},
        {"a boolean for a label", of_meta("{name: web, labels: {a: true}}"),
         "line 3: metadata.labels.a: expected a string, found boolean true; put it in quotes"},
        {"a misspelt field of metadata", of_meta("{name: web, namspace: a}"),
         "line 3: metadata.namspace: unknown field, did you mean 'namespace'?"},
        {"no spec", "apiVersion: v1\nkind: Pod\nmetadata: {name: web}", "line 1: spec: required"},
        {"no containers", "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {}",
         "line 4: spec.containers: required"},
        {"an empty list of containers", of_containers("[]"),
         "line 4: spec.containers: must hold at least one container"},
        {"a misspelt account", pod("  serviceAcountName: x"),
         "line 6: spec.serviceAcountName: unknown field, did you mean 'serviceAccountName'?"},
        {"a hostile account", pod("  serviceAccountName: a/b"),
         "line 6: spec.serviceAccountName: \"a/b\": a lowercase RFC 1123"},
        {"a word for automount", pod("  automountServiceAccountToken: 'no'"),
         "line 6: spec.automountServiceAccountToken: expected a boolean, found string \"no\""},
        {"a field of another level", pod("volumes: []"), "line 6: volumes: unknown field"},
        {"a negative fsGroup", pod("  securityContext: {fsGroup: -1}"),
         "line 6: spec.securityContext.fsGroup: -1 is not between 0 and 2147483647"},
        {"a large runAsUser", pod("  securityContext: {runAsUser: 2147483648}"),
         "line 6: spec.securityContext.runAsUser: 2147483648 is not between"},
        {"a misspelt security field", pod("  securityContext: {runAsUsr: 1}"),
         "line 6: spec.securityContext.runAsUsr: unknown field, did you mean 'runAsUser'?"},
        {"two containers of one name", of_containers("[{name: a}, {name: a}]"),
         "line 4: spec.containers[1].name: \"a\": another container has this name"},
        {"a container without name", of_containers("[{image: x}]"), "line 4: spec.containers[0].name: required"},
        {"a misspelt field of a container", of_containers("[{name: a, volumeMount: []}]"),
         "line 4: spec.containers[0].volumeMount: unknown field, did you mean 'volumeMounts'?"},
        {"a mount of no volume", of_containers("[{name: a, volumeMounts: [{name: dada, mountPath: /d}]}]"),
         "line 4: spec.containers[0].volumeMounts[0].name: \"dada\": no volume has this name, did you mean 'data'?"},
        {"a mount without path", of_containers("[{name: a, volumeMounts: [{name: data}]}]"),
         "line 4: spec.containers[0].volumeMounts[0].mountPath: required"},
        {"one path mounted twice",
         of_containers("[{name: a, volumeMounts: [{name: data, mountPath: /d}, {name: data, mountPath: /d}]}]"),
         "line 4: spec.containers[0].volumeMounts[1].mountPath: \"/d\": must be unique"},
        {"a subPath upwards",
         of_containers("[{name: a, volumeMounts: [{name: data, mountPath: /d, subPath: a/../..}]}]"),
         "line 4: spec.containers[0].volumeMounts[0].subPath: must not contain '..'"},
        {"a quantity that is none", of_containers("[{name: a, resources: {limits: {cpu: much}}}]"),
         "line 4: spec.containers[0].resources.limits.cpu: \"much\" is no quantity"},
        {"a negative quantity", of_containers("[{name: a, resources: {limits: {cpu: -1}}}]"),
         "line 4: spec.containers[0].resources.limits.cpu: must be greater than or equal to 0"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const std::string text = outcome(c.manifest);
        EXPECT_TRUE(text.starts_with(c.want)) << text;
    }
}

TEST(DecodeManifests, RefusesOtherKindsAndVersions) {
    struct Case {
        std::string_view name;
        std::string_view manifest;
        std::string_view want;
    };
    const Case cases[] = {
        {"a workload", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}",
         "line 2: kind: Deployment is not read, for tokenlet starts nothing and counts no replicas. Drop its template"},
        {"something else", "apiVersion: v1\nkind: Service\nmetadata: {name: a}",
         "line 2: kind: \"Service\" is not read here, take it out; Pod, PodList, ServiceAccount, ConfigMap, Secret, "
         "ClusterTrustBundle "
         "and List are"},
        {"a spelling mistake", "apiVersion: v1\nkind: pod", "line 2: kind: \"pod\" is not read"},
        {"no kind", "apiVersion: v1\nmetadata: {name: a}", "line 1: kind: required; this is no Kubernetes object"},
        {"a kind that is a number", "apiVersion: v1\nkind: 5", "line 2: kind: expected a string, found an integer"},
        {"no version", "kind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a}]}",
         "line 1: apiVersion: required: v1"},
        {"another version", "apiVersion: v2\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a}]}",
         "line 1: apiVersion: \"v2\" is not the version of Pod that is read: v1"},
        {"plain text", "This is a README\n", "line 1: expected a mapping, found a string"},
        {"a list", "- a\n- b\n", "line 1: expected a mapping, found a list"},
        {"items that are no list", "apiVersion: v1\nkind: List\nitems: {}",
         "line 3: items: expected a list, found a mapping"},
        {"a list within a list", "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List}]",
         "items[0]: line 3: kind: List: a list within a list is not read"},
        {"an item that is no object", "apiVersion: v1\nkind: List\nitems: [5]",
         "items[0]: line 3: expected a mapping, found an integer"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const std::string text = outcome(c.manifest);
        EXPECT_TRUE(text.starts_with(c.want)) << text;
    }
}

TEST(DecodeManifests, ABadDocumentIsAnErrorOnItselfAlone) {
    EXPECT_EQ(outcome("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\nkind: [\n---\n"
                      "apiVersion: v1\nkind: Pod\nmetadata: {name: b}\nspec: {containers: 5}\n---\n"
                      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"),
              "ConfigMap default/a | document 2: line 6: YAML: end of sequence flow not found | "
              "document 3: line 10: spec.containers: expected a list, found integer 5 | ConfigMap default/c");
}

TEST(DecodeManifests, KnowsWhichObjectABadDocumentIsAbout) {
    const auto decoded = decode_manifests(
        "kind: Pod\nmetadata: {name: web, namespace: shop}\nspec: 5\n---\nkind: Pod\n---\nkind: [\n---\n"
        "apiVersion: v1\nkind: PodList\nitems: [{metadata: {name: x}}]",
        "web.yaml");
    ASSERT_EQ(decoded.size(), 4u);
    EXPECT_EQ(decoded[0].identity, (Identity{"Pod", {"shop", "web"}}));
    EXPECT_EQ(decoded[1].identity, std::nullopt);
    EXPECT_EQ(decoded[2].identity, std::nullopt);
    EXPECT_EQ(decoded[3].identity, (Identity{"Pod", {"default", "x"}}));
    for (const Decoded& one : decoded)
        EXPECT_FALSE(one.object);
}

TEST(DecodeManifests, OfDataChecksKeysSizesAndEncoding) {
    const auto map = [](std::string_view fields) {
        return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n" + std::string(fields);
    };
    EXPECT_EQ(outcome(map("data: {k: 5}")), "line 4: data.k: expected a string, found an integer; put it in quotes");
    EXPECT_EQ(outcome(map("data: {a/b: x}")),
              "line 4: data[a/b]: a valid config key must consist of alphanumeric characters, '-', '_' or '.'");
    EXPECT_EQ(outcome(map("data: {..data: x}")), "line 4: data[..data]: must not start with '..'");
    EXPECT_TRUE(outcome(map("binaryData: {k: '%'}")).starts_with("line 4: binaryData.k: not base64: "));
    EXPECT_EQ(outcome(map("data: {k: x}\nbinaryData: {k: eA==}")),
              "line 5: binaryData.k: this key stands in data, too");
    EXPECT_EQ(outcome(map("data: {k: " + std::string(1024 * 1024, 'x') + "}")), "ConfigMap default/c");
    EXPECT_EQ(outcome(map("data: {k: " + std::string(1024 * 1024 + 1, 'x') + "}")),
              "line 4: data: must have at most 1048576 bytes");
    EXPECT_EQ(outcome(map("datas: {}")), "line 4: datas: unknown field, did you mean 'data'?");
    EXPECT_EQ(only<ConfigMap>(map("data: {k: }")).data.at("k"), "");
}

TEST(DecodeManifests, NeverQuotesASecret) {
    for (std::string_view fields :
         {"data: {k: geheim-%}", "data: geheim", "stringData: {k: [geheim]}", "type: [geheim]\ndata: {k: '!geheim'}",
          "stringData: geheim", "data: {k: geheim", "immutable: geheim"}) {
        SCOPED_TRACE(fields);
        const std::string text = outcome("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n" + std::string(fields));
        EXPECT_TRUE(text.starts_with("line 4: ")) << text;
        EXPECT_EQ(text.find("geheim"), std::string::npos) << text;
    }
}

TEST(DecodeManifests, OfTrustBundlesTiesTheNameToTheSigner) {
    const auto bundle = [](std::string_view name, std::string_view signer) {
        return "apiVersion: certificates.k8s.io/v1alpha1\nkind: ClusterTrustBundle\nmetadata: {name: '" +
               std::string(name) + "'}\nspec:\n  signerName: '" + std::string(signer) +
               "'\n  trustBundle: '-----BEGIN CERTIFICATE-----'";
    };
    EXPECT_EQ(outcome(bundle("plain", "")), "ClusterTrustBundle plain");
    EXPECT_EQ(outcome(bundle("example.com:ca:x", "example.com/ca")), "ClusterTrustBundle example.com:ca:x");
    EXPECT_EQ(outcome(bundle("x", "example.com/ca")),
              "line 3: metadata: the name of a bundle of this signer must begin with \"example.com:ca:\"");
    EXPECT_EQ(outcome(bundle("example.com:ca:x", "")),
              "line 3: metadata: the name of a bundle without signerName must not contain ':'");
    EXPECT_TRUE(
        outcome(
            "apiVersion: certificates.k8s.io/v1\nkind: ClusterTrustBundle\nmetadata: {name: a}\nspec: {trustBundle: x}")
            .starts_with("line 1: apiVersion: \"certificates.k8s.io/v1\" is not the version"));
}

}  // namespace
}  // namespace tokenlet::kube
