// SPDX-License-Identifier: Apache-2.0
#include "cli/daemon.h"

#include <gtest/gtest.h>

#include <fstream>

#include "cli/status_verb.h"
#include "cli/wait_verb.h"
#include "tests/http/running_listener.h"
#include "tests/http/scratch_directory.h"

namespace tokenlet::cli {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class DaemonTest : public testing::Test {
protected:
    // An agent that answers every request with this text.
    http::RunningListener answering(std::string json, int status = 200) {
        return http::RunningListener(socket_, {}, [json, status](http::Listener& listener, http::Batch batch) {
            for (const http::Request& request : batch.requests)
                listener.respond(request.id, request.target == "/v1/status" ? http::json_response(status, json)
                                                                            : http::text_response(404, "nothing"));
        });
    }

    http::ScratchDirectory directory_;
    std::string socket_ = directory_.file("s");
};

TEST_F(DaemonTest, TheSocketIsTheNamedOneOrTheConfigurations) {
    EXPECT_EQ(daemon_socket({.socket = "/a"}), std::string("/a"));
    std::ofstream(directory_.file("agent.yaml"))
        << "apiVersion: tokenlet.dev/v1alpha1\nkind: AgentConfiguration\nnodeName: edge-7\nissuer: {embedded: {}}\n"
           "status: {socket: /srv/sock}\n";
    EXPECT_EQ(daemon_socket({.config = directory_.file("agent.yaml")}), std::string("/srv/sock"));
    const Result<std::string> absent = daemon_socket({.config = directory_.file("absent")});
    ASSERT_FALSE(absent);
    EXPECT_THAT(absent.error().what, HasSubstr(directory_.file("absent")));
}

TEST_F(DaemonTest, NoAgentIsOneLineThatSaysWhatToDo) {
    const Outcome outcome = run(StatusOptions{.where = {.socket = socket_}}, {});
    EXPECT_EQ(outcome.code, ExitCode::Failed);
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.complaints, ElementsAre(socket_ + ": nobody listens here; start the agent (systemctl start "
                                                          "tokenlet), or name its socket with --socket or --config"));
}

TEST_F(DaemonTest, JsonIsHandedOnAsItIs) {
    const auto agent = answering(R"({"pods":[],"new":1})");
    const Outcome outcome = run(StatusOptions{.where = {.socket = socket_}, .format = StatusFormat::Json}, {});
    EXPECT_EQ(outcome.code, ExitCode::Done);
    EXPECT_EQ(outcome.out, "{\"pods\":[],\"new\":1}\n");
}

TEST_F(DaemonTest, AnAnswerThatIsNoneIsSaid) {
    const auto agent = answering("overloaded\x1b", 503);
    const Outcome outcome = run(StatusOptions{.where = {.socket = socket_}}, {});
    EXPECT_EQ(outcome.code, ExitCode::Failed);
    EXPECT_THAT(outcome.complaints, ElementsAre(socket_ + ": /v1/status: the agent answers 503: overloaded?"));
}

TEST_F(DaemonTest, WaitEndsWhenThePodIsReadyOrTheTimeIsOver) {
    const auto agent =
        answering(R"({"pods":[{"namespace":"a","name":"up","ready":true},)"
                  R"({"namespace":"a","name":"down","ready":false,"volumes":[{"name":"v","error":"disk full"}]}]})");
    EXPECT_EQ(run(WaitOptions{.where = {.socket = socket_}, .pod = "a/up", .timeout = 0s}).code, ExitCode::Done);
    const Outcome late = run(WaitOptions{.where = {.socket = socket_}, .pod = "down", .timeout = 0s});
    EXPECT_EQ(late.code, ExitCode::Failed);
    EXPECT_THAT(late.complaints, ElementsAre("down: not ready after 0s: v: disk full"));
    const Outcome nobody = run(WaitOptions{.where = {.socket = socket_}, .pod = "x", .timeout = 0s});
    EXPECT_THAT(nobody.complaints, ElementsAre("x: not ready after 0s: the agent has no such Pod"));
}

TEST_F(DaemonTest, WaitBearsWithAnAgentThatIsNotThereYet) {
    const Outcome outcome = run(WaitOptions{.where = {.socket = socket_}, .pod = "x", .timeout = 0s});
    EXPECT_EQ(outcome.code, ExitCode::Failed);
    EXPECT_THAT(outcome.complaints, ElementsAre(StartsWith("x: not ready after 0s: " + socket_ + ": nobody listens")));
}

}  // namespace
}  // namespace tokenlet::cli
