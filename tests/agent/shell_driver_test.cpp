// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/driver.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/base64.h"
#include "tests/fsatomic/scratch.h"

namespace tokenlet::agent {
namespace {

using fsatomic::Scratch;

// Answers on a later turn of the loop, as the seam demands, with tokens that nobody signed.
class FakeIssuer : public TokenIssuer {
public:
    explicit FakeIssuer(Loop& loop) : loop_(loop) {}

    void issue(RequestToken ask, std::move_only_function<void(TokenAnswer)> done) override {
        ++asked;
        if (silent)
            return pending.push_back(std::move(done));
        loop_.post([this, request = std::move(ask.request), done = std::move(done)]() mutable {
            if (failing)
                return done(std::unexpected(TokenFailure{{Errc::Denied, "not today"}, {}}));
            const std::int64_t now = read_clocks().wall.time_since_epoch() / std::chrono::seconds(1);
            const std::string claims =
                R"({"aud":[")" + request.audiences.at(0) + R"("],"exp":)" + std::to_string(now + 600) + R"(,"iat":)" +
                std::to_string(now) + R"(,"iss":"https://fake","kubernetes.io":{"namespace":")" + request.ns +
                R"(","pod":{"name":")" + request.bound_object_ref->name + R"(","uid":")" +
                request.bound_object_ref->uid + R"("},"serviceaccount":{"name":")" + request.service_account +
                R"(","uid":"sa-uid"}},"nbf":)" + std::to_string(now) + R"(,"sub":"system:serviceaccount:)" +
                request.ns + ":" + request.service_account + "\"}";
            kube::IssuedToken token;
            token.token.append(encode_base64url(R"({"alg":"ES256","kid":"k"})") + "." + encode_base64url(claims) + "." +
                               encode_base64url("signature " + std::to_string(asked)));
            token.expiration_timestamp = WallTime(std::chrono::seconds(now + 600));
            token.expiration_seconds = 600;
            token.service_account_uid = "sa-uid";
            done(std::move(token));
        });
    }

    void tell(TellIssuer news, std::move_only_function<void(Result<IssuerAnswer>)> done) override {
        loop_.post([news = std::move(news), done = std::move(done)]() mutable {
            IssuerAnswer answer;
            for (const IssuerAccount& account : news.accounts)
                answer.account_uids.emplace_back(account.account, "sa-uid");
            done(std::move(answer));
        });
    }

    std::optional<BootTime> maintain(Now) override { return std::nullopt; }
    void announce(IssuerNews) override {}
    Result<> close(WallTime) override { return {}; }

    int asked = 0;
    bool failing = false;
    bool silent = false;
    std::vector<std::move_only_function<void(TokenAnswer)>> pending;

private:
    Loop& loop_;
};

class DriverOnMemory : public testing::Test {
protected:
    DriverOnMemory() : loop_(*Loop::create()), issuer_(std::make_unique<FakeIssuer>(*loop_)) {
        std::filesystem::create_directory(scratch_.at("manifests"));
        ::chmod(scratch_.at("manifests").c_str(), 0755);
        std::filesystem::create_directory(scratch_.at("state"));
    }

    void start() {
        Volumes settings;
        settings.root = scratch_.at("pods");
        settings.by_name = scratch_.at("by-name");
        settings.memory = MemoryRule::Ignore;
        const UniqueFd state = *fsatomic::open_root(scratch_.at("state"));
        CoreSettings core;
        core.boot_id = "boot";
        const auto random = [this] { return random_ += 0x9e3779b97f4a7c15; };
        const auto watch = std::make_shared<VolumeWatch>(*VolumeWatch::make(1000));
        VolumeStore store = *VolumeStore::open(settings, random);
        store.tell(watch);
        driver_ = std::make_unique<Driver>(Driver::Parts{
            .loop = *loop_,
            .logger = logger_,
            .issuer = *issuer_,
            .clock = read_clocks,
            .core = std::make_unique<Core>(std::move(core), random),
            .publisher = std::make_unique<Publisher>(*loop_, std::move(store), Publisher::Where::Loop),
            .identities = std::make_shared<IdentityStore>(*IdentityStore::open(state)),
            .manifests = *kube::ManifestDirectory::open(scratch_.at("manifests"), {.agent_uid = ::geteuid()}),
            .resync = std::chrono::minutes(10),
            .objects = nullptr,
            .volume_watch = watch});
        const auto started = driver_->start([this] { loop_->stop(); },
                                            [this](const Error& error) {
                                                listing_error_ = error.what;
                                                loop_->stop();
                                            });
        ASSERT_TRUE(started) << started.error().what;
    }

    void drop(const std::string& name) {
        std::ofstream(scratch_.at("incoming"))
            << "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name +
                   ", namespace: shop}\n"
                   "spec:\n  automountServiceAccountToken: false\n"
                   "  containers: [{name: main, image: x, volumeMounts: [{name: data, mountPath: /data}]}]\n"
                   "  volumes:\n  - name: data\n    projected:\n      sources:\n"
                   "      - serviceAccountToken: {audience: test, expirationSeconds: 600, path: token}\n";
        std::filesystem::rename(scratch_.at("incoming"), scratch_.at("manifests/" + name + ".yaml"));
    }

    [[nodiscard]] std::string token(const std::string& name) const {
        return fsatomic::read_whole(scratch_.at("by-name/shop/" + name + "/data/token"));
    }
    // Runs the loop until `holds`, looking after each of its turns.
    void run_until(std::function<bool()> holds) {
        std::function<void()> look = [&] { holds() ? loop_->stop() : loop_->post([&] { look(); }); };
        look();
        loop_->run();
    }

    Scratch scratch_;
    Logger logger_{{.level = LogLevel::Error, .format = LogFormat::Text}, LogTarget::Stderr};
    std::uint64_t random_ = 0;
    std::unique_ptr<Loop> loop_;
    std::unique_ptr<FakeIssuer> issuer_;
    std::unique_ptr<Driver> driver_;
    std::string listing_error_;
};

TEST_F(DriverOnMemory, BringsAManifestToATokenOnDisk) {
    drop("web");
    start();
    loop_->run();  // until settled
    EXPECT_EQ(issuer_->asked, 1);
    EXPECT_FALSE(token("web").empty());
    EXPECT_TRUE(driver_->status().settled);
    EXPECT_TRUE(driver_->status().pods.at(0).ready);
}

TEST_F(DriverOnMemory, MendsWhatSomebodyElseDamagesAtOnce) {
    drop("web");
    start();
    loop_->run();
    const std::string bytes = token("web");
    const std::filesystem::path volume = std::filesystem::canonical(scratch_.at("by-name/shop/web/data"));
    for (const auto& damaged : {volume / "token", volume / "..data", volume}) {
        std::filesystem::remove_all(damaged);
        run_until([&] { return token("web") == bytes; });
    }
    EXPECT_GE(driver_->status().repairs, 3U);
    EXPECT_EQ(issuer_->asked, 1);
}

TEST_F(DriverOnMemory, HearsOfAManifestThatIsDroppedLater) {
    start();
    loop_->run();
    drop("late");
    run_until([&] { return !driver_->status().pods.empty() && driver_->status().pods[0].ready; });
    EXPECT_FALSE(token("late").empty());
}

TEST_F(DriverOnMemory, SettlesWhenAPodSaysWhyItHasNoToken) {
    drop("web");
    issuer_->failing = true;
    start();
    loop_->run();
    const Status status = driver_->status();
    EXPECT_TRUE(status.settled);
    EXPECT_FALSE(status.pods.at(0).ready);
    EXPECT_NE(status.pods[0].volumes.at(0).error.find("not today"), std::string::npos);
}

TEST_F(DriverOnMemory, RotatesWhenAPersonAsks) {
    drop("web");
    start();
    loop_->run();
    const std::string before = token("web");
    ASSERT_TRUE(driver_->rotate_now({"shop", "web"}, ""));
    run_until([&] { return token("web") != before; });
    EXPECT_EQ(issuer_->asked, 2);
    EXPECT_FALSE(driver_->rotate_now({"shop", "nobody"}, ""));
}

TEST_F(DriverOnMemory, TellsThatThereIsNoDirectoryToList) {
    std::filesystem::remove(scratch_.at("manifests"));
    start();
    loop_->run();
    EXPECT_NE(listing_error_.find(scratch_.at("manifests")), std::string::npos) << listing_error_;
}

TEST_F(DriverOnMemory, CanGoWhileAnswersAreOnTheirWay) {
    drop("web");
    issuer_->silent = true;
    start();
    run_until([&] { return issuer_->asked == 1; });
    driver_.reset();
    EXPECT_TRUE(loop_->finish_work(std::chrono::seconds(10)));
}

TEST_F(DriverOnMemory, FeedsTheWatchdogAndCallsWhenItsTimeHasCome) {
    start();
    loop_->run();
    int fed = 0;
    bool called = false;
    driver_->watch_over({.period = std::chrono::milliseconds(1), .feed = [&] { ++fed; }});
    driver_->call_after(std::chrono::milliseconds(5), [&] {
        called = true;
        loop_->stop();
    });
    loop_->run();
    EXPECT_TRUE(called);
    EXPECT_GE(fed, 1);
}

}  // namespace
}  // namespace tokenlet::agent
