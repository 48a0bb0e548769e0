// SPDX-License-Identifier: Apache-2.0
#include "cli/status_verb.h"

#include <gtest/gtest.h>

namespace tokenlet::cli {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// 2026-11-24T05:39:00Z
const WallTime kNow(1'795'498'740s);

constexpr std::string_view kAnswer = R"({
  "listed": true, "removalHeld": "", "problems": ["/m/bad.yaml: line 3: spec: unknown field"], "counters": {"x": 1},
  "pods": [
    {"namespace": "production", "name": "web", "uid": "u-1", "ready": true, "message": "", "volumes": [
      {"name": "kube-api-access-abcde", "path": "/run/tokenlet/pods/u-1/v", "ready": true, "error": "", "files": [
        {"path": "token", "kind": "serviceAccountToken", "audience": "vault", "issuedAt": "2026-11-24T05:30:00Z",
         "expiresAt": "2026-11-24T06:30:00Z", "rotatesAt": "2026-11-24T06:18:00Z", "lastReadAt": "2026-11-24T05:38:00Z", "lastError": null},
        {"path": "ca.crt", "kind": "configMap", "audience": null, "issuedAt": null, "expiresAt": null, "rotatesAt": null, "lastReadAt": null, "lastError": null}]}]},
    {"namespace": "shop", "name": "db", "uid": "u-2", "ready": false, "message": "not ready", "volumes": [
      {"name": "v", "path": "/p", "ready": false, "error": "config map shop/x not found", "files": [
        {"path": "token", "kind": "serviceAccountToken", "audience": "", "issuedAt": "2026-11-24T04:30:00Z",
         "expiresAt": "2026-11-24T05:36:00Z", "rotatesAt": "2026-11-24T05:18:00Z", "lastReadAt": null, "lastError": ""}]},
      {"name": "plain", "path": "/q", "ready": true, "error": "", "files": [{"path": "a", "kind": "configMap"}]}]},
    {"namespace": "shop", "name": "new", "uid": "", "ready": false, "message": "service account \u001b[31mx is unknown", "volumes": []}
  ]})";

TEST(StatusTable, ShowsEachTokenWithTimesRelativeToNow) {
    const Result<Outcome> outcome = status_table(kAnswer, {}, kNow);
    ASSERT_TRUE(outcome) << outcome.error().what;
    EXPECT_EQ(outcome->out,
              "POD              VOLUME                  FILE    READY   EXPIRES          ROTATES   MESSAGE\n"
              "production/web   kube-api-access-abcde   token   yes     in 51m           in 39m    -\n"
              "shop/db          v                       token   no      expired 3m ago   21m ago   config map shop/x "
              "not found\n"
              "shop/db          plain                   -       yes     -                -         not ready\n"
              "shop/new         -                       -       no      -                -         service account "
              "?[31mx is unknown\n");
    EXPECT_THAT(outcome->complaints, ElementsAre("/m/bad.yaml: line 3: spec: unknown field"));
    EXPECT_EQ(outcome->code, ExitCode::Done);
}

TEST(StatusTable, WideShowsEveryFile) {
    const Result<Outcome> outcome = status_table(kAnswer, {.format = StatusFormat::Wide, .pod = "web"}, kNow);
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->out,
              "POD              UID   VOLUME                  FILE     KIND                  AUDIENCE   READY   ISSUED "
              "  EXPIRES   ROTATES   READ      PATH                       MESSAGE\n"
              "production/web   u-1   kube-api-access-abcde   token    serviceAccountToken   vault      yes     9m ago "
              "  in 51m    in 39m    60s ago   /run/tokenlet/pods/u-1/v   -\n"
              "production/web   u-1   kube-api-access-abcde   ca.crt   configMap             -          yes     -      "
              "  -         -         -         /run/tokenlet/pods/u-1/v   -\n");
}

TEST(StatusTable, OnePodCanBeNamedWithOrWithoutItsNamespace) {
    for (const char* pod : {"db", "shop/db"}) {
        const Result<Outcome> outcome = status_table(kAnswer, {.pod = pod}, kNow);
        ASSERT_TRUE(outcome);
        EXPECT_THAT(outcome->out, HasSubstr("shop/db"));
        EXPECT_THAT(outcome->out, testing::Not(HasSubstr("web")));
    }
    const Result<Outcome> absent = status_table(kAnswer, {.pod = "production/db"}, kNow);
    ASSERT_FALSE(absent);
    EXPECT_EQ(absent.error().what, "the agent has no Pod 'production/db'");
}

TEST(StatusTable, NoPodsAndHeldRemovalsAreSaid) {
    const Result<Outcome> outcome = status_table(R"({"pods": [], "removalHeld": "3 of 4 vanished"})", {}, kNow);
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->out, "");
    EXPECT_THAT(outcome->complaints, ElementsAre("removal is held: 3 of 4 vanished",
                                                 "the agent has no Pods; put a manifest into its manifest directory"));
}

TEST(StatusTable, WhatIsNoAnswerOfAnAgentIsAnErrorAndNotACrash) {
    for (const std::string_view text : {"", "[]", "{}", "{\"pods\": 5}", "<html>", "{\"pods\": [", "\xff"})
        EXPECT_FALSE(status_table(text, {}, kNow)) << text;
    const Result<Outcome> odd = status_table(
        R"({"pods": [5, {"namespace": 7, "name": null, "volumes": [{"files": {}}, "x"]}], "problems": [1]})", {}, kNow);
    ASSERT_TRUE(odd) << "fields of other types read as absent ones";
    EXPECT_THAT(odd->complaints, IsEmpty());
}

}  // namespace
}  // namespace tokenlet::cli
