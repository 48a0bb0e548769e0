// SPDX-License-Identifier: Apache-2.0
#include "cli/explain_verb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tokenlet::cli {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// 2026-11-24T05:39:00Z
const WallTime kNow(1'795'498'740s);

constexpr std::string_view kAnswer = R"({"removalHeld": "", "pods": [
  {"namespace": "production", "name": "web", "uid": "u-1", "serviceAccount": "frontend", "ready": true, "leaving": false, "message": "", "volumes": [
    {"name": "api", "path": "/run/tokenlet/pods/u-1/api", "ready": true, "error": "", "rotations": 3, "files": [
      {"path": "token", "kind": "serviceAccountToken", "audience": "vault", "issuedAt": "2026-11-24T05:30:00Z",
       "expiresAt": "2026-11-24T06:30:00Z", "rotatesAt": "2026-11-24T06:18:00Z", "rule": "fraction", "lastReadAt": "2026-11-24T05:38:00Z"},
      {"path": "ca.crt", "kind": "configMap"}]}]},
  {"namespace": "stage", "name": "web", "uid": "u-2", "ready": false, "leaving": true, "message": "not ready", "volumes": [
    {"name": "api", "path": "/p", "ready": false, "error": "disk full", "rotations": 1, "files": [
      {"path": "token", "kind": "serviceAccountToken", "audience": "", "issuedAt": "2026-11-24T04:30:00Z", "expiresAt": "2026-11-24T05:30:00Z",
       "rotatesAt": "2026-11-24T05:18:00Z", "rule": "maxAge", "lastReadAt": null, "failures": 3, "lastError": "no \u001b route", "retriesAt": "2026-11-24T05:39:20Z"}],
     "fileMounts": [{"file": "token", "mountedAt": "/srv/\u001btoken"}, {"file": "", "mountedAt": "/sa"}]}]}]})";

TEST(Explanation, SaysOfEachFileWhatHappensNextAndWhy) {
    const Result<std::string> text = explanation(kAnswer, "production/web", kNow);
    ASSERT_TRUE(text) << text.error().what;
    EXPECT_EQ(
        *text,
        "Pod production/web is ready\n"
        "  uid u-1\n"
        "  service account frontend\n"
        "\n"
        "api is ready, written 3 times since the agent started\n"
        "  at /run/tokenlet/pods/u-1/api\n"
        "  token    a token for vault\n"
        "           issued 9m ago, expires in 51m (2026-11-24T06:30:00Z)\n"
        "           rotates in 39m (2026-11-24T06:18:00Z), when as much of its lifetime is over as rotation.fraction "
        "says\n"
        "           last read 60s ago\n"
        "  ca.crt   from a configMap, written again when that changes\n");
}

TEST(Explanation, SaysWhatFailedAndWhenItIsTriedAgain) {
    const Result<std::string> text = explanation(kAnswer, "stage/web", kNow);
    ASSERT_TRUE(text) << text.error().what;
    EXPECT_EQ(
        *text,
        "Pod stage/web is not ready, and leaving: no manifest has it any more\n"
        "  uid u-2\n"
        "  not ready\n"
        "\n"
        "api is not ready, written 1 time since the agent started\n"
        "  at /p\n"
        "  failed: disk full\n"
        "  token   a token for the issuer's own audiences\n"
        "          issued 69m ago, expired 9m ago (2026-11-24T05:30:00Z)\n"
        "          due 21m ago (2026-11-24T05:18:00Z), at the age that rotation.maxAge says, before its lifetime calls "
        "for it\n"
        "          nobody has read it since it was written\n"
        "          failed 3 times in a row: no ? route\n"
        "          next try in 20s\n"
        "  token is mounted at /srv/?token and will never change there: mount the directory, see `tokenlet mounts`\n"
        "  one generation of it is mounted at /sa and will never change there: mount the directory, see `tokenlet "
        "mounts`\n");
}

TEST(Explanation, SaysHowLongACopyOfATokenIsGoodThatTheServerExtends) {
    const std::string file =
        R"({"pods": [{"namespace": "a", "name": "web", "volumes": [{"name": "v", "files": [{"path": "token",
        "kind": "serviceAccountToken", "expiresAt": "2026-11-24T06:30:00Z", "validUntil": "2027-11-24T05:30:00Z"}]}]}]})";
    EXPECT_THAT(*explanation(file, "web", kNow),
                HasSubstr("a copy of it is good until in 364d (2027-11-24T05:30:00Z)"));
}

TEST(Explanation, HasEveryPodOfANameAndNoneOfAnother) {
    const Result<std::string> both = explanation(kAnswer, "web", kNow);
    ASSERT_TRUE(both);
    EXPECT_THAT(*both, HasSubstr("Pod production/web"));
    EXPECT_THAT(*both, HasSubstr("\n\nPod stage/web"));
    EXPECT_EQ(explanation(kAnswer, "db", kNow).error().what, "the agent has no Pod 'db'");
}

TEST(Explanation, OfNoAnswerOfAnAgentIsAnError) {
    for (const std::string_view json : {"", "[]", "{}", R"({"pods": 1})"})
        EXPECT_FALSE(explanation(json, "web", kNow)) << json;
    EXPECT_THAT(
        *explanation(R"({"pods": [{"name": "web", "volumes": [{"files": [{}], "rotations": -1}]}]})", "web", kNow),
        HasSubstr("written 0 times"));
}

}  // namespace
}  // namespace tokenlet::cli
