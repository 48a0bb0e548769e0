// SPDX-License-Identifier: Apache-2.0
#include "cli/mounts_verb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/http/scratch_directory.h"

namespace tokenlet::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kPods[] = R"(apiVersion: v1
kind: Pod
metadata: {name: web, namespace: production}
spec:
  serviceAccountName: frontend
  initContainers:
    - {name: first, image: x}
  containers:
    - name: app
      image: x
      volumeMounts:
        - {name: vault, mountPath: /run/vault}
        - {name: vault, mountPath: /etc/app/token, subPath: token}
        - {name: cache, mountPath: /cache}
    - {name: idle, image: x, volumeMounts: [{name: cache, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]}
  volumes:
    - name: vault
      projected: {sources: [{serviceAccountToken: {path: token, audience: vault}}]}
    - {name: cache, emptyDir: {}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: production}, spec: {containers: [{name: db, image: x}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: stage}, spec: {containers: [{name: db, image: x}]}}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: production}
spec: {automountServiceAccountToken: false, containers: [{name: app, image: x}]}
)";

class MountsTest : public testing::Test {
protected:
    MountsTest() {
        write("pods.yaml", kPods);
        write("agent.yaml",
              "apiVersion: tokenlet.dev/v1alpha1\nkind: AgentConfiguration\nissuer: {embedded: {}}\n"
              "manifests: {path: " +
                  directory_.file("pods.yaml") + "}\nvolumes: {root: /srv/pods, byName: /srv/names}\n");
    }
    void write(const std::string& name, const std::string& text) { std::ofstream(directory_.file(name)) << text; }
    Outcome mounts(const std::string& pod, std::optional<MountStyle> style = MountStyle::Systemd) {
        return run(MountsOptions{.config = directory_.file("agent.yaml"), .manifests = {}, .pod = pod, .style = style});
    }

    http::ScratchDirectory directory_;
};

TEST_F(MountsTest, EachContainerGetsWhatItMountsUnderTheStableNames) {
    EXPECT_EQ(
        mounts("production/web").out,
        "# container first\n"
        "[Service]\n"
        "BindReadOnlyPaths=/srv/names/production/web/kube-api-access:/var/run/secrets/kubernetes.io/serviceaccount\n"
        "# container app\n"
        "[Service]\n"
        "BindReadOnlyPaths=/srv/names/production/web/vault:/run/vault\n"
        "BindReadOnlyPaths=/srv/names/production/web/kube-api-access:/var/run/secrets/kubernetes.io/serviceaccount\n");
}

TEST_F(MountsTest, WhatCannotBePastedIsRemarkedOn) {
    EXPECT_THAT(mounts("web").complaints,
                ElementsAre(AllOf(HasSubstr("pods.yaml: Pod production/web: container app: /etc/app/token: "),
                                  HasSubstr("subPath never sees a rotation; mount /srv/names/production/web/vault")),
                            HasSubstr("container app: /cache: volume cache is not projected by tokenlet"),
                            HasSubstr("container idle: /var/run/secrets/kubernetes.io/serviceaccount: volume cache")));
}

TEST_F(MountsTest, WithoutAStyleAllAreThere) {
    EXPECT_THAT(mounts("stage/db", std::nullopt).out,
                AllOf(HasSubstr("# podman run, docker run\n# container db\n  --mount type=bind,source="),
                      HasSubstr("\n# compose.yaml\nservices:\n  db:\n"),
                      HasSubstr("\n# systemd units\n# container db\n[Service]\n")));
}

TEST_F(MountsTest, ManifestsMayBeADraftAndTheConfigurationMayBeMissing) {
    write("draft.yaml",
          "apiVersion: v1\nkind: Pod\nmetadata: {name: new}\nspec: {containers: [{name: c, image: x}]}\n");
    const Outcome outcome = run(MountsOptions{.config = directory_.file("agent.yaml"),
                                              .manifests = directory_.file("draft.yaml"),
                                              .pod = "new",
                                              .style = MountStyle::Podman});
    EXPECT_EQ(outcome.code, ExitCode::Done);
    EXPECT_THAT(outcome.out, HasSubstr("source=/srv/names/default/new/kube-api-access,"));
    EXPECT_EQ(run(MountsOptions{.config = directory_.file("none.yaml"), .pod = "new"}).code, ExitCode::Configuration);
}

TEST_F(MountsTest, APodThatCannotBeToldIsAskedAfter) {
    EXPECT_EQ(mounts("db").code, ExitCode::Failed);
    EXPECT_THAT(mounts("db").complaints, ElementsAre("'db' may be production/db or stage/db: say which"));
    EXPECT_THAT(mounts("shop").complaints,
                ElementsAre(HasSubstr("pods.yaml: no Pod 'shop' there, but production/bare, ")));
    write("pods.yaml", "kind: [\n");
    EXPECT_THAT(mounts("shop").complaints,
                ElementsAre(HasSubstr("no Pod 'shop' there, nor any other"), HasSubstr("pods.yaml: ")));
}

TEST_F(MountsTest, APodWithoutVolumesHasNothingToMount) {
    const Outcome outcome = mounts("bare");
    EXPECT_EQ(outcome.code, ExitCode::Failed);
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.complaints, ElementsAre(HasSubstr("Pod production/bare: no container mounts anything")));
}

TEST_F(MountsTest, AVolumeInADirectoryOfItsOwnIsMountedFromThere) {
    write("agent.yaml",
          "apiVersion: tokenlet.dev/v1alpha1\nkind: AgentConfiguration\nissuer: {embedded: {}}\n"
          "manifests: {path: " +
              directory_.file("pods.yaml") + "}\nvolumes: {direct: [/shared]}\n");
    write("pods.yaml",
          "apiVersion: v1\nkind: Pod\nmetadata: {name: web, annotations: {tokenlet.dev/path: "
          "kube-api-access=/shared/sa}}\nspec: {containers: [{name: c, image: x}]}\n");
    EXPECT_THAT(mounts("web").out,
                HasSubstr("BindReadOnlyPaths=/shared/sa:/var/run/secrets/kubernetes.io/serviceaccount\n"));
}

TEST_F(MountsTest, APodThatCannotBeProjectedSaysWhy) {
    write("pods.yaml",
          "apiVersion: v1\nkind: Pod\nmetadata: {name: web, annotations: {tokenlet.dev/grace: soon}}\n"
          "spec: {containers: [{name: c, image: x}]}\n");
    EXPECT_EQ(mounts("web").code, ExitCode::Configuration);
    EXPECT_THAT(mounts("web").complaints,
                ElementsAre(AllOf(HasSubstr("pods.yaml: Pod default/web: "), HasSubstr("tokenlet.dev/grace"))));
}

TEST(MountText, QuotesAsEachProgramReads) {
    struct Case {
        std::string_view name;
        MountStyle style;
        std::string_view path;
        std::string_view want;
    };
    const Case cases[] = {
        {"plain for podman", MountStyle::Podman, "/a-b/c_d.e",
         "  --mount type=bind,source=/s,target=/a-b/c_d.e,readonly \\\n"},
        {"docker as podman", MountStyle::Docker, "/a", "  --mount type=bind,source=/s,target=/a,readonly \\\n"},
        {"a comma divides CSV", MountStyle::Podman, "/a,b",
         "  --mount 'type=bind,source=/s,\"target=/a,b\",readonly' \\\n"},
        {"quotes within quotes", MountStyle::Podman, "/a\"b'c",
         "  --mount 'type=bind,source=/s,\"target=/a\"\"b'\\''c\",readonly' \\\n"},
        {"a dollar of compose", MountStyle::Compose, "/a $b", "        target: \"/a $$b\"\n"},
        {"JSON's escapes for compose", MountStyle::Compose, "/a\"\\", "        target: \"/a\\\"\\\\\"\n"},
        {"a specifier of systemd", MountStyle::Systemd, "/100%", "BindReadOnlyPaths=/s:\"/100%%\"\n"},
        {"a blank for systemd", MountStyle::Systemd, "/a b\\c\"", "BindReadOnlyPaths=/s:\"/a b\\\\c\\\"\"\n"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_THAT(mount_text(c.style, {{"app", {{"/s", std::string(c.path)}}}}), HasSubstr(std::string(c.want)));
    }
}

}  // namespace
}  // namespace tokenlet::cli
