// SPDX-License-Identifier: Apache-2.0
#include "cli/daemon.h"

#include <gtest/gtest.h>

#include <fstream>

#include "cli/prune_verb.h"
#include "cli/rotate_verb.h"
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

    // An agent of one Pod called a/web and two called twin; every POST gets this answer and is kept in told_.
    http::RunningListener obeying(int status = 200, std::string body = "{}", std::string held = {}) {
        return http::RunningListener(socket_, {}, [=, this](http::Listener& listener, http::Batch batch) {
            for (const http::Request& request : batch.requests) {
                if (request.method == "POST") {
                    told_.push_back(request.target);
                    listener.respond(request.id, http::json_response(status, body));
                    continue;
                }
                listener.respond(request.id,
                                 http::json_response(200, R"({"pods":[{"namespace":"a","name":"web"},)"
                                                          R"({"namespace":"a","name":"twin"},)"
                                                          R"({"namespace":"b","name":"twin"}],"removalHeld":")" +
                                                              held + "\"}"));
            }
        });
    }

    std::vector<std::string> told_;  // read once the agent that writes it has answered
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

TEST_F(DaemonTest, RotateNamesPodAndVolumeToTheAgent) {
    struct Case {
        std::string pod, target, out;
    };
    const Case cases[] = {
        {"a/web", "/v1/rotate?pod=a/web", "a/web: new tokens are asked for\n"},
        {"a/web/data", "/v1/rotate?pod=a/web&volume=data", "a/web, volume data: new tokens are asked for\n"},
        {"web", "/v1/rotate?pod=a/web", "a/web: new tokens are asked for\n"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.pod);
        Outcome outcome;
        {
            const auto agent = obeying();
            outcome = run(RotateOptions{.where = {.socket = socket_}, .pod = c.pod});
        }
        EXPECT_EQ(outcome.code, ExitCode::Done);
        EXPECT_EQ(outcome.out, c.out);
        EXPECT_THAT(outcome.complaints, testing::IsEmpty());
        EXPECT_THAT(std::exchange(told_, {}), ElementsAre(c.target));
    }
}

TEST_F(DaemonTest, RotateAsksNothingForWhatNamesNoPod) {
    const auto agent = obeying();
    for (const std::string pod : {"", "/", "a/", "/web", "a/web/", "a/web/data/more", "A/web", "a/web&volume=x", "a b",
                                  "a/web?x", "a/web\r\nHost: x"}) {
        SCOPED_TRACE(pod);
        const Outcome outcome = run(RotateOptions{.where = {.socket = socket_}, .pod = pod});
        EXPECT_EQ(outcome.code, ExitCode::Usage);
        EXPECT_THAT(outcome.complaints, ElementsAre(testing::EndsWith("(see tokenlet rotate --help)")));
    }
    for (const std::string pod : {"nobody", "twin"}) {
        SCOPED_TRACE(pod);
        const Outcome outcome = run(RotateOptions{.where = {.socket = socket_}, .pod = pod});
        EXPECT_EQ(outcome.code, ExitCode::Failed);
        EXPECT_THAT(outcome.complaints, ElementsAre(HasSubstr("'" + pod + "'")));
    }
    EXPECT_THAT(told_, testing::IsEmpty());
}

TEST_F(DaemonTest, PruneSaysWhatItReleased) {
    for (const std::string held : {"", "3 of 4 pods vanished"}) {
        const auto agent = obeying(200, "{}", held);
        const Outcome outcome = run(PruneOptions{.where = {.socket = socket_}});
        EXPECT_EQ(outcome.code, ExitCode::Done);
        EXPECT_EQ(outcome.out, held.empty() ? "no removal is held\n" : "released: " + held + "\n");
    }
    EXPECT_THAT(told_, ElementsAre("/v1/prune", "/v1/prune"));
}

TEST_F(DaemonTest, WhatTheAgentRefusesIsOneLineInItsWords) {
    struct Case {
        int status;
        std::string body, want;
    };
    const Case cases[] = {
        {403, R"({"error":"only root may"})", ": only root may; try again as one of them, with sudo for example"},
        {404, R"({"error":"pod a/web: no manifest names it"})", ": pod a/web: no manifest names it"},
        {500, R"({"error":"disk\u001bfull"})", ": disk?full"},
        {502, "<html>", "the agent answers 502: <html>"},
    };
    for (const Case& c : cases) {
        const auto agent = obeying(c.status, c.body);
        for (const Outcome& outcome : {run(RotateOptions{.where = {.socket = socket_}, .pod = "a/web"}),
                                       run(PruneOptions{.where = {.socket = socket_}})}) {
            EXPECT_EQ(outcome.code, ExitCode::Failed);
            EXPECT_EQ(outcome.out, "");
            EXPECT_THAT(outcome.complaints,
                        ElementsAre(testing::AllOf(StartsWith(socket_ + ": "), testing::EndsWith(c.want))));
        }
    }
}

TEST_F(DaemonTest, ChangesWithoutAnAgentAreOneLineThatSaysWhatToDo) {
    for (const Outcome& outcome : {run(RotateOptions{.where = {.socket = socket_}, .pod = "a/web"}),
                                   run(PruneOptions{.where = {.socket = socket_}})}) {
        EXPECT_EQ(outcome.code, ExitCode::Failed);
        EXPECT_THAT(outcome.complaints, ElementsAre(StartsWith(socket_ + ": nobody listens here; start the agent")));
    }
}

}  // namespace
}  // namespace tokenlet::cli
