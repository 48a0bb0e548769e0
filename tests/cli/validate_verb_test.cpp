// SPDX-License-Identifier: Apache-2.0
#include "cli/validate_verb.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <fstream>

#include "base/file_bytes.h"
#include "base/unique_fd.h"
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

TEST_F(ValidateTest, APathOutsideOfWhatTheConfigurationAllowsIsAProblem) {
    const std::string pod = write("web.yaml", replaced(kPod, "metadata: {",
                                                       "metadata: {annotations: "
                                                       "{tokenlet.dev/path: \"kube-api-access=/shared/sa\"}, "));
    EXPECT_EQ(run(ValidateOptions{{pod}}).code, ExitCode::Done);
    const std::string config = write("agent.yaml", kConfiguration);
    const Outcome outcome = run(ValidateOptions{{config, pod}});
    EXPECT_EQ(outcome.code, ExitCode::Configuration);
    EXPECT_THAT(outcome.complaints, ElementsAre(HasSubstr("'/shared/sa' lies in none of the directories")));
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
        write("agent.yaml", replaced(kConfiguration, "embedded: {}", "embedded: {}}\nboundObject: {mode: node"));
    const Outcome outcome = run(ValidateOptions{{config}});
    EXPECT_EQ(outcome.code, ExitCode::Configuration);
    EXPECT_THAT(outcome.complaints, ElementsAre(HasSubstr("boundObject.mode: the embedded authority")));
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

TEST_F(ValidateTest, WhatIsNoFileInADirectoryIsSaidAsTheAgentSaysIt) {
    write("web.yaml", kPod);
    ASSERT_EQ(::mkfifo(directory_.file("fifo.yaml").c_str(), 0644), 0);
    std::filesystem::create_directory(directory_.file("below"));
    std::filesystem::create_symlink("nowhere", directory_.file("dangling.yaml"));
    std::filesystem::create_symlink("loop.yaml", directory_.file("loop.yaml"));
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    directory_.file("socket.yaml").copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const Outcome outcome = run(ValidateOptions{{directory_.file("")}});
    EXPECT_EQ(outcome.code, ExitCode::Configuration);
    EXPECT_THAT(outcome.out, HasSubstr("web.yaml: 1 Pod\n"));
    EXPECT_THAT(outcome.complaints,
                testing::UnorderedElementsAre(HasSubstr("/fifo.yaml: is a FIFO"), HasSubstr("/below: is a directory"),
                                              HasSubstr("/dangling.yaml: is a link that leads nowhere"),
                                              HasSubstr("/loop.yaml: is a link that leads back to itself"),
                                              HasSubstr("/socket.yaml: is a socket")));
}

TEST_F(ValidateTest, ADirectoryThatTheAgentWouldRefuseIsAProblemWhereTheConfigurationNamesIt) {
    const std::string config =
        write("agent.yaml", std::string(kConfiguration) + "manifests: {path: " + directory_.file("manifests") + "}\n");
    std::filesystem::create_directory(directory_.file("manifests"));
    write("manifests/web.yaml", kPod);
    struct Case {
        std::string_view name;
        mode_t directory, file;
        std::string what;  // of the complaint; empty: there is none
    };
    const Case cases[] = {
        {"safe", 0755, 0644, ""},
        {"the directory", 0775, 0644, "/manifests: mode 0775"},
        {"the file", 0755, 0646, "/manifests/web.yaml: mode 0646"},
        {"both, of which the directory says it all", 0777, 0666, "/manifests: mode 0777"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        ASSERT_EQ(::chmod(directory_.file("manifests").c_str(), c.directory), 0);
        ASSERT_EQ(::chmod(directory_.file("manifests/web.yaml").c_str(), c.file), 0);
        const Outcome named = run(ValidateOptions{{directory_.file("manifests"), config}});
        const Outcome draft = run(ValidateOptions{{directory_.file("manifests")}});
        EXPECT_EQ(named.code, c.what.empty() ? ExitCode::Done : ExitCode::Configuration);
        EXPECT_EQ(draft.code, ExitCode::Done);
        EXPECT_THAT(draft.out, HasSubstr("web.yaml: 1 Pod\n"));
        if (c.what.empty()) {
            EXPECT_THAT(named.complaints, IsEmpty());
            EXPECT_THAT(draft.complaints, IsEmpty());
        } else {
            EXPECT_THAT(named.complaints, ElementsAre(AllOf(HasSubstr("the agent refuses it: "), HasSubstr(c.what))));
            EXPECT_THAT(draft.complaints, ElementsAre(AllOf(HasSubstr("warning: "), HasSubstr(c.what))));
        }
    }
}

TEST_F(ValidateTest, AFifoThatNobodyWritesToIsSaidAndNotWaitedFor) {
    const std::string fifo = directory_.file("fifo");
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    const Outcome outcome = run(ValidateOptions{{fifo}});
    EXPECT_EQ(outcome.code, ExitCode::Failed);
    EXPECT_THAT(outcome.complaints, ElementsAre(fifo + ": is a FIFO, and nobody writes to it"));
}

TEST_F(ValidateTest, WhatACommandSaysThroughAPipeIsRead) {
    // As the shell's <(command): a pipe under a name of /proc.
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd out(ends[0]);
    UniqueFd writer(ends[1]);
    ASSERT_TRUE(write_all(writer.get(), kPod, "pipe"));
    writer.reset();
    const std::string path = "/proc/self/fd/" + std::to_string(out.get());
    EXPECT_EQ(run(ValidateOptions{{path}}).out, path + ": 1 Pod\n");
}

TEST_F(ValidateTest, PathsThatClashWithinAVolumeAreFound) {
    struct Case {
        std::string_view name, other, want;
    };
    const Case cases[] = {
        {"another token", "{serviceAccountToken: {path: token/second}}", "path \"token/second\" lies below \"token\""},
        {"a key of an object that is elsewhere", "{configMap: {name: c, items: [{key: k, path: token/k}]}}",
         "path \"token/k\" lies below \"token\""},
        {"a bundle that is elsewhere", "{clusterTrustBundle: {name: b, path: token/b}}", "path \"token/b\" lies below"},
        {"no clash", "{serviceAccountToken: {path: second}}", ""},
        {"a whole object that is elsewhere", "{secret: {name: s}}", ""},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const std::string pod =
            write("web.yaml", replaced(kPod, "sources: [", "sources: [" + std::string(c.other) + ", "));
        const Outcome outcome = run(ValidateOptions{{pod}});
        EXPECT_EQ(outcome.code, c.want.empty() ? ExitCode::Done : ExitCode::Configuration);
        if (c.want.empty()) {
            EXPECT_THAT(outcome.complaints, IsEmpty());
        } else {
            EXPECT_THAT(outcome.complaints, ElementsAre(AllOf(HasSubstr("Pod production/web: volume t: "),
                                                              HasSubstr(std::string(c.want)))));
        }
    }
}

TEST_F(ValidateTest, AKeyThatTheConfigMapBesideItLacksIsFound) {
    const std::string pod = write(
        "web.yaml", replaced(kPod, "sources: [", "sources: [{configMap: {name: c, items: [{key: k, path: k}]}}, "));
    const std::string map = write(
        "map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: production}\ndata: {j: x}\n");
    const Outcome outcome = run(ValidateOptions{{pod, map}});
    EXPECT_EQ(outcome.code, ExitCode::Configuration);
    EXPECT_THAT(outcome.complaints, ElementsAre(HasSubstr("sources[0].configMap \"c\": key \"k\" not found")));
}

TEST_F(ValidateTest, AConfigurationThatWillNotStartIsNotSaidToBeFine) {
    const std::string config =
        write("agent.yaml", replaced(kConfiguration, "embedded: {}", "embedded: {}}\nboundObject: {mode: node"));
    EXPECT_EQ(run(ValidateOptions{{config}}).out, "");
}

TEST_F(ValidateTest, AManifestInAConfigurationAndAMisspeltKindAreSaidWhereTheyStand) {
    const std::string mixed = write("agent.yaml", std::string(kConfiguration) + "---\n" + kPod);
    EXPECT_THAT(run(ValidateOptions{{mixed}}).complaints,
                ElementsAre(HasSubstr(": line 7: kind: this is no configuration of tokenlet but a manifest")));
    const std::string misspelt = write("b.yaml", replaced(kConfiguration, "AgentC", "agnetC"));
    EXPECT_THAT(run(ValidateOptions{{misspelt}}).complaints,
                ElementsAre(HasSubstr("did you mean 'AgentConfiguration'?")));
}

TEST_F(ValidateTest, ThousandsOfProblemsAreCountedAfterTheFirstHundred) {
    std::string text;
    for (int i = 0; i < 1000; ++i)
        text += "kind: Nothing\n---\n";
    const Outcome outcome = run(ValidateOptions{{write("many.yaml", text)}});
    EXPECT_EQ(outcome.code, ExitCode::Configuration);
    ASSERT_EQ(outcome.complaints.size(), 101U);
    EXPECT_EQ(outcome.complaints.back(), "and 900 more");
}

TEST_F(ValidateTest, AnEmptyPathIsAMistakeOfTheCommandLine) {
    const Outcome outcome = run(ValidateOptions{{""}});
    EXPECT_EQ(outcome.code, ExitCode::Usage);
    EXPECT_THAT(outcome.complaints, ElementsAre("PATH must not be empty (see tokenlet validate --help)"));
}

}  // namespace
}  // namespace tokenlet::cli
