// SPDX-License-Identifier: Apache-2.0
// The API client against a server that speaks HTTP/2 only, by an implementation that shares nothing with libcurl's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "kube/api_client.h"
#include "tests/kube/test_certificates.h"
#include "tests/kube/test_loop.h"

namespace tokenlet::kube {
namespace {

using namespace std::chrono_literals;

class Http2Test : public testing::Test {
protected:
    Http2Test() : directory_(std::filesystem::path("/dev/shm") / ("tokenlet-http2-" + std::to_string(::getpid()))) {
        std::filesystem::create_directories(directory_);
        std::ofstream((directory_ / "crt").string()) << pair_.certificate_pem;
        std::ofstream((directory_ / "key").string()) << pair_.key_pem;
        // Ends with its stdin, which is a pipe of ours.
        const std::string port_file = (directory_ / "port").string();
        const std::string command = "/usr/bin/python3 -B " TOKENLET_H2_SERVER " " + (directory_ / "crt").string() +
                                    " " + (directory_ / "key").string() + " > " + port_file;
        EXPECT_EQ(::mkfifo(port_file.c_str(), 0600), 0);
        server_ = ::popen(command.c_str(), "we");
        std::ifstream(port_file) >> port_;
        client_ = client({});
    }

    std::unique_ptr<ApiClient> client(ApiClientOptions options) {
        ClusterAccess access;
        access.cluster.server = "https://localhost:" + std::to_string(port_);
        access.cluster.certificate_authority = {
            .file = {}, .bytes = Secret(authority_.pem()), .where = "the test's CA"};
        access.user.token = {.file = {}, .bytes = Secret("token"), .where = "line 9"};
        auto made = ApiClient::create(loop_.uv(), std::move(access), std::move(options));
        EXPECT_TRUE(made) << made.error().what;
        return std::move(*made);
    }
    ~Http2Test() override {
        client_.reset();
        ::pclose(server_);
        std::filesystem::remove_all(directory_);
    }

    void SetUp() override { ASSERT_NE(port_, 0) << "the server did not start: is python3-h2 installed?"; }

    // The bodies, in the order in which they were answered.
    std::vector<std::string> ask(const std::vector<std::string>& paths) {
        std::vector<std::string> bodies;
        for (const std::string& path : paths)
            client_
                ->request({.path = path},
                          [&](ApiResult result) {
                              bodies.push_back(result ? std::string(result->body.view()) : result.error().error.what);
                          })
                .leave_to_client();
        EXPECT_TRUE(loop_.run_until([&] { return bodies.size() == paths.size(); }));
        return bodies;
    }

    // A stream, and why it ended, if it has.
    struct Stream {
        std::string got;
        std::optional<ApiResult> end;
        ApiCall call;
    };
    void begin(Stream& stream, const std::string& path) {
        stream.call =
            client_->request({.path = path, .time = 0ms, .on_data = [&](std::string_view data) { stream.got += data; }},
                             [&](ApiResult result) { stream.end = std::move(result); });
    }

    TestLoop loop_;
    TestAuthority authority_{"ours"};
    TestPair pair_ = authority_.issue({.name = "localhost", .alternative_names = "DNS:localhost"});
    std::filesystem::path directory_;
    std::FILE* server_ = nullptr;
    int port_ = 0;
    std::unique_ptr<ApiClient> client_;
};

TEST_F(Http2Test, ManyRequestsShareAConnection) {
    const std::vector<std::string> bodies = ask(std::vector<std::string>(50, "/version"));
    for (const std::string& body : bodies)
        EXPECT_TRUE(body.starts_with("1 ")) << body;
    EXPECT_EQ(client_->figures().connections, 1u);
}

TEST_F(Http2Test, ASlowRequestHoldsUpNoOther) {
    ask({"/version"});
    // The first is answered only when the second, on the same connection, has been.
    EXPECT_THAT(ask({"/slow", "/version"}), testing::UnorderedElementsAre("1 3", "1 5"));
}

TEST_F(Http2Test, AWatchGivesItsPieces) {
    std::string got;
    std::optional<ApiResult> end;
    const ApiCall call = client_->request({.path = "/watch", .on_data = [&](std::string_view data) { got += data; }},
                                          [&](ApiResult result) { end = std::move(result); });
    EXPECT_TRUE(loop_.run_until([&] { return end.has_value(); }));
    EXPECT_EQ(got, "one\ntwo\n");
    EXPECT_TRUE(end && *end);
}

TEST_F(Http2Test, AServerThatSendsItsClientsAwayIsReachedAnew) {
    EXPECT_EQ(ask({"/goaway"}), std::vector<std::string>{"1 1"});
    EXPECT_EQ(ask({"/version"}), std::vector<std::string>{"2 1"});
}

TEST_F(Http2Test, ARequestThatWasTooSlowLeavesNoneOfTheLaterOnesBehindIt) {
    ask({"/version"});
    std::string later;
    // The request must be sent within its time: a busy machine may take more of that.
    for (auto time = 80ms; time < 20s && !later.starts_with("2 "); time *= 4) {
        std::optional<ApiResult> late;
        const ApiCall call =
            client_->request({.path = "/slow", .time = time}, [&](ApiResult result) { late = std::move(result); });
        EXPECT_TRUE(loop_.run_until([&] { return late.has_value(); }));
        EXPECT_FALSE(*late);
        later = ask({"/version"}).at(0);
    }
    EXPECT_EQ(later, "2 1");
}

TEST_F(Http2Test, ARequestWithoutAnswerEndsTheStreamsOfWhichNothingWasHeardSince) {
    Stream silent;
    Stream ticking;
    // The request must be sent, and the tick that comes with it come, within its time: a busy machine may take more of that.
    for (auto time = 200ms; time < 20s; time *= 4) {
        begin(silent, "/silence");
        begin(ticking, "/ticks");
        ask({"/version"});
        std::optional<ApiResult> late;
        const ApiCall call =
            client_->request({.path = "/silence", .time = time}, [&](ApiResult result) { late = std::move(result); });
        EXPECT_TRUE(loop_.run_until([&] { return late.has_value(); }));
        if (silent.end && !ticking.end) {
            ASSERT_FALSE(*silent.end);
            EXPECT_TRUE(silent.end->error().is_retryable());
            EXPECT_TRUE(silent.end->error().error.what.ends_with("nothing was heard, and a request went unanswered"))
                << silent.end->error().error.what;
            return;
        }
        silent.end.reset();
        ticking.end.reset();
    }
    ADD_FAILURE() << "the silent one was not ended, or the one that ticked was, too";
}

TEST_F(Http2Test, AStreamThatIsSilentOnALiveConnectionGoesOn) {
    client_ = client({.quiet_time = 20ms});
    Stream silent;
    begin(silent, "/silence");
    EXPECT_TRUE(loop_.run_until([&] { return client_->figures().requests >= 5; })) << "nobody asks for signs of life";
    EXPECT_FALSE(silent.end);
    EXPECT_TRUE(ask({"/version"}).at(0).starts_with("1 ")) << "another connection was made";
}

TEST_F(Http2Test, AStreamOnADeadConnectionEndsWithoutARequestOfAnybodys) {
    client_ = client({.quiet_time = 20ms, .sign_of_life_time = 1s});
    Stream silent;
    begin(silent, "/silence");
    client_->request({.path = "/freeze"}, [](const ApiResult&) {}).leave_to_client();
    EXPECT_TRUE(loop_.run_until([&] { return silent.end.has_value(); }));
    EXPECT_FALSE(*silent.end);
    EXPECT_FALSE(ask({"/version"}).at(0).starts_with("1 ")) << "by the dead connection";
}

TEST_F(Http2Test, NoSignOfLifeIsAskedForWithoutAStream) {
    client_ = client({.quiet_time = 20ms});
    {
        Stream silent;
        begin(silent, "/silence");
        EXPECT_TRUE(loop_.run_until([&] { return client_->figures().requests >= 3; }));
    }
    EXPECT_EQ(uv_run(&loop_.uv(), UV_RUN_DEFAULT), 0);  // which goes on as long as a timer is armed
}

}  // namespace
}  // namespace tokenlet::kube
