// SPDX-License-Identifier: Apache-2.0
#include "authority/authority.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <memory>
#include <sstream>

#include "base/base64.h"
#include "tests/authority/scratch.h"

namespace tokenlet::authority {
namespace {

using namespace std::chrono_literals;

const kube::ObjectKey kFrontend{"shop", "frontend"};
const kube::ObjectKey kWeb{"shop", "web"};

PodRecord web(std::string uid = "web-uid") {
    return {.key = kWeb,
            .uid = std::move(uid),
            .service_account = "frontend",
            .node_name = "edge-7",
            .deletion_timestamp = {}};
}

kube::TokenRequest request() {
    return {.ns = "shop",
            .service_account = "frontend",
            .audiences = {"vault"},
            .expiration_seconds = 600,
            .bound_object_ref = kube::BoundObjectRef{"Pod", "web", "web-uid"}};
}

// One part of a token, decoded.
std::string part(const kube::IssuedToken& issued, int index) {
    std::string_view text = issued.token.view();
    for (int i = 0; i < index; ++i)
        text.remove_prefix(text.find('.') + 1);
    return decode_base64url(text.substr(0, text.find('.'))).value();
}

struct AuthorityTest : testing::Test {
    Scratch scratch;
    AuthorityConfiguration config{.issuer = "https://issuer.example", .data_dir = scratch.at("authority")};

    [[nodiscard]] Result<Authority> open(WallTime now = kNow) {
        return Authority::open(config, now, counting_entropy());
    }

    // An authority that knows one account, one Pod, one node.
    [[nodiscard]] Authority ready() {
        Authority authority = open().value();
        EXPECT_TRUE(authority.put_node("edge-7", "node-uid", kNow));
        EXPECT_TRUE(authority.put_service_account(kFrontend, "", kNow));
        EXPECT_TRUE(authority.put_pod(web(), kNow));
        return authority;
    }
};

using AuthorityIssue = AuthorityTest;

TEST_F(AuthorityIssue, SignsWhatTheRulesGrant) {
    Authority authority = ready();
    const kube::IssuedToken issued = authority.issue(request(), kNow + 500ms).value();
    EXPECT_EQ(part(issued, 0), R"({"alg":"ES256","kid":")" + authority.signing_kid() + R"("})");
    EXPECT_EQ(part(issued, 1),
              R"({"aud":["vault"],"exp":1800000600,"iat":1800000000,"iss":"https://issuer.example","jti":")" +
                  uid_number(3) +
                  R"(","kubernetes.io":{"namespace":"shop","node":{"name":"edge-7","uid":"node-uid"},)" +
                  R"("pod":{"name":"web","uid":"web-uid"},"serviceaccount":{"name":"frontend","uid":")" +
                  uid_number(1) + R"("}},"nbf":1800000000,"sub":"system:serviceaccount:shop:frontend"})");
    EXPECT_EQ(part(issued, 2).size(), 64u);
    EXPECT_EQ(issued.expiration_seconds, 600);
    EXPECT_EQ(issued.expiration_timestamp, kNow + 600s);
    EXPECT_EQ(issued.service_account_uid, uid_number(1));
    EXPECT_EQ(issued.server_time, kNow + 500ms);
}

TEST_F(AuthorityIssue, EveryTokenHasAnIdOfItsOwn) {
    Authority authority = ready();
    EXPECT_NE(part(*authority.issue(request(), kNow), 1), part(*authority.issue(request(), kNow), 1));
}

TEST_F(AuthorityIssue, AnUnknownAccountIsNamed) {
    Authority authority = ready();
    kube::TokenRequest ghost = request();
    ghost.service_account = "ghost";
    EXPECT_EQ(authority.issue(ghost, kNow).error().what, R"(token for shop/ghost: serviceaccounts "ghost" not found)");
}

TEST_F(AuthorityIssue, SignsNothingWhileTheClockIsBehind) {
    {
        Authority authority = ready();
        ASSERT_TRUE(authority.issue(request(), kNow));
        ASSERT_TRUE(authority.close(kNow + 30s));
    }
    Authority authority = open(kNow).value();
    EXPECT_EQ(authority.issue(request(), kNow + 29s).error().code, Errc::Unavailable);
    EXPECT_TRUE(authority.issue(request(), kNow + 30s));
}

using AuthorityRestart = AuthorityTest;

TEST_F(AuthorityRestart, WhatATokenNamesIsOnDiskBeforeTheToken) {
    std::string kid;
    std::string ca;
    {
        Authority authority = ready();
        kid = authority.signing_kid();
        ca = authority.root_ca_pem();
        ASSERT_TRUE(authority.issue(request(), kNow));
        // No close(): as after kill -9.
    }
    Authority authority = open(kNow + 1s).value();
    EXPECT_EQ(authority.signing_kid(), kid);
    EXPECT_EQ(authority.root_ca_pem(), ca);
    EXPECT_EQ(authority.put_service_account(kFrontend, "", kNow), uid_number(1));
    EXPECT_EQ(authority.put_node("edge-7", "", kNow), "node-uid");
    EXPECT_TRUE(authority.issue(request(), kNow + 1s)) << "the Pod went to disk with the account";
}

TEST_F(AuthorityRestart, PodsAreWrittenBehindWithinASecondAndOnce) {
    {
        Authority authority = ready();
        ASSERT_TRUE(authority.issue(request(), kNow));
        PodRecord other = web("other-uid");
        other.key.name = "other";
        ASSERT_TRUE(authority.put_pod(other, kNow + 5s));
        EXPECT_EQ(authority.next_deadline(), kNow + 6s);
        ASSERT_TRUE(authority.tick(kNow + 6s));
        EXPECT_GT(authority.next_deadline(), kNow + 1h) << "idle until a key is due";
        ASSERT_TRUE(authority.put_pod(other, kNow + 7s));
        EXPECT_GT(authority.next_deadline(), kNow + 1h) << "the same again is no change";
    }
    Authority authority = open().value();
    kube::TokenRequest bound = request();
    bound.bound_object_ref = {"Pod", "other", "other-uid"};
    EXPECT_TRUE(authority.issue(bound, kNow + 10s));
}

TEST_F(AuthorityRestart, WhatWentWhileNobodyLookedIsGone) {
    {
        Authority authority = ready();
        ASSERT_TRUE(authority.close(kNow));
    }
    Authority authority = open().value();
    ASSERT_TRUE(authority.remove_absent({}, {}, kNow));
    EXPECT_EQ(authority.issue(request(), kNow).error().code, Errc::NotFound) << "the account";
    const std::string uid = authority.put_service_account(kFrontend, "", kNow).value();
    EXPECT_TRUE(authority.issue(request(), kNow)) << "the Pod is terminating";
    EXPECT_EQ(authority.next_deadline(), kNow + 60s + 1ns);
    ASSERT_TRUE(authority.tick(kNow + 61s));
    EXPECT_EQ(authority.issue(request(), kNow + 61s).error().what, R"(token for shop/frontend: pods "web" not found)");
    kube::TokenRequest implied = request();
    implied.service_account = "default";
    implied.bound_object_ref.reset();
    EXPECT_TRUE(authority.issue(implied, kNow + 61s)) << "default is nobody's manifest";
}

using AuthorityPods = AuthorityTest;

TEST_F(AuthorityPods, ReplacedByOneWithAnotherUidTheOldUidIsAConflict) {
    Authority authority = ready();
    ASSERT_TRUE(authority.put_pod(web("new-uid"), kNow));
    EXPECT_EQ(authority.issue(request(), kNow).error().code, Errc::Conflict);
}

TEST_F(AuthorityPods, TenThousandCostOneWrite) {
    Authority authority = ready();
    ASSERT_TRUE(authority.tick(kNow + 1s));
    for (int i = 0; i < 10'000; ++i) {
        PodRecord pod = web("uid-" + std::to_string(i));
        pod.key.name = "web-" + std::to_string(i);
        ASSERT_TRUE(authority.put_pod(pod, kNow + 2s));
    }
    struct stat before{}, after{};
    ASSERT_EQ(::stat(scratch.at("authority/authority.db-wal").c_str(), &before), 0);
    EXPECT_LT(before.st_size, 200'000) << "nothing of it yet";
    ASSERT_TRUE(authority.tick(kNow + 3s));
    ASSERT_EQ(::stat(scratch.at("authority/authority.db-wal").c_str(), &after), 0);
    EXPECT_LT(after.st_size, 4'000'000) << "each page once: a commit for each Pod would have written 40 MB and more";
}

using AuthorityKeys = AuthorityTest;

TEST_F(AuthorityKeys, RotateByTheDeadlinesItNames) {
    config.keys = {.algorithm = Algorithm::Es256, .rotate_every = 100h, .publish_before = 1h};
    Authority authority = ready();
    const std::string first = authority.signing_kid();
    WallTime now = kNow;
    int changes = 0;
    for (std::string kid = first; now < kNow + 1000h;) {
        const std::optional<WallTime> deadline = authority.next_deadline();
        ASSERT_TRUE(deadline);
        now = std::max(now, *deadline);
        ASSERT_TRUE(authority.tick(now));
        ASSERT_TRUE(authority.issue(request(), now));
        if (authority.signing_kid() != kid) {
            EXPECT_TRUE(std::ranges::count(authority.published_kids(), kid) == 1) << "its last tokens live on";
            kid = authority.signing_kid();
            ++changes;
        }
    }
    EXPECT_EQ(changes, 10);
    EXPECT_EQ(std::ranges::count(authority.published_kids(), first), 0);
}

TEST_F(AuthorityKeys, DoNotRotateByAClockThatIsBehind) {
    config.keys = {.algorithm = Algorithm::Es256, .rotate_every = 2h, .publish_before = 1h};
    Authority authority = ready();
    ASSERT_TRUE(authority.issue(request(), kNow + 1h));
    // The clock stepped back by a minute; the successor was due at kNow + 1h.
    ASSERT_TRUE(authority.tick(kNow + 59min));
    ASSERT_TRUE(authority.issue(request(), kNow + 90min));
    const Result<> ticked = authority.tick(kNow + 80min);
    ASSERT_FALSE(ticked);
    EXPECT_EQ(ticked.error().code, Errc::Unavailable);
    EXPECT_EQ(authority.next_deadline(), kNow + 80min + 10s);
}

using AuthorityDataDir = AuthorityTest;

TEST_F(AuthorityDataDir, LetsAWebServerThroughAndHidesTheRest) {
    const mode_t old = ::umask(0077);
    const Authority authority = ready();
    ::umask(old);
    struct Case {
        std::string name;
        mode_t mode;
    };
    const Case cases[] = {
        {"authority", 0711},
        {"authority/discovery", 0755},
        {"authority/discovery/openid/v1", 0755},
        {"authority/discovery/openid/v1/jwks", 0644},
        {"authority/discovery/.well-known/openid-configuration", 0644},
        {"authority/keys", 0700},
        {"authority/keys/" + authority.signing_kid() + ".pem", 0600},
        {"authority/ca", 0700},
        {"authority/ca/ca.key", 0600},
        {"authority/authority.db", 0600},
        {"authority/lock", 0600},
    };
    for (const Case& c : cases)
        EXPECT_EQ(scratch.mode(c.name), c.mode) << c.name;
}

TEST_F(AuthorityDataDir, HasRoomForOneAuthority) {
    const Authority first = ready();
    const Result<Authority> second = open();
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::Conflict);
    EXPECT_EQ(second.error().what, "dataDir " + config.data_dir +
                                       ": another tokenlet runs on this directory; stop it, or give this one a dataDir "
                                       "of its own");
}

TEST_F(AuthorityDataDir, ErrorsNameTheDirectoryAndTheFile) {
    scratch.write("file", "x");
    config.data_dir = scratch.at("file");
    EXPECT_EQ(open().error().what, "dataDir: open(" + scratch.at("file") + "): Not a directory");
    config.data_dir = scratch.at("file/below");
    EXPECT_EQ(open().error().what, "dataDir: mkdir(" + scratch.at("file/below") + "): Not a directory");
    config.data_dir = scratch.at("authority");
    ASSERT_TRUE(open());
    ASSERT_EQ(::chmod(scratch.at("authority/ca/ca.key").c_str(), 0640), 0);
    EXPECT_TRUE(open().error().what.starts_with("dataDir " + config.data_dir + ": ca: ca.key has mode 0640: "));
}

TEST_F(AuthorityDataDir, AFullDiskIsSaidAndTheRetryWorks) {
    Authority authority = ready();
    ASSERT_TRUE(authority.issue(request(), kNow));
    for (int i = 0; i < 1000; ++i) {
        PodRecord pod = web("uid-" + std::to_string(i));
        pod.key.name = "web-" + std::to_string(i);
        ASSERT_TRUE(authority.put_pod(pod, kNow));
    }
    // The same refusal as a full disk, without filling one.
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit tiny{.rlim_cur = 20'000, .rlim_max = before.rlim_max};
    const auto handler = ::signal(SIGXFSZ, SIG_IGN);
    ::setrlimit(RLIMIT_FSIZE, &tiny);
    const Result<> ticked = authority.tick(kNow + 1s);
    const Result<kube::IssuedToken> issued = authority.issue(request(), kNow + 30h);
    const Result<std::string> account = authority.put_service_account({"shop", "new"}, "", kNow + 30h);
    kube::TokenRequest unknown = request();
    unknown.service_account = "new";
    unknown.bound_object_ref.reset();
    const Result<kube::IssuedToken> unsaved = authority.issue(unknown, kNow + 30h);
    ::setrlimit(RLIMIT_FSIZE, &before);
    ::signal(SIGXFSZ, handler);

    ASSERT_FALSE(ticked);
    EXPECT_EQ(ticked.error().code, Errc::Io);
    EXPECT_TRUE(ticked.error().what.starts_with(config.data_dir + "/authority.db: ")) << ticked.error().what;
    EXPECT_EQ(authority.next_deadline(), kNow + 11s);
    EXPECT_TRUE(issued) << "tokens of what is known need no disk, for days";
    ASSERT_TRUE(account);
    ASSERT_FALSE(unsaved) << "a uid that may be another one tomorrow is named in no token";
    EXPECT_EQ(unsaved.error().code, Errc::Io);

    ASSERT_TRUE(authority.tick(kNow + 30h));
    EXPECT_GT(authority.next_deadline(), kNow + 40h);
    EXPECT_TRUE(authority.issue(unknown, kNow + 30h));
    EXPECT_EQ(scratch.read("authority/clock"), "2027-01-16T14:00:00Z\n");
}

// What is logged while it lives.
class Log {
public:
    Log() {
        spdlog::set_default_logger(
            std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text_)));
    }
    ~Log() { spdlog::set_default_logger(old_); }
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;
    [[nodiscard]] std::string text() const { return text_.str(); }

private:
    std::ostringstream text_;
    std::shared_ptr<spdlog::logger> old_ = spdlog::default_logger();
};

TEST_F(AuthorityTest, KeysWithoutTheirDatabaseAreWarnedOf) {
    constexpr char kWarning[] = "database is gone though its keys are there";
    {
        const Log log;
        ASSERT_TRUE(ready().close(kNow));
        ASSERT_TRUE(open()) << "and again, with both";
        EXPECT_EQ(log.text().find(kWarning), std::string::npos) << log.text();
    }
    std::filesystem::remove(scratch.at("authority/authority.db"));
    const Log log;
    ASSERT_TRUE(open());
    EXPECT_NE(log.text().find(kWarning), std::string::npos) << log.text();
    EXPECT_NE(log.text().find("data_dir=\"" + config.data_dir + "\""), std::string::npos) << log.text();
}

}  // namespace
}  // namespace tokenlet::authority
