// SPDX-License-Identifier: Apache-2.0
#include "agent/enrollment.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include "base/base64.h"
#include "kube/api_client.h"
#include "kube/document.h"
#include "kube/names.h"
#include "kube/node_json.h"

namespace tokenlet::agent {
namespace {

std::string head(std::string_view api_version, std::string_view kind, const std::string& ns, const std::string& name,
                 const std::string& node) {
    return "apiVersion: " + std::string(api_version) + "\nkind: " + std::string(kind) +
           "\nmetadata:\n  name: " + kube::json_string(name) + "\n" +
           (ns.empty() ? "" : "  namespace: " + kube::json_string(ns) + "\n") +
           "  labels: {app.kubernetes.io/managed-by: tokenlet, tokenlet.dev/node: " +
           kube::json_string(kube::label_value_of(node)) + "}\n";
}

std::string list_of(const std::set<std::string>& names) {
    std::string list;
    for (const std::string& name : names)
        list += (list.empty() ? "" : ", ") + kube::json_string(name);
    return "[" + list + "]";
}

std::string rule(std::string_view resource, const std::set<std::string>& names, std::string_view verbs) {
    return "- apiGroups: [\"\"]\n  resources: [\"" + std::string(resource) + "\"]\n  resourceNames: " + list_of(names) +
           "\n  verbs: [" + std::string(verbs) + "]\n";
}

using Kind = kube::Node::Kind;

kube::Node* child_of(kube::Node& node, std::string_view key) {
    const auto found = std::ranges::find(node.children, key, &kube::Node::key);
    return found == node.children.end() ? nullptr : &*found;
}

// What stands in a list of a rule; empty where there is none.
std::set<std::string> texts_of(const kube::Node& rule, std::string_view key) {
    std::set<std::string> texts;
    if (const kube::Node* list = rule.find(key); list != nullptr)
        for (const kube::Node& child : list->children)
            texts.insert(child.text);
    return texts;
}

// Two rules that differ in their resourceNames at most.
bool grant_the_same(const kube::Node& a, const kube::Node& b) {
    return std::ranges::all_of(std::array{"apiGroups", "resources", "verbs"},
                               [&](const char* key) { return texts_of(a, key) == texts_of(b, key); });
}

void add_rule(kube::Node& rules, const kube::Node& rule) {
    for (kube::Node& held : rules.children) {
        kube::Node* names = child_of(held, "resourceNames");
        // Without names it grants all of them: adding one would take away the rest.
        if (names == nullptr || names->children.empty() || !grant_the_same(held, rule))
            continue;
        const std::set<std::string> known = texts_of(held, "resourceNames");
        for (const kube::Node& name : rule.find("resourceNames")->children)
            if (!known.contains(name.text))
                names->children.push_back(name);
        return;
    }
    rules.children.push_back(rule);
}

constexpr std::string_view kRbac = "rbac.authorization.k8s.io";
constexpr std::string_view kRbacV1 = "rbac.authorization.k8s.io/v1";

}  // namespace

std::vector<EnrolledObject> objects_for(const Enrollment& enrollment) {
    const kube::ObjectKey& account = enrollment.account;
    const std::string& node = enrollment.node;
    std::vector<EnrolledObject> objects;
    objects.push_back({"Namespace " + account.ns, kube::api_path({"api", "v1", "namespaces", account.ns}),
                       "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: " + kube::json_string(account.ns) + "\n"});
    objects.push_back(
        {"ServiceAccount " + account.str(),
         kube::api_path({"api", "v1", "namespaces", account.ns, "serviceaccounts", account.name}),
         head("v1", "ServiceAccount", account.ns, account.name, node) + "automountServiceAccountToken: false\n"});

    std::map<std::string, std::set<std::string>> served;
    for (const kube::ObjectKey& key : enrollment.serves)
        served[key.ns].insert(key.name);
    std::map<std::string, std::string> rules;
    rules[account.ns] += rule("serviceaccounts/token", {account.name}, "create");
    for (const auto& [ns, names] : served)
        rules[ns] += rule("serviceaccounts/token", names, "create") +
                     rule("serviceaccounts", names, "get, list, watch") +
                     rule("configmaps", {kube::kRootCaConfigMap}, "get, list, watch");
    const std::string role = "tokenlet-" + node;
    for (const auto& [ns, text] : rules) {
        const std::string key = ns + "/" + role;
        objects.push_back({"Role " + key, kube::api_path({"apis", kRbac, "v1", "namespaces", ns, "roles", role}),
                           head(kRbacV1, "Role", ns, role, node) + "rules:\n" + text, true});
        objects.push_back({"RoleBinding " + key,
                           kube::api_path({"apis", kRbac, "v1", "namespaces", ns, "rolebindings", role}),
                           head(kRbacV1, "RoleBinding", ns, role, node) + "roleRef: {apiGroup: " + std::string(kRbac) +
                               ", kind: Role, name: " + kube::json_string(role) +
                               "}\nsubjects:\n- {kind: ServiceAccount, namespace: " + kube::json_string(account.ns) +
                               ", name: " + kube::json_string(account.name) + "}\n"});
        objects.push_back({"Secret " + ns + "/" + enrollment.secret_name,
                           kube::api_path({"api", "v1", "namespaces", ns, "secrets", enrollment.secret_name}),
                           head("v1", "Secret", ns, enrollment.secret_name, node) + std::string(kSecretType)});
    }
    return objects;
}

Result<EnrolledObject> keep_rules(EnrolledObject role, std::string_view held_json) {
    kube::Node held = TRY(kube::parse_json(held_json), role.what);
    kube::Node none{.kind = Kind::Sequence, .line = 0, .key = "rules", .text = "", .children = {}};
    kube::Node* rules = child_of(held, "rules");
    if (rules == nullptr || rules->kind == Kind::Null)
        rules = &none;
    const auto is_rule = [](const kube::Node& rule) { return rule.kind == Kind::Mapping; };
    if (held.kind != Kind::Mapping || rules->kind != Kind::Sequence || !std::ranges::all_of(rules->children, is_rule))
        return fail(Errc::Invalid, role.what + ": the server's answer is no Role");
    kube::Documents documents(role.yaml);
    kube::Node ours = TRY(documents.next()->root, role.what);
    kube::Node& wanted = *child_of(ours, "rules");
    for (const kube::Node& rule : wanted.children)
        add_rule(*rules, rule);
    wanted.children = std::move(rules->children);
    role.yaml = kube::to_json(ours);
    return role;
}

std::string kubeconfig_for(const kube::Cluster& cluster, std::string_view ca_pem, const std::string& token_file) {
    std::string text = "apiVersion: v1\nkind: Config\nclusters:\n- name: cluster\n  cluster:\n    server: " +
                       kube::json_string(cluster.server) + "\n";
    if (!ca_pem.empty())
        text += "    certificate-authority-data: " + encode_base64(ca_pem) + "\n";
    if (!cluster.tls_server_name.empty())
        text += "    tls-server-name: " + kube::json_string(cluster.tls_server_name) + "\n";
    if (!cluster.proxy_url.empty())
        text += "    proxy-url: " + kube::json_string(cluster.proxy_url.view()) + "\n";
    text += "users:\n- name: agent\n  user: {tokenFile: " + kube::json_string(token_file) +
            "}\ncontexts:\n- name: agent\n  context: {cluster: cluster, user: agent}\ncurrent-context: agent\n";
    return text;
}

}  // namespace tokenlet::agent
