// SPDX-License-Identifier: Apache-2.0
#include "agent/enrollment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kube/document.h"
#include "kube/names.h"

namespace tokenlet::agent {
namespace {

using ::testing::HasSubstr;

TEST(Enrollment, LabelsObjectsOfAHostWithALongNameAsTheServerTakesThem) {
    const std::string node = std::string(62, 'a') + ".example.org";
    const std::vector<EnrolledObject> objects =
        objects_for({.node = node, .account = {"edge", "agent"}, .secret_name = "tokens", .serves = {{"shop", "web"}}});
    EXPECT_EQ(objects.size(), 8U) << "namespace, account, and role, binding and Secret in both namespaces";
    int labelled = 0;
    for (const EnrolledObject& object : objects) {
        SCOPED_TRACE(object.what);
        kube::Documents documents(object.yaml);
        const std::optional<kube::Document> document = documents.next();
        ASSERT_TRUE(document && document->root);
        const kube::Node* labels = document->root->find("metadata")->find("labels");
        if (labels == nullptr)
            continue;
        ++labelled;
        EXPECT_EQ(kube::check_label_value(labels->find("tokenlet.dev/node")->text), "");
    }
    EXPECT_EQ(labelled, 7) << "all but the namespace";
}

constexpr char kOthersRule[] =
    R"({"apiGroups":["apps"],"resources":["deployments"],"resourceNames":["web"],"verbs":["get"]})";

// The Role of a namespace, as a run that serves `serves` makes it where `held` stands.
std::string role_in(const std::string& ns, std::vector<kube::ObjectKey> serves, const std::string& held) {
    for (EnrolledObject& object :
         objects_for({.node = "edge", .account = {"edge", "agent"}, .secret_name = "s", .serves = std::move(serves)}))
        if (object.what == "Role " + ns + "/tokenlet-edge") {
            const Result<EnrolledObject> kept = keep_rules(std::move(object), held);
            return kept ? kept->yaml : kept.error().what;
        }
    return "no such Role";
}

TEST(Enrollment, AddsAccountsToThoseThatAreServedAlready) {
    const std::string web = role_in("shop", {{"shop", "web"}}, R"({"rules":null})");
    EXPECT_THAT(web, HasSubstr(R"("resources":["serviceaccounts/token"],"resourceNames":["web"],"verbs":["create"])"));
    const std::string both = role_in("shop", {{"shop", "db"}}, web);
    EXPECT_THAT(both,
                HasSubstr(R"("resources":["serviceaccounts/token"],"resourceNames":["web","db"],"verbs":["create"])"));
    EXPECT_THAT(
        both,
        HasSubstr(R"("resources":["serviceaccounts"],"resourceNames":["web","db"],"verbs":["get","list","watch"])"));
    EXPECT_THAT(both, HasSubstr(R"("resources":["configmaps"],"resourceNames":["kube-root-ca.crt"])"));
    EXPECT_EQ(role_in("shop", {{"shop", "web"}}, both), both) << "and it can be repeated";
}

TEST(Enrollment, KeepsWhatAnAgentsOwnNamespaceServes) {
    const std::string served = role_in("edge", {{"edge", "web"}}, "{}");
    EXPECT_EQ(role_in("edge", {}, served), served);
}

TEST(Enrollment, KeepsRulesThatAreNotItsOwn) {
    struct Case {
        const char* name;
        const char* rule;
    };
    for (
        const Case& c : {
            Case{"of another group", kOthersRule},
            Case{
                "with other verbs",
                R"({"apiGroups":[""],"resources":["serviceaccounts/token"],"resourceNames":["x"],"verbs":["create","get"]})"},
            Case{"of all names", R"({"apiGroups":[""],"resources":["serviceaccounts/token"],"verbs":["create"]})"},
        }) {
        SCOPED_TRACE(c.name);
        const std::string kept = role_in("shop", {{"shop", "web"}}, R"({"rules":[)" + std::string(c.rule) + "]}");
        EXPECT_THAT(kept, HasSubstr(c.rule));
        EXPECT_THAT(kept, HasSubstr(R"("resourceNames":["web"],"verbs":["create"])"));
    }
}

TEST(Enrollment, TakesNothingElseForARole) {
    for (const char* held : {"", "[]", R"({"rules":[7]})", R"({"rules":{}})"})
        EXPECT_THAT(role_in("shop", {{"shop", "web"}}, held), HasSubstr("Role shop/tokenlet-edge: ")) << held;
}

}  // namespace
}  // namespace tokenlet::agent
