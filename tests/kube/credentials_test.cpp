// SPDX-License-Identifier: Apache-2.0
#include "kube/credentials.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/kube/test_certificates.h"
#include "tests/kube/test_loop.h"

namespace tokenlet::kube {
namespace {

using namespace std::chrono_literals;

constexpr char kV1[] = "client.authentication.k8s.io/v1";

class CredentialsTest : public testing::Test {
protected:
    CredentialsTest()
        : directory_(std::filesystem::path("/dev/shm") / ("tokenlet-credentials-" + std::to_string(::getpid()))) {
        std::filesystem::create_directories(directory_);
    }
    ~CredentialsTest() override {
        credentials_.reset();
        std::filesystem::remove_all(directory_);
    }

    [[nodiscard]] std::string at(const std::string& name) const { return (directory_ / name).string(); }
    std::string write(const std::string& name, const std::string& text) const {
        std::ofstream(at(name) + ".new") << text;
        std::filesystem::rename(at(name) + ".new", at(name));
        return at(name);
    }
    [[nodiscard]] std::string read(const std::string& name) const {
        std::ifstream file(at(name));
        return {std::istreambuf_iterator<char>(file), {}};
    }

    // A plugin that is this piece of shell; each run leaves a line in "runs".
    void use_plugin(const std::string& shell, std::chrono::milliseconds time = 20s) {
        access_.user.exec = ExecPlugin{.where = "line 20: users[0].user.exec",
                                       .api_version = kV1,
                                       .command = "/bin/sh",
                                       .args = {"-c", "echo run >> " + at("runs") + "; " + shell},
                                       .env = {{"REGION", "eu"}},
                                       .install_hint = "get it from the shelf"};
        options_.plugin_time = time;
    }

    static std::string printing(const std::string& status) {
        return "echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"" + std::string(kV1) + "\",\"status\":" + status +
               "}'";
    }

    [[nodiscard]] long runs() const { return static_cast<long>(read("runs").size()) / 4; }

    Result<> create() {
        options_.clocks = [this] { return now_; };
        auto made = Credentials::create(loop_.uv(), access_, options_);
        if (!made)
            return std::unexpected(made.error());
        credentials_ = std::move(*made);
        return {};
    }

    // The token, or what is wrong.
    std::string current() {
        std::optional<std::string> got;
        credentials_->with_current([&](CredentialResult credential) {
            got = credential ? std::string((*credential)->token.view()) : "error: " + credential.error().what;
            if (credential) {
                version_ = (*credential)->version;
                certificate_ = (*credential)->certificate_pem.view();
            } else {
                EXPECT_EQ(credential.error().code, Errc::Unavailable);
            }
        });
        EXPECT_TRUE(loop_.run_until([&] { return got.has_value(); }));
        return got.value_or("nothing");
    }

    void pass(Duration time) {
        now_.boot += time;
        now_.wall += time;
    }

    TestLoop loop_;
    std::filesystem::path directory_;
    ClusterAccess access_;
    CredentialOptions options_;
    Now now_ = read_clocks();
    std::unique_ptr<Credentials> credentials_;
    std::uint64_t version_ = 0;
    std::string certificate_;
};

TEST_F(CredentialsTest, KeepAPluginsCredentialUntilItExpires) {
    use_plugin(printing("{\"token\":\"t'$(grep -c . " + at("runs") + ")'\",\"expirationTimestamp\":\"" +
                        rfc3339(now_.wall + 1h) + "\"}"));
    ASSERT_TRUE(create());
    EXPECT_EQ(current(), "t1");
    EXPECT_EQ(current(), "t1");
    pass(59min);
    EXPECT_EQ(current(), "t1");
    EXPECT_EQ(runs(), 1);
}

TEST_F(CredentialsTest, AskAPluginAgainWhenItsCredentialHasExpired) {
    use_plugin("if [ $(grep -c . " + at("runs") + ") = 1 ]; then " +
               printing("{\"token\":\"old\",\"expirationTimestamp\":\"" + rfc3339(now_.wall + 1h) + "\"}") + "; else " +
               printing("{\"token\":\"new\"}") + "; fi");
    ASSERT_TRUE(create());
    EXPECT_EQ(current(), "old");
    pass(61min);
    EXPECT_EQ(current(), "new");
    EXPECT_EQ(runs(), 2);
}

TEST_F(CredentialsTest, RunAPluginOnceForAllWhoAsk) {
    use_plugin(printing("{\"token\":\"t\"}"));
    ASSERT_TRUE(create());
    int told = 0;
    for (int i = 0; i < 50; ++i)
        credentials_->with_current([&](CredentialResult credential) { told += credential ? 1 : 0; });
    EXPECT_TRUE(loop_.run_until([&] { return told == 50; }));
    EXPECT_EQ(runs(), 1);
}

TEST_F(CredentialsTest, AskAPluginAgainWhenTheServerRefuses) {
    use_plugin(printing("{\"token\":\"t\"}"));
    ASSERT_TRUE(create());
    EXPECT_EQ(current(), "t");
    const std::uint64_t first = version_;
    credentials_->refused(first);
    EXPECT_EQ(current(), "t");
    EXPECT_EQ(version_, first) << "it was asked just now";
    pass(6s);
    credentials_->refused(first);
    EXPECT_EQ(current(), "t");
    EXPECT_NE(version_, first);
    EXPECT_EQ(runs(), 2);
}

TEST_F(CredentialsTest, LeaveAFailingPluginAloneForAWhile) {
    use_plugin("exit 1");
    ASSERT_TRUE(create());
    const std::string problem = current();
    EXPECT_EQ(current(), problem);
    EXPECT_EQ(runs(), 1);
    pass(6s);
    EXPECT_EQ(current(), problem);
    EXPECT_EQ(runs(), 2);
}

TEST_F(CredentialsTest, TellAPluginWhatItIsFor) {
    access_.cluster.server = "https://api:6443";
    access_.cluster.certificate_authority = {.file = {}, .bytes = Secret("CA"), .where = "line 3"};
    access_.cluster.exec_config_json = "{\"a\":1}";
    use_plugin("printf '%s' \"$KUBERNETES_EXEC_INFO\" > " + at("info") + "; printf '%s' \"$REGION$HOME\" > " +
               at("region") + "; cat > " + at("stdin") + "; " + printing("{\"token\":\"t\"}"));
    access_.user.exec->provide_cluster_info = true;
    ASSERT_TRUE(create());
    EXPECT_EQ(current(), "t");
    EXPECT_EQ(read("info"),
              "{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\"spec\":{\"cluster\":{"
              "\"server\":\"https://api:6443\",\"certificate-authority-data\":\"Q0E=\",\"config\":{\"a\":1}},"
              "\"interactive\":false}}");
    EXPECT_TRUE(read("region").starts_with("eu")) << read("region");
    EXPECT_EQ(read("stdin"), "");
}

TEST_F(CredentialsTest, TakeACertificateFromAPlugin) {
    TestAuthority authority("ours");
    const TestPair pair = authority.issue({.name = "agent", .alternative_names = ""});
    const auto escaped = [](std::string text) {
        for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2)
            text.replace(at, 1, "\\n");
        return text;
    };
    const std::string answer = "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" + std::string(kV1) +
                               "\",\"status\":{\"clientCertificateData\":\"" + escaped(pair.certificate_pem) +
                               "\",\"clientKeyData\":\"" + escaped(pair.key_pem) + "\"}}";
    use_plugin("cat " + write("answer", answer));
    ASSERT_TRUE(create());
    EXPECT_EQ(current(), "");
    EXPECT_EQ(certificate_, pair.certificate_pem);
}

TEST_F(CredentialsTest, SayWhatWasRunAndHowItEnded) {
    struct Case {
        std::string_view name;
        std::string shell;
        std::string_view want;
    };
    const std::string token(40, 'x');
    const Case cases[] = {
        {"fails", "echo 'no session, log in first' >&2; exit 3",
         "/bin/sh ended with status 3; it said: no session, log in first"},
        {"is killed", "kill -9 $$", "/bin/sh was ended by signal 9"},
        {"prints nothing", "true", "/bin/sh: printed nothing"},
        {"prints junk", "echo hello", "/bin/sh: printed something that is no JSON"},
        {"prints another kind", "echo '{\"kind\":\"Pod\"}'", "/bin/sh: printed JSON that is no ExecCredential"},
        {"prints another version", "echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"v1\"}'",
         "/bin/sh: printed another apiVersion than the client.authentication.k8s.io/v1 that the kubeconfig asks for"},
        {"prints no status", "echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\"}'",
         "/bin/sh: printed an ExecCredential without status"},
        {"prints an empty status", printing("{}"),
         "/bin/sh: printed an ExecCredential with neither token nor clientCertificateData"},
        {"prints half a pair", printing("{\"token\":\"a\",\"clientKeyData\":\"b\"}"),
         "/bin/sh: printed only one of clientCertificateData and clientKeyData"},
        {"prints a pair that is none", printing("{\"clientCertificateData\":\"a\",\"clientKeyData\":\"b\"}"),
         "/bin/sh: clientCertificateData: holds no certificate in PEM"},
        {"prints an expired credential", printing("{\"token\":\"a\",\"expirationTimestamp\":\"2020-01-01T00:00:00Z\"}"),
         "/bin/sh: printed a credential that expired at 2020-01-01T00:00:00Z"},
        {"prints a time that is none", printing("{\"token\":\"a\",\"expirationTimestamp\":\"soon\"}"),
         "/bin/sh: printed an expirationTimestamp that is no time as RFC 3339 has it"},
        {"prints two lines for a token", printing("{\"token\":\"a\\\\nb\"}"),
         "/bin/sh: printed a token with a character that no token has"},
        {"prints without end", "yes", "/bin/sh printed more than 1048576 bytes, and was killed"},
        {"says a token on stderr", "echo \"bad token=" + token + " or eyJhbGciOi\" >&2; exit 1",
         "it said: bad token=[hidden] or [hidden]"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        credentials_.reset();
        use_plugin(c.shell);
        ASSERT_TRUE(create());
        const std::string problem = current();
        EXPECT_TRUE(problem.starts_with("error: line 20: users[0].user.exec: /bin/sh")) << problem;
        EXPECT_TRUE(problem.contains(c.want)) << problem;
        EXPECT_TRUE(problem.ends_with("; the kubeconfig's hint: get it from the shelf")) << problem;
        EXPECT_FALSE(problem.contains('\n'));
    }
}

TEST_F(CredentialsTest, EndAPluginThatHangsWithAllThatItStarted) {
    use_plugin("(while :; do read -t 9 line < " + at("fifo") + "; done) & echo waiting >&2; wait", 80ms);
    ASSERT_EQ(::mkfifo(at("fifo").c_str(), 0600), 0);
    ASSERT_TRUE(create());
    const std::string problem = current();
    EXPECT_TRUE(problem.contains("/bin/sh was not done within 80 ms, and was killed")) << problem;
}

TEST_F(CredentialsTest, SayThatAPluginIsNotThere) {
    use_plugin("true");
    access_.user.exec->command = "tokenlet-no-such-plugin";
    ASSERT_TRUE(create());
    EXPECT_EQ(
        current(),
        "error: line 20: users[0].user.exec: tokenlet-no-such-plugin cannot be run: No such file or directory; the "
        "kubeconfig's hint: get it from the shelf");
}

TEST_F(CredentialsTest, KillThePluginWhenTheyGo) {
    use_plugin("echo $$ > " + at("pid") + "; sleep 100");
    ASSERT_TRUE(create());
    credentials_->with_current([](CredentialResult) { FAIL() << "was called"; });
    const auto limit = std::chrono::steady_clock::now() + 20s;
    while (!read("pid").ends_with('\n') && std::chrono::steady_clock::now() < limit)
        loop_.run_turns();
    const int pid = std::stoi(read("pid"));
    credentials_.reset();
    EXPECT_TRUE(loop_.run_until([&] { return ::kill(pid, 0) != 0; }));
}

TEST_F(CredentialsTest, MayBeDestroyedByWhoAsked) {
    use_plugin(printing("{\"token\":\"t\"}"));
    ASSERT_TRUE(create());
    int told = 0;
    for (int i = 0; i < 3; ++i)
        credentials_->with_current([&](CredentialResult) {
            ++told;
            credentials_.reset();
        });
    EXPECT_TRUE(loop_.run_until([&] { return told > 0; }));
    EXPECT_EQ(told, 1);
}

TEST_F(CredentialsTest, ExchangeCertificateAndKeyOnlyTogether) {
    TestAuthority authority("ours");
    const TestPair old = authority.issue({.name = "a", .alternative_names = ""});
    const TestPair next = authority.issue({.name = "b", .alternative_names = ""});
    access_.user.client_certificate = {.file = write("c", old.certificate_pem), .bytes = {}, .where = "line 1"};
    access_.user.client_key = {.file = write("k", old.key_pem), .bytes = {}, .where = "line 2"};
    ASSERT_TRUE(create());
    EXPECT_EQ(current(), "");
    EXPECT_EQ(certificate_, old.certificate_pem);
    write("c", next.certificate_pem);
    EXPECT_EQ(current(), "");
    EXPECT_EQ(certificate_, old.certificate_pem) << "its key is still the old one";
    EXPECT_TRUE(credentials_->problem().contains("the key is not that of the certificate")) << credentials_->problem();
    write("k", next.key_pem);
    EXPECT_EQ(current(), "");
    EXPECT_EQ(certificate_, next.certificate_pem);
    EXPECT_EQ(credentials_->problem(), "");
}

TEST_F(CredentialsTest, WaitForANewFileWhenTheCertificateHasExpired) {
    TestAuthority authority("ours");
    const TestPair old = authority.issue({.name = "a", .alternative_names = "", .from_day = -2, .to_day = -1});
    const TestPair next = authority.issue({.name = "b", .alternative_names = ""});
    access_.user.client_certificate = {.file = write("c", old.certificate_pem), .bytes = {}, .where = "line 1"};
    access_.user.client_key = {.file = write("k", old.key_pem), .bytes = {}, .where = "line 2"};
    ASSERT_TRUE(create()) << "files are replaced";
    EXPECT_TRUE(current().starts_with("error: line 1: " + at("c") + ": the client certificate expired at "));
    write("c", next.certificate_pem);
    write("k", next.key_pem);
    EXPECT_EQ(current(), "");
}

}  // namespace
}  // namespace tokenlet::kube
