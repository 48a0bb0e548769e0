// SPDX-License-Identifier: Apache-2.0
#include "agent/config.h"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>

namespace tokenlet::agent {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

const std::string kHead = "apiVersion: tokenlet.dev/v1alpha1\nkind: AgentConfiguration\n";
const std::string kMinimal = kHead + "issuer: {embedded: {}}\n";

Result<AgentConfiguration> parse(const std::string& text) {
    return parse_agent_configuration(text, "agent.yaml", "edge-7");
}

TEST(AgentConfiguration, ThreeLinesAreEnough) {
    const Result<AgentConfiguration> config = parse(kMinimal);
    ASSERT_TRUE(config) << config.error().what;
    EXPECT_EQ(config->node_name, "edge-7");
    EXPECT_EQ(config->state_dir, "/var/lib/tokenlet");
    EXPECT_EQ(config->manifests.path, "/etc/tokenlet/manifests");
    EXPECT_EQ(config->manifests.resync, 10min);
    EXPECT_EQ(config->manifests.removal_delay, 10s);
    EXPECT_TRUE(config->manifests.strict_modes);
    EXPECT_EQ(config->volumes.root, "/run/tokenlet/pods");
    EXPECT_EQ(config->volumes.by_name, "/run/tokenlet/by-name");
    EXPECT_EQ(config->volumes.memory, MemoryRule::Warn);
    EXPECT_EQ(config->volumes.grace, 10s);
    EXPECT_EQ(config->volumes.ownership, Ownership::Auto);
    EXPECT_TRUE(config->volumes.direct.empty());
    EXPECT_EQ(config->bound_object.mode, BoundObjectMode::Auto);
    EXPECT_EQ(config->bound_object.secret_name, "tokenlet-edge-7");
    EXPECT_EQ(config->policy, kube::Policy{});
    EXPECT_EQ(config->rotation.fraction, 0.8);
    EXPECT_EQ(config->rotation.max_age, 24h);
    EXPECT_EQ(config->rotation.max_jitter, 5min);
    EXPECT_TRUE(config->notifications.empty());
    EXPECT_EQ(config->status.socket, "/run/tokenlet/tokenlet.sock");
    EXPECT_EQ(config->log.level, LogLevel::Info);
    EXPECT_EQ(config->log.format, LogFormat::Text);
    const auto* authority = std::get_if<authority::AuthorityConfiguration>(&config->issuer);
    ASSERT_NE(authority, nullptr);
    EXPECT_EQ(authority->data_dir, "/var/lib/tokenlet/authority");
    EXPECT_TRUE(check_supported(*config));
    EXPECT_TRUE(warnings_about(*config).empty());
}

TEST(AgentConfiguration, EveryFieldIsRead) {
    const Result<AgentConfiguration> config = parse(kHead + R"(
nodeName: edge-8
stateDir: /srv/state/
manifests: {path: /srv/manifests, resync: 1m, removalDelay: 0s, strictModes: false}
volumes: {root: /srv/pods, byName: /srv/by-name, memory: require, grace: 150s, ownership: acl, direct: [/shared/a, /shared/b/]}
issuer:
  embedded: {issuer: https://tokens.example.org, maxTokenExpiration: 2h}
boundObject: {mode: pod, secretName: mine}
policy:
  namespaces: [production, "stage-*"]
  serviceAccounts: [production/frontend]
  audiences: ["", vault]
  runAsUsers: [1000, 2000-2999]
  maxExpiration: 1h
rotation: {fraction: 1, maxAge: 5s, maxJitter: 0s}
notifications:
  - {name: hup-app, signal: SIGHUP, pidFile: /run/app.pid}
  - {name: reload, exec: [/usr/bin/app, --reload], timeout: 3s}
status: {socket: /srv/status.sock, listen: "127.0.0.1:9464"}
log: {level: debug, format: json}
)");
    ASSERT_TRUE(config) << config.error().what;
    EXPECT_EQ(config->node_name, "edge-8");
    EXPECT_EQ(config->state_dir, "/srv/state") << "without the slash at the end";
    EXPECT_EQ(config->manifests.path, "/srv/manifests");
    EXPECT_EQ(config->manifests.resync, 1min);
    EXPECT_EQ(config->manifests.removal_delay, 0s);
    EXPECT_FALSE(config->manifests.strict_modes);
    EXPECT_EQ(config->volumes.root, "/srv/pods");
    EXPECT_EQ(config->volumes.by_name, "/srv/by-name");
    EXPECT_EQ(config->volumes.memory, MemoryRule::Require);
    EXPECT_EQ(config->volumes.grace, 150s);
    EXPECT_EQ(config->volumes.ownership, Ownership::Acl);
    EXPECT_THAT(config->volumes.direct, ElementsAre("/shared/a", "/shared/b"));
    const auto& authority = std::get<authority::AuthorityConfiguration>(config->issuer);
    EXPECT_EQ(authority.issuer, "https://tokens.example.org");
    EXPECT_EQ(authority.max_token_expiration, 2h);
    EXPECT_EQ(authority.data_dir, "/srv/state/authority") << "follows stateDir";
    EXPECT_EQ(config->bound_object.mode, BoundObjectMode::Pod);
    EXPECT_EQ(config->bound_object.secret_name, "mine");
    EXPECT_THAT(config->policy.namespaces, ElementsAre("production", "stage-*"));
    EXPECT_THAT(config->policy.service_accounts, ElementsAre("production/frontend"));
    EXPECT_THAT(config->policy.audiences, ElementsAre("", "vault"));
    EXPECT_THAT(config->policy.run_as_users, ElementsAre(kube::IdRange{1000, 1000}, kube::IdRange{2000, 2999}));
    EXPECT_EQ(config->policy.max_expiration, Duration(1h));
    EXPECT_EQ(config->rotation.fraction, 1);
    EXPECT_EQ(config->rotation.max_age, 5s);
    EXPECT_EQ(config->rotation.max_jitter, 0s);
    ASSERT_EQ(config->notifications.size(), 2U);
    EXPECT_EQ(config->notifications[0].name, "hup-app");
    EXPECT_EQ(std::get<SendSignal>(config->notifications[0].action).signal, SIGHUP);
    EXPECT_EQ(std::get<SendSignal>(config->notifications[0].action).pid_file, "/run/app.pid");
    EXPECT_THAT(std::get<RunCommand>(config->notifications[1].action).argv, ElementsAre("/usr/bin/app", "--reload"));
    EXPECT_EQ(std::get<RunCommand>(config->notifications[1].action).timeout, 3s);
    EXPECT_EQ(config->status.socket, "/srv/status.sock");
    EXPECT_EQ(config->status.listen, "127.0.0.1:9464");
    EXPECT_EQ(config->log.level, LogLevel::Debug);
    EXPECT_EQ(config->log.format, LogFormat::Json);
}

TEST(AgentConfiguration, TheKubernetesIssuerIsRead) {
    const Result<AgentConfiguration> config = parse(
        kHead +
        "issuer: {kubernetes: {kubeconfig: /etc/k, context: c, self: {serviceAccount: ns/agent, expiration: 24h}}}\n");
    ASSERT_TRUE(config) << config.error().what;
    const auto& issuer = std::get<KubernetesIssuer>(config->issuer);
    EXPECT_EQ(issuer.kubeconfig, "/etc/k");
    EXPECT_EQ(issuer.context, "c");
    EXPECT_FALSE(issuer.in_cluster);
    EXPECT_EQ(issuer.self.ns, "ns");
    EXPECT_EQ(issuer.self.service_account, "agent");
    EXPECT_EQ(issuer.self.expiration, 24h);
    EXPECT_TRUE(check_supported(*config));
}

TEST(AgentConfiguration, WhatThisVersionDoesNotDoIsSaidAndNotPassedOver) {
    struct Case {
        std::string_view text, field;
    };
    const Case cases[] = {
        {"boundObject: {mode: node}\n", "boundObject.mode: "},
        {"status: {listen: \":9464\"}\n", "status.listen: "},
        {"notifications: [{name: a, signal: SIGHUP, pidFile: /run/a}]\n", "notifications: "},
    };
    for (const Case& c : cases) {
        const Result<AgentConfiguration> config = parse(kMinimal + std::string(c.text));
        ASSERT_TRUE(config) << config.error().what;
        const Result<> supported = check_supported(*config);
        ASSERT_FALSE(supported) << c.text;
        EXPECT_THAT(supported.error().what, StartsWith(std::string(c.field)));
    }
}

TEST(AgentConfiguration, WhatIsWrongIsNamedWithFileLineAndField) {
    struct Case {
        std::string_view name;
        std::string text;  // after the head and an issuer, so that it stands on line 4
        std::string_view want;
    };
    const Case cases[] = {
        {"a misspelt section", "volume: {}\n", "line 4: volume: unknown field, did you mean 'volumes'?"},
        {"a misspelt field", "volumes: {rot: /x}\n", "line 4: volumes.rot: unknown field, did you mean 'root'?"},
        {"a field of nowhere", "zebra: 1\n", "line 4: zebra: unknown field"},
        {"a bad node name", "nodeName: A_b\n", "line 4: nodeName: "},
        {"a relative path", "stateDir: state\n", "line 4: stateDir: must be an absolute path"},
        {"a path that climbs", "stateDir: /a/../b\n", "line 4: stateDir: must not hold '..'"},
        {"a number for a path", "stateDir: 5\n", "line 4: stateDir: expected a string, found integer 5"},
        {"relative manifests", "manifests: {path: m}\n", "line 4: manifests.path: must be an absolute path"},
        {"no resync", "manifests: {resync: 0s}\n", "line 4: manifests.resync: must be more than 0s"},
        {"a bare number for a duration", "manifests: {resync: 10}\n", "line 4: manifests.resync: expected a duration"},
        {"a negative delay", "manifests: {removalDelay: -1s}\n",
         "line 4: manifests.removalDelay: must not be negative"},
        {"a word for a boolean", "manifests: {strictModes: maybe}\n", "line 4: manifests.strictModes: expected"},
        {"root and byName the same", "volumes: {root: /a, byName: /a/}\n",
         "line 4: volumes.byName: root (/a) and byName (/a) must not"},
        {"byName within root", "volumes: {root: /a, byName: /a/b}\n", "line 4: volumes.byName: "},
        {"byName within root, in other words", "volumes: {root: /a/./b, byName: /a//b/c}\n",
         "line 4: volumes.byName: "},
        {"direct within root, in other words", "volumes: {root: /a/b, direct: [/a/./b/c]}\n",
         "line 4: volumes.direct: "},
        {"a direct directory with a NUL", "volumes: {direct: [\"/a\\0b\"]}\n", "line 4: volumes.direct: "},
        {"root within the default byName", "volumes: {root: /run/tokenlet/by-name/x}\n", "line 4: volumes.root: "},
        {"an unknown memory rule", "volumes: {memory: warm}\n",
         "line 4: volumes.memory: \"warm\" is not one of require, warn or ignore, did you mean 'warn'?"},
        {"a negative grace", "volumes: {grace: -1s}\n", "line 4: volumes.grace: must not be negative"},
        {"an unknown ownership", "volumes: {ownership: root}\n", "line 4: volumes.ownership: "},
        {"a relative direct directory", "volumes: {direct: [shared]}\n", "line 4: volumes.direct: 'shared' must be"},
        {"everything as a direct directory", "volumes: {direct: [/]}\n", "line 4: volumes.direct: '/' must be"},
        {"a direct directory in root", "volumes: {direct: [/run/tokenlet/pods/x]}\n", "line 4: volumes.direct: "},
        {"a direct directory around root", "volumes: {direct: [/run/tokenlet]}\n",
         "line 4: volumes.direct: '/run/tokenlet' holds root or byName, which are the agent's own"},
        {"an unknown mode", "boundObject: {mode: pods}\n", "line 4: boundObject.mode: \"pods\" is not one of"},
        {"a bad secret name", "boundObject: {secretName: A}\n", "line 4: boundObject.secretName: "},
        {"an account without a namespace", "policy: {serviceAccounts: [frontend]}\n",
         "line 4: policy.serviceAccounts: 'frontend' must be NAMESPACE/NAME"},
        {"a bad user", "policy: {runAsUsers: [root]}\n", "line 4: policy.runAsUsers: "},
        {"users that are no list", "policy: {runAsUsers: 5}\n", "line 4: policy.runAsUsers: must be a list"},
        {"a maximum nobody can meet", "policy: {maxExpiration: 5m}\n",
         "line 4: policy.maxExpiration: must be at least 10m"},
        {"a fraction of nothing", "rotation: {fraction: 0}\n",
         "line 4: rotation.fraction: must be at least 0.01 and at most 1"},
        {"a fraction of next to nothing", "rotation: {fraction: 0.009}\n", "line 4: rotation.fraction: "},
        {"a fraction beyond the life", "rotation: {fraction: 1.1}\n", "line 4: rotation.fraction: "},
        {"a fraction that is no number", "rotation: {fraction: .nan}\n", "line 4: rotation.fraction: "},
        {"no age", "rotation: {maxAge: 0s}\n", "line 4: rotation.maxAge: must be more than 0s"},
        {"an age that is over at once", "rotation: {maxAge: 99ms}\n",
         "line 4: rotation.maxAge: must be at least 100ms"},
        {"a negative jitter", "rotation: {maxJitter: -1s}\n", "line 4: rotation.maxJitter: must not be negative"},
        {"an age beyond reckoning", "rotation: {maxAge: 2000000h}\n",
         "line 4: rotation.maxAge: must be at most 100 years"},
        {"a notification without a name", "notifications: [{signal: SIGHUP, pidFile: /p}]\n",
         "line 4: notifications[0].name: required"},
        {"one name twice", "notifications: [{name: a, exec: [/b]}, {name: a, exec: [/b]}]\n",
         "line 4: notifications[1].name: 'a' is there twice"},
        {"neither signal nor exec", "notifications: [{name: a}]\n", "line 4: notifications[0]: needs either"},
        {"both", "notifications: [{name: a, signal: SIGHUP, exec: [/b]}]\n",
         "line 4: notifications[0]: there are both"},
        {"no signal of that name", "notifications: [{name: a, signal: HUP, pidFile: /p}]\n",
         "line 4: notifications[0].signal: must be one of SIGHUP, "},
        {"KILL tells nobody anything", "notifications: [{name: a, signal: SIGKILL, pidFile: /p}]\n",
         "line 4: notifications[0].signal: must be"},
        {"nobody to signal", "notifications: [{name: a, signal: SIGHUP}]\n",
         "line 4: notifications[0].pidFile: is needed"},
        {"a timeout of a signal", "notifications: [{name: a, signal: SIGHUP, pidFile: /p, timeout: 1s}]\n",
         "line 4: notifications[0].timeout: goes with exec"},
        {"a program found by PATH", "notifications: [{name: a, exec: [reload]}]\n",
         "line 4: notifications[0].exec: must be a list"},
        {"no timeout", "notifications: [{name: a, exec: [/b], timeout: 0s}]\n",
         "line 4: notifications[0].timeout: must be more"},
        {"a relative socket", "status: {socket: s}\n", "line 4: status.socket: must be an absolute path"},
        {"a socket too long for its name", "status: {socket: /" + std::string(107, 's') + "}\n",
         "line 4: status.socket: has 108 bytes; the name of a socket may have 107"},
        {"a port alone", "status: {listen: 9464}\n", "line 4: status.listen: expected a string"},
        {"a port beyond 65535", "status: {listen: \"a:65536\"}\n", "line 4: status.listen: must be ADDRESS:PORT"},
        {"an address without brackets", "status: {listen: \"::1:9464\"}\n", "line 4: status.listen: must be"},
        {"an unknown level", "log: {level: warning}\n",
         "line 4: log.level: \"warning\" is not one of debug, info, warn or error"},
        {"an unknown format", "log: {format: xml}\n", "line 4: log.format: "},
        {"manifests among the volumes", "manifests: {path: /run/tokenlet/pods/m}\n",
         "manifests: path (/run/tokenlet/pods/m) must not lie within volumes.root (/run/tokenlet/pods), "},
        {"state among the volumes", "stateDir: /run/tokenlet/pods/state\n",
         "line 4: stateDir: /run/tokenlet/pods/state must not lie within volumes.root (/run/tokenlet/pods), "},
        {"state among the names", "stateDir: /run/tokenlet/by-name\n", "must not lie within volumes.byName "},
        {"state among the manifests", "stateDir: /etc/tokenlet/./manifests/state\n",
         "must not lie within manifests.path (/etc/tokenlet/manifests), where manifests are dropped"},
        {"a direct directory around the manifests", "volumes: {direct: [/etc]}\n",
         "manifests: path (/etc/tokenlet/manifests) must not lie within volumes.direct (/etc), where the agent writes"},
        {"a direct directory among the manifests", "volumes: {direct: [/etc/tokenlet/manifests/x]}\n",
         "volumes: direct (/etc/tokenlet/manifests/x) must not lie within manifests.path "},
        {"a direct directory among the state", "volumes: {direct: [/var/lib/tokenlet/x]}\n",
         "direct (/var/lib/tokenlet/x) must not lie within stateDir (/var/lib/tokenlet), which is the agent's own"},
        {"a direct directory around the state", "volumes: {direct: [/var]}\n",
         "/var/lib/tokenlet must not lie within volumes.direct (/var), which others mount"},
        {"two configurations", "---\n" + kMinimal, "a second document of kind AgentConfiguration"},
        {"a bad second document",
         "---\napiVersion: tokenlet.dev/v1alpha1\nkind: AuthorityConfiguration\nissuer: ftp://x\n",
         "line 7: issuer: must be an https URL"},
        {"an authority beside the one that is embedded",
         "---\napiVersion: tokenlet.dev/v1alpha1\nkind: AuthorityConfiguration\n",
         "line 5: an AuthorityConfiguration has no effect beside issuer.embedded; its fields (issuer, "
         "dataDir, keys, ...) belong below issuer.embedded"},
        {"a manifest", "---\napiVersion: v1\nkind: Pod\nspec: {}\n",
         "line 6: kind: this is no configuration of tokenlet but a manifest; it goes into a file of its own"},
        {"a misspelt second document", "---\napiVersion: tokenlet.dev/v1alpha1\nkind: AuthorityConfigurations\n",
         "line 6: kind: \"AuthorityConfigurations\" is not one of AgentConfiguration or "
         "AuthorityConfiguration, did you mean 'AuthorityConfiguration'?"},
        {"a key twice", "log: {}\nlog: {}\n", "line 5: "},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const Result<AgentConfiguration> config = parse(kMinimal + c.text);
        ASSERT_FALSE(config);
        EXPECT_EQ(config.error().code, Errc::Invalid);
        EXPECT_THAT(config.error().what, StartsWith("agent.yaml: "));
        EXPECT_THAT(config.error().what, HasSubstr(std::string(c.want)));
    }
}

TEST(AgentConfiguration, ExactlyOneIssuerIsNeededAndHasToBeUsable) {
    struct Case {
        std::string_view text, want;
    };
    const Case cases[] = {
        {"", "issuer: is needed: embedded: {}"},
        {"issuer: {}\n", "issuer: is needed"},
        {"issuer: {embedded: {}, kubernetes: {inCluster: true}}\n", "issuer: there are both"},
        {"issuer: {kubernetes: {}}\n", "issuer.kubernetes: give kubeconfig: PATH, or inCluster: true"},
        {"issuer: {kubernetes: {inCluster: true, kubeconfig: /k}}\n", "issuer.kubernetes.inCluster: either"},
        {"issuer: {kubernetes: {kubeconfig: k}}\n", "issuer.kubernetes.kubeconfig: must be an absolute path"},
        {"issuer: {kubernetes: {inCluster: true, self: {serviceAccount: a}}}\n",
         "issuer.kubernetes.self.serviceAccount: must be NAMESPACE/NAME"},
        {"issuer: {kubernetes: {inCluster: true, self: {expiration: 9m}}}\n",
         "issuer.kubernetes.self.expiration: must be at least 10m"},
        {"issuer: {embeded: {}}\n", "issuer.embeded: unknown field, did you mean 'embedded'?"},
        {"issuer: {embedded: {isuer: x}}\n", "issuer.embedded.isuer: unknown field, did you mean 'issuer'?"},
        {"issuer: {embedded: {dataDir: /etc/tokenlet/manifests/keys}}\n",
         "issuer: embedded.dataDir (/etc/tokenlet/manifests/keys) must not lie within manifests.path "},
        {"issuer: {embedded: {issuer: nowhere}}\n", "issuer.embedded.issuer: must be an https URL"},
    };
    for (const Case& c : cases) {
        const Result<AgentConfiguration> config = parse(kHead + std::string(c.text));
        ASSERT_FALSE(config) << c.text;
        EXPECT_THAT(config.error().what, HasSubstr(std::string(c.want)));
    }
}

TEST(AgentConfiguration, TheHeadIsChecked) {
    struct Case {
        std::string_view text, want;
    };
    const Case cases[] = {
        {"", "holds no document of kind AgentConfiguration"},
        {"# nothing\n", "holds no document of kind AgentConfiguration"},
        {"issuer: {embedded: {}}\n", "apiVersion: is needed: tokenlet.dev/v1alpha1"},
        {"apiVersion: tokenlet.dev/v1\nkind: AgentConfiguration\nissuer: {embedded: {}}\n",
         "line 1: apiVersion: \"tokenlet.dev/v1\" is not one of tokenlet.dev/v1alpha1"},
        {"apiVersion: tokenlet.dev/v1alpha1\nkind: Pod\nissuer: {embedded: {}}\n",
         "line 2: kind: \"Pod\" is not one of AgentConfiguration"},
        {"apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {}\n",
         "agent.yaml: line 2: kind: this is no configuration of tokenlet but a manifest"},
        {"kind: agnetConfiguration\nissuer: {embedded: {}}\n",
         "line 1: kind: \"agnetConfiguration\" is not one of AgentConfiguration or AuthorityConfiguration, did "
         "you mean 'AgentConfiguration'?"},
        {"- a\n", "line 1: expected a mapping"},
        {"a: [\n", "line "},
    };
    for (const Case& c : cases) {
        const Result<AgentConfiguration> config = parse(std::string(c.text));
        ASSERT_FALSE(config) << c.text;
        EXPECT_THAT(config.error().what, HasSubstr(std::string(c.want)));
    }
}

TEST(AgentConfiguration, AHostNameThatIsNoNodeNameAsksForOne) {
    const Result<AgentConfiguration> config = parse_agent_configuration(kMinimal, "f", "my_host");
    ASSERT_FALSE(config);
    EXPECT_THAT(config.error().what, HasSubstr("nodeName: the host name 'my_host' cannot be a node name"));
    EXPECT_TRUE(parse_agent_configuration(kMinimal + "nodeName: a\n", "f", "my_host"));
}

TEST(AgentConfiguration, ADocumentForAnAuthorityElsewhereMayFollow) {
    const Result<AgentConfiguration> config =
        parse(kHead +
              "issuer: {kubernetes: {inCluster: true}}\n---\napiVersion: tokenlet.dev/v1alpha1\n"
              "kind: AuthorityConfiguration\n");
    EXPECT_TRUE(config) << config.error().what;
}

TEST(AgentConfiguration, JsonIsFine) {
    const Result<AgentConfiguration> config =
        parse(R"({"apiVersion": "tokenlet.dev/v1alpha1", "kind": "AgentConfiguration", "issuer": {"embedded": {}}})");
    EXPECT_TRUE(config) << config.error().what;
}

TEST(AgentConfiguration, WarnsOfWhatIsHardlyMeant) {
    const Result<AgentConfiguration> config =
        parse(kMinimal + "manifests: {strictModes: false}\nrotation: {fraction: 1}\n");
    ASSERT_TRUE(config);
    EXPECT_EQ(warnings_about(*config).size(), 2U);
}

TEST(AgentConfiguration, AFileThatCannotBeReadIsNamed) {
    const std::string directory = testing::TempDir() + "tokenlet-config-test";
    std::filesystem::create_directories(directory);
    const Result<AgentConfiguration> absent = read_agent_configuration(directory + "/absent");
    ASSERT_FALSE(absent);
    EXPECT_EQ(absent.error().code, Errc::NotFound);
    EXPECT_THAT(absent.error().what, HasSubstr(directory + "/absent"));
    EXPECT_FALSE(read_agent_configuration(directory)) << "a directory is no file";
    std::ofstream(directory + "/large") << std::string(kMaxConfigurationBytes + 1, '#');
    EXPECT_FALSE(read_agent_configuration(directory + "/large"));
    std::ofstream(directory + "/good") << kMinimal << "nodeName: a\n";
    EXPECT_TRUE(read_agent_configuration(directory + "/good"));
    std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace tokenlet::agent
