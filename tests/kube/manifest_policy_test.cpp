// SPDX-License-Identifier: Apache-2.0
#include "kube/manifest_policy.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>

namespace tokenlet::kube {
namespace {

using namespace std::chrono_literals;

Pod web() {
    Pod pod;
    pod.meta.ns = "production";
    pod.meta.name = "web";
    pod.service_account_name = "frontend";
    pod.run_as_user = 1000;
    pod.containers.emplace_back().name = "app";
    Volume& volume = pod.volumes.emplace_back();
    volume.kind = VolumeKind::Projected;
    volume.sources = {ConfigMapProjection{}, ServiceAccountTokenProjection{.audience = "vault", .path = "token"}};
    return pod;
}

TEST(Policy, AnEmptyOneAllowsEverything) {
    EXPECT_TRUE(check(web(), {}));
    EXPECT_TRUE(check(Pod{}, {}));
}

TEST(Policy, NamesFieldValueAndEntry) {
    const std::string token = "spec.volumes[0].projected.sources[1].serviceAccountToken.";
    struct Case {
        const char* name;
        Policy policy;
        std::string want;  // empty: allowed
        std::function<void(Pod&)> edit;
    };
    const auto as_is = [](Pod&) {};
    const Case cases[] = {
        {"namespace listed", {.namespaces = {"staging", "production"}}, "", as_is},
        {"namespace by its start", {.namespaces = {"prod*"}}, "", as_is},
        {"namespace that only starts alike",
         {.namespaces = {"prod", "productio"}},
         "metadata.namespace: \"production\" is not in policy.namespaces (\"prod\", \"productio\")",
         as_is},
        {"account", {.service_accounts = {"production/frontend"}}, "", as_is},
        {"any account of a namespace", {.service_accounts = {"production/*"}}, "", as_is},
        {"account of another namespace",
         {.service_accounts = {"staging/frontend"}},
         "spec.serviceAccountName: \"production/frontend\" is not in policy.serviceAccounts (\"staging/frontend\")",
         as_is},
        {"audience", {.audiences = {"vault"}}, "", as_is},
        {"another audience",
         {.audiences = {"aws"}},
         token + "audience: \"vault\" is not in policy.audiences (\"aws\")",
         as_is},
        {"the issuer's own audience must be allowed too",
         {.audiences = {"vault"}},
         token + "audience: \"\", the issuer's own, is not in policy.audiences (\"vault\")",
         [](Pod& pod) { std::get<ServiceAccountTokenProjection>(pod.volumes[0].sources[1]).audience = ""; }},
        {"and can be",
         {.audiences = {"", "vault"}},
         "",
         [](Pod& pod) { std::get<ServiceAccountTokenProjection>(pod.volumes[0].sources[1]).audience = ""; }},
        {"an hour within an hour", {.max_expiration = 1h}, "", as_is},
        {"an injected volume counts as an hour",
         {.max_expiration = 1h},
         "",
         [](Pod& pod) {
             std::get<ServiceAccountTokenProjection>(pod.volumes[0].sources[1]).expiration_seconds = 3607;
         }},
        {"above the maximum",
         {.max_expiration = 30min},
         token + "expirationSeconds: 3600 is above policy.maxExpiration (30m0s)",
         as_is},
        {"user", {.run_as_users = {{1000, 1999}}}, "", as_is},
        {"another user",
         {.run_as_users = {{0, 0}, {2000, 2999}}},
         "spec.securityContext.runAsUser: 1000 is not in policy.runAsUsers (0, 2000-2999)",
         as_is},
        {"a container's own user",
         {.run_as_users = {{1000, 1999}}},
         "spec.containers[0].securityContext.runAsUser: 0 is not in policy.runAsUsers (1000-1999)",
         [](Pod& pod) { pod.containers[0].run_as_user = 0; }},
        {"no user at all",
         {.run_as_users = {{1000, 1999}}},
         "spec.containers[0].securityContext.runAsUser: must be set, here or for the whole Pod; policy.runAsUsers "
         "allows "
         "1000-1999",
         [](Pod& pod) { pod.run_as_user.reset(); }},
        {"a group is a way in",
         {.run_as_users = {{1000, 1999}}},
         "spec.securityContext.fsGroup: 33 is not in policy.runAsUsers (1000-1999)",
         [](Pod& pod) { pod.fs_group = 33; }},
        {"all that is wrong",
         {.namespaces = {"a"}, .audiences = {"b"}},
         "metadata.namespace: \"production\" is not in policy.namespaces (\"a\"); " + token +
             "audience: \"vault\" is not in policy.audiences (\"b\")",
         as_is},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        Pod pod = web();
        c.edit(pod);
        const Result<> checked = check(pod, c.policy);
        EXPECT_EQ(checked ? "" : checked.error().what, c.want);
        if (!checked) {
            EXPECT_EQ(checked.error().code, Errc::Denied);
        }
    }
}

TEST(Policy, ReadsRangesOfIds) {
    EXPECT_EQ(parse_id_range("1000").value(), (IdRange{1000, 1000}));
    EXPECT_EQ(parse_id_range("0-65533").value(), (IdRange{0, 65533}));
    for (const char* text : {"", "-", "-1", "1-", "a", "10-9", " 1", "1 ", "0x10", "4294967295", "99999999999"})
        EXPECT_FALSE(parse_id_range(text)) << text;
}

}  // namespace
}  // namespace tokenlet::kube
