// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/self_credential.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/base64.h"
#include "kube/token_request_json.h"
#include "tests/fsatomic/scratch.h"

namespace tokenlet::agent {
namespace {

using namespace std::chrono_literals;
using fsatomic::Scratch;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kDay = std::chrono::hours(24);

struct SelfCredentialTest : ::testing::Test {
    Scratch scratch;
    Now now{BootTime(1000s), WallTime(1'800'000'000s)};
    std::vector<std::string> bodies;
    std::vector<std::string> reports;
    std::vector<std::string> errors;
    std::vector<std::string> advice;
    int obtained = 0;
    bool has_another_credential = false;
    Duration server_ahead{};
    std::string binding{};  // a claim
    std::function<kube::ApiResult()> answer = [this] { return token(); };
    std::unique_ptr<SelfCredential> self;

    void start() {
        self = std::make_unique<SelfCredential>(
            [this](kube::ApiRequest request, std::move_only_function<void(kube::ApiResult)> done) {
                bodies.emplace_back(request.body.view());
                pending = std::move(done);
            },
            SelfCredential::Settings{
                .request = {.ns = "edge",
                            .service_account = "agent",
                            .audiences = {},
                            .expiration_seconds = 7 * 86400,
                            .bound_object_ref = kube::BoundObjectRef{"Secret", "tokenlet-edge", ""}},
                .directory = scratch.path(),
                .clock = [this] { return now; },
                .random = [] { return std::uint64_t{1} << 63; },
                .report =
                    [this](const Report& report) {
                        reports.push_back(report.event);
                        for (const auto& [key, value] : report.fields)
                            if (key == "err")
                                errors.push_back(value);
                    },
                .on_refusal = [this](const kube::ApiError& error) { advice.push_back(error.advice); },
                .obtained = [this] { ++obtained; },
                .expired = [this] { return std::exchange(has_another_credential, false); },
                .look = [] {}});
    }
    std::move_only_function<void(kube::ApiResult)> pending;

    void let_it_work() {
        (void)self->maintain(now);
        while (auto done = std::exchange(pending, nullptr))
            done(answer());
    }
    void pass(Duration time) {
        now.boot += time;
        now.wall += time;
    }
    [[nodiscard]] kube::ApiAnswer token() const {
        const WallTime issued = now.wall + server_ahead;
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(issued.time_since_epoch()).count();
        const std::string jwt = encode_base64url(R"({"alg":"ES256","kid":"k"})") + "." +
                                encode_base64url(R"({"iat":)" + std::to_string(seconds) + R"(,"exp":)" +
                                                 std::to_string(seconds + 7 * 86400) + binding + "}") +
                                ".c2ln";
        return {.http_status = 201,
                .body = Secret(R"({"kind":"TokenRequest","metadata":{"uid":"u"},"spec":{"expirationSeconds":604800},)"
                               R"("status":{"token":")" +
                               jwt + R"(","expirationTimestamp":")" + rfc3339(issued + 7 * kDay) + "\"}}")};
    }
    [[nodiscard]] bool is_valid() const { return holds_valid_token(scratch.at(kSelfTokenFile), now.wall); }
};

TEST_F(SelfCredentialTest, IsRenewedEveryDayForFourHundredDaysAndNeverExpires) {
    start();
    for (int hour = 0; hour < 400 * 24; ++hour) {
        let_it_work();
        ASSERT_TRUE(is_valid()) << hour;
        pass(1h);
    }
    EXPECT_GE(bodies.size(), 399U);
    EXPECT_LE(bodies.size(), 420U);
    EXPECT_THAT(reports, ElementsAre());
}

TEST_F(SelfCredentialTest, GoesOnWithWhatAnEarlierRunLeft) {
    start();
    let_it_work();
    pass(23h);
    start();
    EXPECT_THAT(*self->maintain(now) - now.boot, testing::AllOf(testing::Gt(50min), testing::Le(1h)));
    EXPECT_EQ(bodies.size(), 1U);
}

TEST_F(SelfCredentialTest, SurvivesDaysWithoutAServerAndSaysSoOnce) {
    start();
    let_it_work();
    answer = [] { return std::unexpected(kube::ApiError{.error = {Errc::Unavailable, "away"}}); };
    for (int minute = 0; minute < 5 * 24 * 60; ++minute) {
        pass(1min);
        let_it_work();
        ASSERT_TRUE(is_valid());
    }
    EXPECT_THAT(reports, ElementsAre("own credential cannot be renewed, going on with the old one"));
    answer = [this] { return token(); };
    pass(1min);
    let_it_work();
    EXPECT_EQ(reports.back(), "own credential is renewed again");
    EXPECT_EQ(reports.size(), 2U);
}

TEST_F(SelfCredentialTest, IsRenewedWhenAStepOfTheClockShowsThatItEndsSoon) {
    start();
    let_it_work();
    const WallTime issued = now.wall;
    now.wall = WallTime(0s);  // a machine without a clock of its own has started
    start();
    let_it_work();
    EXPECT_EQ(bodies.size(), 1U);
    now.wall = issued + 5 * kDay;
    let_it_work();
    EXPECT_EQ(bodies.size(), 1U);
    EXPECT_LE(*self->maintain(now), now.boot + 15h) << "a fifth of its time is left then, whatever was planned";

    now.wall = issued + 6 * kDay;
    answer = [] { return std::unexpected(kube::ApiError{.error = {Errc::Unavailable, "away"}}); };
    for (int turn = 0; turn < 10; ++turn)
        let_it_work();
    EXPECT_EQ(bodies.size(), 2U) << "at a retry's pace";
    answer = [this] { return token(); };
    pass(1min);
    let_it_work();
    EXPECT_EQ(bodies.size(), 3U);
    let_it_work();
    EXPECT_EQ(bodies.size(), 3U);
}

TEST_F(SelfCredentialTest, IsNotRenewedWithoutEndWhereOurClockIsFarFromTheServers) {
    for (const Duration ahead : {Duration(-8 * kDay), Duration(-2 * kDay), Duration(8 * kDay)}) {
        SCOPED_TRACE(go_duration(ahead));
        bodies.clear();
        server_ahead = ahead;
        start();
        for (int minute = 0; minute < 60; ++minute) {
            let_it_work();
            pass(1min);
        }
        EXPECT_LE(bodies.size(), 1U);
    }
}

TEST_F(SelfCredentialTest, IsBoundToTheOperatorsSecretWhereThereIsOne) {
    start();
    answer = [this]() -> kube::ApiResult {
        if (bodies.size() == 1)
            return std::unexpected(kube::ApiError{
                .error = {Errc::NotFound, "no"}, .http_status = 404, .message = "secrets \"tokenlet-edge\" not found"});
        return token();
    };
    let_it_work();
    ASSERT_EQ(bodies.size(), 2U);
    EXPECT_THAT(bodies[0], HasSubstr("tokenlet-edge"));
    EXPECT_THAT(bodies[1], Not(HasSubstr("boundObjectRef")));
    EXPECT_TRUE(is_valid());
    pass(kDay);
    let_it_work();
    EXPECT_THAT(bodies.at(2), HasSubstr("tokenlet-edge")) << "somebody may have made it";
}

TEST_F(SelfCredentialTest, ThatWasBoundIsReplacedByNoneThatIsNot) {
    const auto gone = [] {
        return std::unexpected(kube::ApiError{.error = {Errc::NotFound, "no such Secret"},
                                              .http_status = 404,
                                              .message = "secrets \"tokenlet-edge\" not found"});
    };
    binding = R"(,"kubernetes.io":{"secret":{"name":"tokenlet-edge","uid":"s-1"}})";
    start();
    let_it_work();
    const auto renew = [&] {
        bodies.clear();
        for (int hour = 0; hour < 8 * 24; ++hour) {
            pass(1h);
            let_it_work();
        }
        EXPECT_GT(bodies.size(), 3U);
        for (const std::string& body : bodies)
            EXPECT_THAT(body, HasSubstr("tokenlet-edge"));
    };
    answer = gone;
    renew();
    EXPECT_FALSE(is_valid()) << "whoever deleted the Secret meant it";
    EXPECT_TRUE(holds_bound_token(scratch.at(kSelfTokenFile)));
    EXPECT_THAT(errors.back(), HasSubstr("no such Secret; the token so far is bound to Secret edge/tokenlet-edge"));
    EXPECT_THAT(errors.back(), HasSubstr("`tokenlet enroll`"));

    start();
    renew();
    EXPECT_FALSE(is_valid()) << "after a restart, too";
    answer = [this] { return token(); };
    pass(1min);
    let_it_work();
    EXPECT_TRUE(is_valid());
}

TEST_F(SelfCredentialTest, TellsOfEveryNewTokenAndOfTheAdviceInARefusal) {
    start();
    answer = [] {
        return std::unexpected(
            kube::ApiError{.error = {Errc::Denied, "forbidden"}, .http_status = 403, .advice = "kind: Role"});
    };
    let_it_work();
    EXPECT_THAT(advice, ElementsAre("kind: Role"));
    EXPECT_EQ(obtained, 0);
    answer = [this] { return token(); };
    pass(1min);
    let_it_work();
    pass(kDay);
    let_it_work();
    EXPECT_EQ(obtained, 2);
}

TEST_F(SelfCredentialTest, ThatHasExpiredIsAskedForWithWhatElseThereIs) {
    const auto unauthorized = [this]() -> kube::ApiResult {
        if (has_another_credential || bodies.size() < 3)
            return std::unexpected(kube::ApiError{.error = {Errc::Denied, "Unauthorized"}, .http_status = 401});
        return token();
    };
    start();
    let_it_work();
    answer = unauthorized;
    pass(kDay);
    has_another_credential = true;
    let_it_work();
    EXPECT_EQ(bodies.size(), 2U);
    EXPECT_TRUE(has_another_credential) << "one that is refused while it is valid has been ended by somebody";
    pass(6 * kDay);
    let_it_work();
    EXPECT_FALSE(has_another_credential);
    EXPECT_EQ(bodies.size(), 4U) << "at once";
    EXPECT_TRUE(is_valid());
}

TEST_F(SelfCredentialTest, ThatSomebodyHasPutThereIsUsedAtTheNextTry) {
    const kube::ApiAnswer enrolled = token();
    answer = [] {
        return std::unexpected(kube::ApiError{.error = {Errc::Denied, "Unauthorized"}, .http_status = 401});
    };
    start();
    let_it_work();
    pass(1min);
    let_it_work();
    EXPECT_EQ(obtained, 0);
    const Result<kube::IssuedToken> issued = kube::read_issued_token(enrolled.body.view());
    ASSERT_TRUE(issued && write_secret_file(scratch.path(), kSelfTokenFile, issued->token));
    pass(1min);
    let_it_work();
    EXPECT_EQ(obtained, 1);
}

TEST_F(SelfCredentialTest, IsReadableForItsOwnerAlone) {
    start();
    let_it_work();
    struct stat status{};
    ASSERT_EQ(::stat(scratch.at(kSelfTokenFile).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600U);
}

}  // namespace
}  // namespace tokenlet::agent
