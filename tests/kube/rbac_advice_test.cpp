// SPDX-License-Identifier: Apache-2.0
#include "kube/rbac_advice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "kube/document.h"

namespace tokenlet::kube {
namespace {

constexpr std::string_view kTokenRefused =
    R"(serviceaccounts "web" is forbidden: User "system:serviceaccount:edge:tokenlet" cannot create resource )"
    R"("serviceaccounts/token" in API group "" in the namespace "shop")";

TEST(ReadMissingRight, ReadsWhatTheServerSays) {
    struct Case {
        std::string_view name;
        std::string_view message;
        MissingRight want;
    };
    const Case cases[] = {
        {"a subresource of one object",
         kTokenRefused,
         {"system:serviceaccount:edge:tokenlet", "create", "", "serviceaccounts", "token", "web", "shop", ""}},
        {"with RBAC's reason behind it",
         R"(configmaps is forbidden: User "ada" cannot list resource "configmaps" in API group "" in the namespace "shop": RBAC: role "x" not found)",
         {"ada", "list", "", "configmaps", "", "", "shop", ""}},
        {"of the whole cluster",
         R"(clustertrustbundles.certificates.k8s.io is forbidden: User "ada" cannot watch resource "clustertrustbundles" in API group "certificates.k8s.io" at the cluster scope)",
         {"ada", "watch", "certificates.k8s.io", "clustertrustbundles", "", "", "", ""}},
        {"a path",
         R"(forbidden: User "ada" cannot get path "/metrics")",
         {"ada", "get", "", "", "", "", "", "/metrics"}},
        {"a user with quotes",
         R"(pods "a" is forbidden: User "ada \"x\"" cannot get resource "pods" in API group "" in the namespace "n")",
         {"ada \"x\"", "get", "", "pods", "", "a", "n", ""}},
        {"an audience that a node may not have",
         R"(serviceaccounts "web" is forbidden: audience "vault" not found in pod spec volume, system:node:edge-7 is not authorized to request tokens for this audience)",
         {"system:node:edge-7", "request-serviceaccounts-token-audience", "", "vault", "", "web", "shop", ""}},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_EQ(read_missing_right(c.message, "shop"), c.want);
    }
}

TEST(ReadMissingRight, KnowsWhatNoRightWouldHelp) {
    for (
        const std::string_view message :
        {"",
         R"(admission webhook "a.b" denied the request: User "x" cannot create resource "pods" in API group "" in the namespace "n")",
         R"(serviceaccounts "web" is forbidden: node requested token not bound to a pod)",
         R"(pods "a" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1)",
         R"(serviceaccounts "web" is forbidden: User "system:anonymous" cannot create resource "serviceaccounts/token" in API group "" in the namespace "shop")",
         R"(serviceaccounts "web" is forbidden: audience "" not found in pod spec volume, system:node:e is not authorized to request tokens for this audience)",
         R"(User "x)", R"(User "x" cannot create resource)", R"(User "x" cannot)"})
        EXPECT_EQ(read_missing_right(message, "shop"), std::nullopt) << message;
}

TEST(RbacFor, GivesTheRightToTheAccountThatWasRefusedAndNothingMore) {
    EXPECT_EQ(rbac_for(*read_missing_right(kTokenRefused, "shop")),
              R"(# allow ServiceAccount edge/tokenlet to create serviceaccounts/token 'web' in namespace shop
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: "tokenlet:create:serviceaccounts-token:web"
  namespace: "shop"
rules:
- apiGroups: [""]
  resources: ["serviceaccounts/token"]
  resourceNames: ["web"]
  verbs: ["create"]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: "tokenlet:create:serviceaccounts-token:web:edge-tokenlet"
  namespace: "shop"
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: "tokenlet:create:serviceaccounts-token:web"
subjects:
- kind: ServiceAccount
  name: "tokenlet"
  namespace: "edge"
)");
}

TEST(RbacFor, BindsWhatHasNoNamespaceInTheWholeCluster) {
    const MissingRight right{"ada", "watch", "certificates.k8s.io", "clustertrustbundles", "", "", "", ""};
    const std::string yaml = rbac_for(right);
    EXPECT_TRUE(yaml.contains("kind: ClusterRole\n"));
    EXPECT_TRUE(yaml.contains("kind: ClusterRoleBinding\n"));
    EXPECT_TRUE(yaml.contains("verbs: [\"list\", \"watch\"]\n")) << "who watches lists first";
    EXPECT_TRUE(yaml.contains("- apiGroup: rbac.authorization.k8s.io\n  kind: User\n  name: \"ada\"\n"));
    EXPECT_FALSE(yaml.contains("namespace:"));
}

TEST(RbacFor, NamesNoObjectWhereARequestNamesNone) {
    EXPECT_FALSE(rbac_for({"ada", "create", "", "secrets", "", "x", "n", ""}).contains("resourceNames"));
    EXPECT_TRUE(rbac_for({"ada", "delete", "", "secrets", "", "x", "n", ""}).contains("resourceNames: [\"x\"]"));
}

TEST(RbacFor, LetsANodeAskForAnAudience) {
    const MissingRight right{"system:node:edge-7", kRequestAudience, "", "https://vault", "", "web", "shop", ""};
    const std::string yaml = rbac_for(right);
    EXPECT_TRUE(
        yaml.contains("  resources: [\"https://vault\"]\n  resourceNames: [\"web\"]\n"
                      "  verbs: [\"request-serviceaccounts-token-audience\"]\n"));
    EXPECT_TRUE(yaml.contains("  kind: User\n  name: \"system:node:edge-7\"\n"));
    EXPECT_TRUE(
        yaml.starts_with("# allow User system:node:edge-7 to request tokens for audience 'https://vault' of "
                         "ServiceAccount 'web' in namespace shop\n"));
}

TEST(RbacFor, BindsAGroupThatIsNamed) {
    const MissingRight right{"ada", "get", "", "pods", "", "", "n", ""};
    EXPECT_TRUE(rbac_for(right, {Subject::Kind::Group, "edge:agents", ""})
                    .contains("  kind: Group\n  name: \"edge:agents\"\n"));
}

TEST(RbacFor, StaysTwoDocumentsWhateverTheNamesHold) {
    const std::string evil = "a\"\n---\nkind: ClusterRoleBinding\nx: '%/";
    const auto documents = parse_documents(rbac_for({evil, "get", evil, evil, "", evil, evil, ""}));
    ASSERT_EQ(documents.size(), 2u);
    for (const Document& document : documents) {
        ASSERT_TRUE(document.root) << document.root.error().what;
        EXPECT_EQ(document.root->find("x"), nullptr);
        const std::string name = document.root->find("metadata")->find("name")->text;
        EXPECT_EQ(name.find_first_of("/%\n"), std::string::npos) << name;
    }
}

TEST(SubjectOf, TellsAccountsFromUsers) {
    EXPECT_EQ(subject_of("system:serviceaccount:edge:tokenlet").kind, Subject::Kind::ServiceAccount);
    EXPECT_EQ(subject_of("system:serviceaccount:broken").kind, Subject::Kind::User);
    EXPECT_EQ(subject_of("ada").kind, Subject::Kind::User);
}

}  // namespace
}  // namespace tokenlet::kube
