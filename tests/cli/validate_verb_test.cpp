// SPDX-License-Identifier: Apache-2.0
#include "cli/validate_verb.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/http/scratch_directory.h"

namespace tokenlet::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kPod[] = R"(apiVersion: v1
kind: Pod
metadata: {name: web, namespace: production, uid: u-1}
spec:
  containers:
    - {name: app, image: x, volumeMounts: [{name: t, mountPath: /t}]}
  volumes:
    - name: t
      projected: {sources: [{serviceAccountToken: {path: token, audience: vault, expirationSeconds: 600}}]}
)";
constexpr char kConfiguration[] =
    "apiVersion: tokenlet.dev/v1alpha1\nkind: AgentConfiguration\nissuer: {embedded: {}}\nnodeName: edge-7\n";

class ValidateTest : public testing::Test {
protected:
    std::string write(const std::string& name, const std::string& text) {
        std::ofstream(directory_.file(name)) << text;
        return directory_.file(name);
    }
    std::string replaced(std::string text, const std::string& what, const std::string& with) {
        return text.replace(text.find(what), what.size(), with);
    }

    http::ScratchDirectory directory_;
};

TEST_F(ValidateTest, GoodFilesGetALineEach) {
    const std::string pod = write("web.yaml", kPod);
    const std::string config = write("agent.yaml", kConfiguration);
    const Outcome outcome = run(ValidateOptions{{pod, config}});
    EXPECT_EQ(outcome.code, ExitCode::Done);
    EXPECT_THAT(outcome.complaints, IsEmpty());
    EXPECT_EQ(outcome.out, pod + ": 1 Pod\n" + config + ": AgentConfiguration\n");
}

TEST_F(ValidateTest, EachProblemIsALineWithFileLineAndField) {
    const std::string pod = write("web.yaml", replaced(kPod, "600", "300"));
    const std::string config = write("agent.yaml", std::string(kConfiguration) + "volumes: {rot: /x}\nlgo: {}\n");
    const Outcome outcome = run(ValidateOptions{{config, pod}});
    EXPECT_EQ(outcome.code, ExitCode::Configuration);
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.complaints,
                ElementsAre(config + ": line 5: volumes.rot: unknown field, did you mean 'root'?",
                            AllOf(HasSubstr(config + ": line 6: lgo: unknown field")),
                            AllOf(HasSubstr(pod + ": line "), HasSubstr("expirationSeconds"), HasSubstr("300"))));
}

TEST_F(ValidateTest, ADirectoryIsReadAsTheAgentReadsIt) {
    write("web.yaml", kPod);
    write("web.yaml~", "junk: [");
    write(".hidden", "junk: [");
    const Outcome outcome = run(ValidateOptions{{directory_.file("")}});
    EXPECT_EQ(outcome.code, ExitCode::Done);
    EXPECT_THAT(outcome.out, HasSubstr("web.yaml: 1 Pod\n"));
    EXPECT_THAT(outcome.complaints, IsEmpty());
}

TEST_F(ValidateTest, FilesAreReadTogether) {
    const std::string one = write("1.yaml", kPod);
    const std::string two = write("2.yaml", kPod);
    const Outcome outcome = run(ValidateOptions{{one, two}});
    EXPECT_EQ(outcome.code, ExitCode::Configuration);
    ASSERT_EQ(outcome.complaints.size(), 1U);
    EXPECT_THAT(outcome.complaints[0], AllOf(HasSubstr(two), HasSubstr(one)));
}

TEST_F(ValidateTest, ThePolicyOfAConfigurationIsApplied) {
    const std::string pod = write("web.yaml", kPod);
    const std::string config = write("agent.yaml", std::string(kConfiguration) + "policy: {namespaces: [stage]}\n");
    const Outcome outcome = run(ValidateOptions{{config, pod}});
    EXPECT_EQ(outcome.code, ExitCode::Configuration);
    ASSERT_EQ(outcome.complaints.size(), 1U);
    EXPECT_THAT(outcome.complaints[0], AllOf(HasSubstr(pod), HasSubstr("production")));
}

TEST_F(ValidateTest, AnAccountThatIsNowhereIsRemarkedOn) {
    const std::string pod = write("web.yaml", replaced(kPod, "spec:\n", "spec:\n  serviceAccountName: frontend\n"));
    const Outcome outcome = run(ValidateOptions{{pod}});
    EXPECT_EQ(outcome.code, ExitCode::Done);
    EXPECT_THAT(
        outcome.complaints,
        ElementsAre(
            pod + ": Pod production/web: warning: its service account production/frontend is in none of these files"));
}

TEST_F(ValidateTest, WhatThisVersionDoesNotDoIsAProblem) {
    const std::string config =
        write("agent.yaml", replaced(kConfiguration, "embedded: {}", "kubernetes: {inCluster: true}"));
    const Outcome outcome = run(ValidateOptions{{config}});
    EXPECT_EQ(outcome.code, ExitCode::Configuration);
    EXPECT_THAT(outcome.complaints, ElementsAre(HasSubstr("issuer.kubernetes: this version of tokenlet")));
}

TEST_F(ValidateTest, TheAuthoritysOwnConfigurationIsKnown) {
    const std::string config =
        write("authority.yaml", "apiVersion: tokenlet.dev/v1alpha1\nkind: AuthorityConfiguration\n");
    EXPECT_EQ(run(ValidateOptions{{config}}).out, config + ": AuthorityConfiguration\n");
    const Outcome bad = run(
        ValidateOptions{{write("a.yaml", "apiVersion: tokenlet.dev/v1alpha1\nkind: AuthorityConfiguration\nx: 1\n")}});
    EXPECT_EQ(bad.code, ExitCode::Configuration);
}

TEST_F(ValidateTest, APathThatIsNotThereFailsAndTheOthersAreStillRead) {
    const std::string pod = write("web.yaml", kPod);
    const Outcome outcome = run(ValidateOptions{{directory_.file("absent"), pod}});
    EXPECT_EQ(outcome.code, ExitCode::Failed);
    EXPECT_THAT(outcome.complaints, ElementsAre(HasSubstr(directory_.file("absent"))));
    EXPECT_EQ(outcome.out, pod + ": 1 Pod\n");
}

TEST_F(ValidateTest, BrokenYamlIsSaidOnceWithItsLine) {
    const std::string file = write("web.yaml", "kind: Pod\nmetadata: {name: [\n");
    const Outcome outcome = run(ValidateOptions{{file}});
    EXPECT_EQ(outcome.code, ExitCode::Configuration);
    EXPECT_THAT(outcome.complaints, ElementsAre(HasSubstr(file + ": line ")));
}

}  // namespace
}  // namespace tokenlet::cli
