// SPDX-License-Identifier: Apache-2.0
#include "kube/kubeconfig.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace tokenlet::kube {
namespace {

constexpr char kPath[] = "/etc/tokenlet/kubeconfig";

constexpr std::string_view kGood = R"(apiVersion: v1
kind: Config
current-context: edge
preferences: {}
contexts:
- name: edge
  context: {cluster: shop, user: agent, namespace: tokens}
- name: other
  context: {cluster: shop, user: legacy}
clusters:
- name: shop
  cluster:
    server: https://10.0.0.1:6443/prefix/
    certificate-authority: pki/ca.crt
    tls-server-name: kubernetes.default
    proxy-url: socks5://user:s3cret@proxy:1080
users:
- name: agent
  user:
    client-certificate-data: Q0VSVA==
    client-key: agent.key
    tokenFile: /run/token
- name: legacy
  user: {auth-provider: {name: gcp}, bogus: 1}
)";

// The text with one passage exchanged for another.
std::string with(std::string_view passage, std::string_view other) {
    std::string text(kGood);
    const std::size_t at = text.find(passage);
    EXPECT_NE(at, std::string::npos) << passage;
    return text.replace(at, passage.size(), other);
}

// With this as what stands under the agent's name.
std::string with_user(std::string_view user) {
    return with("    client-certificate-data: Q0VSVA==\n    client-key: agent.key\n    tokenFile: /run/token\n", user);
}

std::string with_exec(std::string_view exec) {
    return with_user("    exec:\n" + std::string(exec));
}

constexpr std::string_view kGoodExec =
    "      apiVersion: client.authentication.k8s.io/v1\n"
    "      command: bin/login\n"
    "      args: [--for, edge]\n"
    "      env: [{name: REGION, value: eu}]\n"
    "      interactiveMode: IfAvailable\n"
    "      provideClusterInfo: true\n"
    "      installHint: get it from the shelf\n";

TEST(ParseKubeconfig, FollowsTheCurrentContextToClusterAndUser) {
    const auto access = parse_kubeconfig(kGood, kPath, "");
    ASSERT_TRUE(access) << access.error().what;
    EXPECT_EQ(access->name, "/etc/tokenlet/kubeconfig, context 'edge'");
    EXPECT_EQ(access->ns, "tokens");
    EXPECT_EQ(access->cluster.server, "https://10.0.0.1:6443/prefix");
    EXPECT_EQ(access->cluster.tls_server_name, "kubernetes.default");
    EXPECT_EQ(access->cluster.proxy_url.view(), "socks5://user:s3cret@proxy:1080");
    EXPECT_EQ(access->cluster.tls_verification, TlsVerification::On);
    EXPECT_EQ(access->user.name, "agent");
    EXPECT_TRUE(access->user.has_credential());
}

TEST(ParseKubeconfig, FindsFilesFromItsOwnDirectory) {
    const auto access = parse_kubeconfig(kGood, kPath, "");
    ASSERT_TRUE(access) << access.error().what;
    EXPECT_EQ(access->cluster.certificate_authority.file, "/etc/tokenlet/pki/ca.crt");
    EXPECT_EQ(access->user.client_key.file, "/etc/tokenlet/agent.key");
    EXPECT_EQ(access->user.token.file, "/run/token");
    EXPECT_EQ(access->user.client_certificate.bytes.view(), "CERT");
    EXPECT_EQ(access->user.client_certificate.where,
              "/etc/tokenlet/kubeconfig: line 20: users[0].user.client-certificate-data");
}

TEST(ParseKubeconfig, TakesAPortFromTheScheme) {
    const auto access = parse_kubeconfig(with("https://10.0.0.1:6443/prefix/", "https://api.example.org"), kPath, "");
    ASSERT_TRUE(access) << access.error().what;
    EXPECT_EQ(access->cluster.server, "https://api.example.org:443");
}

TEST(ParseKubeconfig, TakesPlainHttpOnThisMachine) {
    EXPECT_TRUE(parse_kubeconfig(with("https://10.0.0.1:6443/prefix/", "http://127.0.0.1:8001"), kPath, ""));
}

TEST(ParseKubeconfig, PassesOverWhatTheContextDoesNotName) {
    // The user legacy has an auth-provider, and a field that nobody knows.
    EXPECT_TRUE(parse_kubeconfig(kGood, kPath, ""));
    EXPECT_FALSE(parse_kubeconfig(kGood, kPath, "other"));
}

TEST(ParseKubeconfig, ReadsAPlugin) {
    const auto access = parse_kubeconfig(with_exec(kGoodExec), kPath, "");
    ASSERT_TRUE(access) << access.error().what;
    const ExecPlugin& plugin = access->user.exec.value();
    EXPECT_EQ(plugin.where, "/etc/tokenlet/kubeconfig: line 20: users[0].user.exec");
    EXPECT_EQ(plugin.command, "/etc/tokenlet/bin/login");
    EXPECT_EQ(plugin.args, (std::vector<std::string>{"--for", "edge"}));
    EXPECT_EQ(plugin.env.at(0), (std::pair<std::string, std::string>{"REGION", "eu"}));
    EXPECT_TRUE(plugin.provide_cluster_info);
    EXPECT_EQ(plugin.install_hint, "get it from the shelf");
}

TEST(ParseKubeconfig, LeavesACommandWithoutSlashToPath) {
    std::string text = with_exec(kGoodExec);
    text.replace(text.find("bin/login"), 9, "aws");
    const auto access = parse_kubeconfig(text, kPath, "");
    ASSERT_TRUE(access) << access.error().what;
    EXPECT_EQ(access->user.exec.value().command, "aws");
}

TEST(ParseKubeconfig, KeepsThePluginsClusterConfiguration) {
    const auto access = parse_kubeconfig(with("    tls-server-name: kubernetes.default\n",
                                              "    extensions:\n    - name: client.authentication.k8s.io/exec\n      "
                                              "extension: {audience: \"a\\\"b\", count: 1}\n"),
                                         kPath, "");
    ASSERT_TRUE(access) << access.error().what;
    EXPECT_EQ(access->cluster.exec_config_json, R"({"audience":"a\"b","count":1})");
}

TEST(ParseKubeconfig, ReadsImpersonation) {
    const auto access = parse_kubeconfig(with_user("    token: abc\n    as: ada\n    as-uid: u1\n    as-groups: [a, "
                                                   "b]\n    as-user-extra: {scope: [read, write]}\n"),
                                         kPath, "");
    ASSERT_TRUE(access) << access.error().what;
    const Impersonation& as = access->user.impersonation;
    EXPECT_EQ(as.user, "ada");
    EXPECT_EQ(as.uid, "u1");
    EXPECT_EQ(as.groups, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(as.extra.size(), 2u);
}

TEST(ParseKubeconfig, TakesJson) {
    const auto access = parse_kubeconfig(
        R"({"current-context":"a","contexts":[{"name":"a","context":{"cluster":"c","user":"u"}}],)"
        R"("clusters":[{"name":"c","cluster":{"server":"https://h:1"}}],"users":[{"name":"u","user":{"token":"t"}}]})",
        kPath, "");
    ASSERT_TRUE(access) << access.error().what;
    EXPECT_EQ(access->user.token.bytes.view(), "t");
}

TEST(ParseKubeconfig, NeedsNoCredential) {
    const auto access = parse_kubeconfig(with("user: agent, ", ""), kPath, "");
    ASSERT_TRUE(access) << access.error().what;
    EXPECT_FALSE(access->user.has_credential());
}

TEST(ParseKubeconfig, SaysWhatIsWrongOnOneLine) {
    struct Case {
        std::string_view name;
        std::string text;
        std::string_view context;
        std::string_view want;  // behind the file's name
    };
    const Case cases[] = {
        {"empty", "# nothing\n", "", "is empty; a kubeconfig names clusters, users and contexts"},
        {"not YAML", "a: [", "", "line 1: "},
        {"a list", "- a\n", "", "line 1: expected a mapping, found a list"},
        {"two documents", std::string(kGood) + "---\na: 1\n", "", "line 26: a kubeconfig is one document"},
        {"another kind", with("kind: Config", "kind: Pod"), "", "line 2: kind: must be Config: this is no kubeconfig"},
        {"another version", with("apiVersion: v1", "apiVersion: v2"), "", "line 1: apiVersion: must be v1"},
        {"misspelt list", with("clusters:\n", "cluster:\n"), "",
         "line 7: contexts[0].context.cluster: no cluster 'shop' in clusters, which is empty; line 10: cluster: "
         "unknown field, did you mean 'clusters'?"},
        {"no current context", with("current-context: edge\n", ""), "",
         "line 1: current-context: is not set, and no context was asked for"},
        {"unknown current context", with("current-context: edge", "current-context: edgy"), "",
         "line 3: current-context: no context 'edgy' in contexts, did you mean 'edge'?"},
        {"unknown context asked for", std::string(kGood), "prod", "line 5: contexts: no context 'prod' in contexts"},
        {"no contexts at all", "current-context: edge\n", "",
         "line 1: current-context: no context 'edge' in contexts, which is empty"},
        {"context twice", with("- name: other\n", "- name: edge\n"), "",
         "line 8: contexts[1].name: stands for another entry already"},
        {"context without a cluster", with("cluster: shop, user: agent, ", "user: agent, "), "",
         "line 7: contexts[0].context.cluster: required"},
        {"unknown cluster", with("cluster: shop, user: agent", "cluster: shoop, user: agent"), "",
         "line 7: contexts[0].context.cluster: no cluster 'shoop' in clusters, did you mean 'shop'?"},
        {"unknown user", with("user: agent", "user: agen"), "",
         "line 7: contexts[0].context.user: no user 'agen' in users, did you mean 'agent'?"},
        {"no server", with("    server: https://10.0.0.1:6443/prefix/\n", ""), "",
         "line 12: clusters[0].cluster.server: required"},
        {"server without scheme", with("https://10.0.0.1:6443/prefix/", "10.0.0.1:6443"), "",
         "line 13: clusters[0].cluster.server: must start with https://"},
        {"server with a user", with("https://10.0.0.1", "https://ada:s3cret@10.0.0.1"), "",
         "line 13: clusters[0].cluster.server: must not name a user or a password; credentials stand in users[].user"},
        {"server with a bad port", with(":6443", ":99999"), "",
         "line 13: clusters[0].cluster.server: has a port that is no number from 1 to 65535"},
        {"server without host", with("10.0.0.1:6443", ""), "", "line 13: clusters[0].cluster.server: names no host"},
        {"server with a query", with("/prefix/", "/?a=b"), "",
         "line 13: clusters[0].cluster.server: must end with the path: no '?' and no '#'"},
        {"plain http elsewhere", with("https://10", "http://10"), "",
         "line 13: clusters[0].cluster.server: is plain http to another machine, where the token could be read on its "
         "way; "
         "use https://"},
        {"server name that is a URL", with("kubernetes.default", "https://k"), "",
         "line 15: clusters[0].cluster.tls-server-name: must be a host name"},
        {"proxy of another kind", with("socks5://", "ftp://"), "",
         "line 16: clusters[0].cluster.proxy-url: must start with http://, https:// or socks5://"},
        {"misspelt authority", with("certificate-authority:", "certificate-authorty:"), "",
         "line 14: clusters[0].cluster.certificate-authorty: unknown field, did you mean 'certificate-authority'?"},
        {"CA twice", with("tls-server-name: kubernetes.default", "certificate-authority-data: Q0E="), "",
         "line 15: clusters[0].cluster.certificate-authority-data: stands beside certificate-authority; only one of "
         "them can "
         "be meant"},
        {"insecure beside a CA", with("tls-server-name: kubernetes.default", "insecure-skip-tls-verify: true"), "",
         "line 15: clusters[0].cluster.insecure-skip-tls-verify: stands beside a certificate authority, which it would "
         "not "
         "look at"},
        {"insecure that is a word", with("tls-server-name: kubernetes.default", "insecure-skip-tls-verify: \"true\""),
         "", "line 15: clusters[0].cluster.insecure-skip-tls-verify: expected a boolean, found a string"},
        {"broken base64", with("Q0VSVA==", "Q0VSVA=!"), "",
         "line 20: users[0].user.client-certificate-data: illegal base64 data at input byte"},
        {"certificate without key", with("    client-key: agent.key\n", ""), "",
         "line 19: users[0].user: has a client certificate but no client-key or client-key-data"},
        {"key without certificate", with("    client-certificate-data: Q0VSVA==\n", ""), "",
         "line 19: users[0].user: has a client key but no client-certificate or client-certificate-data"},
        {"token with a line break", with_user("    token: \"abc\\ndef\"\n"), "",
         "line 20: users[0].user.token: holds a blank, a line break or another character that no token has"},
        {"token that is a number", with_user("    token: 12345\n"), "",
         "line 20: users[0].user.token: expected a string, found an integer"},
        {"password", with_user("    username: ada\n    password: s3cret\n"), "",
         "line 20: users[0].user.username: Kubernetes has no passwords since 1.19; use token, tokenFile, "
         "client-certificate "
         "or exec"},
        {"auth-provider", std::string(kGood), "other",
         "line 24: users[1].user.auth-provider: Kubernetes clients have no auth providers since 1.26; use exec"},
        {"groups of nobody", with_user("    as-groups: [a]\n"), "",
         "line 19: users[0].user: as-uid, as-groups and as-user-extra need 'as'"},
        {"plugin without command",
         with_exec("      apiVersion: client.authentication.k8s.io/v1\n      interactiveMode: Never\n"), "",
         "line 20: users[0].user.exec.command: required"},
        {"plugin of an old version",
         with_exec("      apiVersion: client.authentication.k8s.io/v1alpha1\n      command: a\n"), "",
         "line 21: users[0].user.exec.apiVersion: must be client.authentication.k8s.io/v1 or "
         "client.authentication.k8s.io/v1beta1"},
        {"plugin that needs a terminal",
         with_exec(
             "      apiVersion: client.authentication.k8s.io/v1\n      command: a\n      interactiveMode: Always\n"),
         "", "line 23: users[0].user.exec.interactiveMode: Always needs a terminal, which a service has not"},
        {"plugin that does not say", with_exec("      apiVersion: client.authentication.k8s.io/v1\n      command: a\n"),
         "",
         "line 20: users[0].user.exec.interactiveMode: must be given with client.authentication.k8s.io/v1; Never is "
         "right for "
         "a service"},
        {"plugin with a variable without name",
         with_exec(
             "      apiVersion: client.authentication.k8s.io/v1beta1\n      command: a\n      env: [{value: 1x}]\n"),
         "", "line 23: users[0].user.exec.env[0].name: required"},
        {"plugin beside a token", with_exec(std::string(kGoodExec) + "    token: abc\n"), "",
         "line 20: users[0].user.exec: stands beside another credential; only one of them can be meant"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const auto access = parse_kubeconfig(c.text, kPath, c.context);
        if (access) {
            ADD_FAILURE() << "was taken";
            continue;
        }
        EXPECT_EQ(access.error().code, Errc::Invalid);
        const std::string want = std::string(kPath) + ": " + std::string(c.want);
        EXPECT_EQ(access.error().what.substr(0, want.size()), want);
        EXPECT_EQ(access.error().what.find('\n'), std::string::npos);
        EXPECT_FALSE(access.error().what.contains("s3cret"));
    }
}

TEST(ReadKubeconfig, NamesAFileThatIsNotThere) {
    const auto access = read_kubeconfig("/nonexistent/kubeconfig", "");
    ASSERT_FALSE(access);
    EXPECT_EQ(access.error().code, Errc::NotFound);
    EXPECT_EQ(access.error().what, "open(/nonexistent/kubeconfig): No such file or directory");
}

TEST(ReadKubeconfig, RefusesADirectory) {
    const auto access = read_kubeconfig("/etc", "");
    ASSERT_FALSE(access);
    EXPECT_EQ(access.error().what, "read(/etc): Is a directory");
}

constexpr std::string_view kContexts =
    "current-context: edge\ncontexts:\n- {name: edge, context: {cluster: shop, user: agent}}\n";
constexpr std::string_view kClusters =
    "clusters:\n- {name: shop, cluster: {server: 'https://a', certificate-authority: ca.crt}}\n";
constexpr std::string_view kUsers = "users:\n- {name: agent, user: {tokenFile: token}}\n";

TEST(ParseKubeconfigs, ReadsSeveralFilesAsOne) {
    const KubeconfigText files[] = {{"/one/config", kContexts}, {"/two/config", kClusters}, {"/three/config", kUsers}};
    const auto access = parse_kubeconfigs(files, "");
    ASSERT_TRUE(access) << access.error().what;
    EXPECT_EQ(access->name, "/one/config, context 'edge'");
    EXPECT_EQ(access->cluster.certificate_authority.file, "/two/ca.crt") << "from where that file is";
    EXPECT_EQ(access->user.token.file, "/three/token");
    EXPECT_EQ(access->user.token.where, "/three/config: line 2: users[0].user.tokenFile");
}

TEST(ParseKubeconfigs, TakesTheFirstFilesWord) {
    const std::string whole = std::string(kContexts) + std::string(kClusters) + std::string(kUsers);
    const std::string other =
        "current-context: other\ncontexts:\n- {name: edge, context: {cluster: other, user: agent, namespace: n}}\n"
        "- {name: other, context: {cluster: shop, user: agent}}\n"
        "clusters:\n- {name: shop, cluster: {server: 'https://b', tls-server-name: b}}\n"
        "users:\n- {name: agent, user: {token: b}}\n";
    const KubeconfigText files[] = {{"/one", "kind: Config\n"}, {"/empty", ""}, {"/two", whole}, {"/three", other}};
    const auto access = parse_kubeconfigs(files, "");
    ASSERT_TRUE(access) << access.error().what;
    EXPECT_EQ(access->name, "/two, context 'edge'");
    EXPECT_EQ(access->cluster.server, "https://a:443");
    EXPECT_EQ(access->cluster.tls_server_name, "") << "an entry is taken as a whole";
    EXPECT_EQ(access->user.token.file, "/token");
    EXPECT_EQ(access->ns, "");
    const auto asked = parse_kubeconfigs(files, "other");
    ASSERT_TRUE(asked) << asked.error().what;
    EXPECT_EQ(asked->name, "/three, context 'other'");
    EXPECT_EQ(asked->cluster.server, "https://a:443");
}

TEST(ParseKubeconfigs, NamesTheFileThatIsWrong) {
    struct Case {
        std::string_view name;
        std::vector<KubeconfigText> files;
        std::string_view context;
        std::string_view want;
    };
    const Case cases[] = {
        {"a link that leads nowhere, where it stands",
         {{"/one", kContexts}, {"/two", "clusters: []\n"}},
         "",
         "/one: line 3: contexts[0].context.cluster: no cluster 'shop' in clusters, which is empty"},
        {"a context of no file, where it was named",
         {{"/one", kClusters},
          {"/two", "current-context: edg\ncontexts:\n- {name: edge, context: {cluster: shop}}\n"}},
         "",
         "/two: line 1: current-context: no context 'edg' in contexts, did you mean 'edge'?"},
        {"broken text in the last", {{"/one", kContexts}, {"/two", "a: [\n"}}, "", "/two: "},
        {"an entry of the second",
         {{"/one", kContexts},
          {"/two", "clusters:\n- {name: shop, cluster: {server: 'ftp://a'}}\n"},
          {"/three", kUsers}},
         "",
         "/two: line 2: clusters[0].cluster.server: "},
        {"two of one name in one file",
         {{"/one", kContexts},
          {"/two", "clusters:\n- {name: shop, cluster: {server: 'https://a'}}\n- {name: shop, cluster: {}}\n"},
          {"/three", kUsers}},
         "",
         "/two: line 3: clusters[1].name: stands for another entry already"},
        {"nothing in any", {{"/one", ""}, {"/two", "# nothing\n"}}, "", "/one: is empty"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const auto access = parse_kubeconfigs(c.files, c.context);
        ASSERT_FALSE(access);
        EXPECT_EQ(access.error().code, Errc::Invalid);
        EXPECT_EQ(access.error().what.substr(0, c.want.size()), c.want) << access.error().what;
    }
}

TEST(ReadKubeconfigs, PassesOverFilesThatAreNotThereUnlessNoneIs) {
    std::string directory = std::filesystem::temp_directory_path() / "tokenlet-kubeconfig-XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    const std::string file = directory + "/config";
    std::ofstream(file) << kContexts << kClusters << kUsers;
    const auto access = read_kubeconfigs("/nonexistent/a::" + file + ":" + file + ":/nonexistent/b", "");
    ASSERT_TRUE(access) << access.error().what;
    EXPECT_EQ(access->user.token.file, directory + "/token");
    const auto none = read_kubeconfigs("/nonexistent/a:/nonexistent/b", "");
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, Errc::NotFound);
    EXPECT_EQ(none.error().what, "open(/nonexistent/b): No such file or directory");
    EXPECT_FALSE(read_kubeconfigs(file + ":/etc", "")) << "a directory is there, and no kubeconfig";
    EXPECT_FALSE(read_kubeconfigs(":", ""));
    std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace tokenlet::kube
