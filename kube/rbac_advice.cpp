// SPDX-License-Identifier: Apache-2.0
#include "kube/rbac_advice.h"

#include <utility>
#include <vector>

#include "kube/node_json.h"

namespace tokenlet::kube {
namespace {

constexpr std::string_view kAccountPrefix = "system:serviceaccount:";

// Reads a message from left to right.
class Cursor {
public:
    explicit Cursor(std::string_view text) : rest_(text) {}

    // Goes on behind the first `mark`; false, and nothing moves, when there is none.
    bool go_behind(std::string_view mark) {
        const std::size_t at = rest_.find(mark);
        if (at == std::string_view::npos)
            return false;
        rest_.remove_prefix(at + mark.size());
        return true;
    }

    // What stands in the quotes that follow, as Go's %q writes it.
    std::optional<std::string> quoted() {
        if (!rest_.starts_with('"'))
            return std::nullopt;
        std::string text;
        for (std::size_t i = 1; i < rest_.size(); ++i) {
            if (rest_[i] == '"') {
                rest_.remove_prefix(i + 1);
                return text;
            }
            if (rest_[i] == '\\' && i + 1 < rest_.size())
                ++i;
            text += rest_[i];
        }
        return std::nullopt;
    }

    // Up to the next blank.
    std::string word() {
        const std::string_view found = rest_.substr(0, rest_.find(' '));
        rest_.remove_prefix(found.size());
        return std::string(found);
    }

    [[nodiscard]] std::string_view rest() const { return rest_; }

private:
    std::string_view rest_;
};

// The object of `serviceaccounts "web" is forbidden: ...`.
std::string forbidden_object(std::string_view message) {
    Cursor cursor(message.substr(0, message.find(" is forbidden")));
    return cursor.go_behind(" ") ? cursor.quoted().value_or("") : "";
}

// `User "x" cannot create resource "serviceaccounts/token" in API group "" in the namespace "shop"`
std::optional<MissingRight> read_rbac(std::string_view message) {
    Cursor cursor(message);
    if (!cursor.go_behind("User "))
        return std::nullopt;
    MissingRight right;
    auto user = cursor.quoted();
    if (!user || !cursor.rest().starts_with(" cannot "))
        return std::nullopt;
    (void)cursor.go_behind(" cannot ");  // it stands there
    right.user = std::move(*user);
    right.verb = cursor.word();
    if (cursor.rest().starts_with(" path ")) {
        (void)cursor.go_behind(" path ");  // it stands there
        right.url = cursor.quoted().value_or("");
        return right.url.empty() ? std::nullopt : std::optional(right);
    }
    if (!cursor.go_behind(" resource "))
        return std::nullopt;
    right.resource = cursor.quoted().value_or("");
    if (const std::size_t slash = right.resource.find('/'); slash != std::string::npos) {
        right.subresource = right.resource.substr(slash + 1);
        right.resource.resize(slash);
    }
    if (right.resource.empty() || !cursor.go_behind(" in API group "))
        return std::nullopt;
    right.api_group = cursor.quoted().value_or("");
    if (cursor.rest().starts_with(" in the namespace ") && cursor.go_behind(" in the namespace "))
        right.ns = cursor.quoted().value_or("");
    right.name = forbidden_object(message);
    return right;
}

// `audience "vault" not found in pod spec volume, system:node:edge-7 is not authorized to request ...`
std::optional<MissingRight> read_audience(std::string_view message, std::string_view ns) {
    Cursor cursor(message);
    if (!cursor.go_behind(": audience "))
        return std::nullopt;
    const auto audience = cursor.quoted();
    if (!audience || !cursor.rest().starts_with(" not found in pod spec volume, "))
        return std::nullopt;
    (void)cursor.go_behind(", ");  // it stands there
    std::string user = cursor.word();
    if (user == "error" && cursor.go_behind(" authorizing "))
        user = cursor.word();
    // An RBAC rule has no word for the default audience, which a request without one asks for.
    if (audience->empty() || user.empty())
        return std::nullopt;
    return MissingRight{.user = std::move(user),
                        .verb = kRequestAudience,
                        .api_group = {},
                        .resource = *audience,
                        .subresource = {},
                        .name = forbidden_object(message),
                        .ns = std::string(ns),
                        .url = {}};
}

std::string resource_of(const MissingRight& right) {
    return right.subresource.empty() ? right.resource : right.resource + "/" + right.subresource;
}

// Whoever lists watches next, and the other way round.
std::vector<std::string> verbs_of(const MissingRight& right) {
    if (right.verb == "list" || right.verb == "watch")
        return {"list", "watch"};
    return {right.verb};
}

// A rule by name allows nothing where the request's URL names no object.
bool goes_by_name(const MissingRight& right) {
    return !right.name.empty() && !(right.verb == "create" && right.subresource.empty()) &&
           right.verb != "deletecollection";
}

std::string list_of(const std::vector<std::string>& items) {
    std::string list = "[";
    for (const std::string& item : items)
        list.append(list.size() > 1 ? ", " : "").append(json_string(item));
    return list + "]";
}

// RBAC's names are segments of a path: everything but '/' and '%' may stand there.
std::string as_name(std::string_view text) {
    std::string name(text);
    for (char& c : name)
        if (c == '/' || c == '%' || static_cast<unsigned char>(c) <= ' ')
            c = '-';
    return name;
}

// One role for each right, so that applying one piece of advice takes nothing away that another gave.
std::string role_name(const MissingRight& right) {
    std::string name = "tokenlet:" + right.verb + ":" + (right.url.empty() ? resource_of(right) : right.url);
    if (goes_by_name(right))
        name += ":" + right.name;
    return as_name(name);
}

std::string subject_name(const Subject& subject) {
    return subject.kind == Subject::Kind::ServiceAccount ? subject.ns + "/" + subject.name : subject.name;
}

std::string_view kind_name(Subject::Kind kind) {
    switch (kind) {
        case Subject::Kind::ServiceAccount:
            return "ServiceAccount";
        case Subject::Kind::User:
            return "User";
        case Subject::Kind::Group:
            return "Group";
    }
    return "User";
}

std::string head(std::string_view kind, const std::string& name, const std::string& ns) {
    std::string text = "apiVersion: rbac.authorization.k8s.io/v1\nkind: " + std::string(kind) +
                       "\nmetadata:\n  name: " + json_string(name) + "\n";
    if (!ns.empty())
        text += "  namespace: " + json_string(ns) + "\n";
    return text;
}

std::string rule(const MissingRight& right) {
    if (!right.url.empty())
        return "- nonResourceURLs: " + list_of({right.url}) + "\n  verbs: " + list_of({right.verb}) + "\n";
    std::string text =
        "- apiGroups: " + list_of({right.api_group}) + "\n  resources: " + list_of({resource_of(right)}) + "\n";
    if (goes_by_name(right))
        text += "  resourceNames: " + list_of({right.name}) + "\n";
    return text + "  verbs: " + list_of(verbs_of(right)) + "\n";
}

std::string subject_yaml(const Subject& subject) {
    if (subject.kind == Subject::Kind::ServiceAccount)
        return "- kind: ServiceAccount\n  name: " + json_string(subject.name) +
               "\n  namespace: " + json_string(subject.ns) + "\n";
    return "- apiGroup: rbac.authorization.k8s.io\n  kind: " + std::string(kind_name(subject.kind)) +
           "\n  name: " + json_string(subject.name) + "\n";
}

}  // namespace

Subject subject_of(std::string_view user) {
    if (!user.starts_with(kAccountPrefix))
        return {Subject::Kind::User, std::string(user), {}};
    const std::string_view account = user.substr(kAccountPrefix.size());
    const std::size_t colon = account.find(':');
    if (colon == std::string_view::npos)
        return {Subject::Kind::User, std::string(user), {}};
    return {Subject::Kind::ServiceAccount, std::string(account.substr(colon + 1)),
            std::string(account.substr(0, colon))};
}

std::optional<MissingRight> read_missing_right(std::string_view message, std::string_view ns) {
    // Their own words come first: they may well quote a refusal of this form.
    if (message.contains("denied the request"))
        return std::nullopt;
    if (auto audience = read_audience(message, ns))
        return audience;
    auto right = read_rbac(message);
    // Nobody in particular: a right for anonymous would be one for everybody.
    if (right && right->user == "system:anonymous")
        return std::nullopt;
    return right;
}

std::string in_words(const MissingRight& right, const Subject& subject) {
    std::string text = "allow " + std::string(kind_name(subject.kind)) + " " + subject_name(subject) + " to ";
    if (right.verb == kRequestAudience)
        text += "request tokens for audience '" + right.resource + "'";
    else
        text += right.verb + " " + (right.url.empty() ? resource_of(right) : right.url);
    if (right.verb == kRequestAudience && !right.name.empty())
        text += " of ServiceAccount '" + right.name + "'";
    else if (goes_by_name(right))
        text += " '" + right.name + "'";
    if (right.url.empty())
        text += right.ns.empty() ? " in the whole cluster" : " in namespace " + right.ns;
    return text;
}

std::string rbac_for(const MissingRight& right) {
    return rbac_for(right, subject_of(right.user));
}

std::string rbac_for(const MissingRight& right, const Subject& subject) {
    const std::string scope = right.ns.empty() ? "Cluster" : "";
    const std::string role = role_name(right);
    std::string comment = in_words(right, subject);
    for (char& c : comment)
        if (static_cast<unsigned char>(c) < ' ')
            c = ' ';
    return "# " + comment + "\n" + head(scope + "Role", role, right.ns) + "rules:\n" + rule(right) + "---\n" +
           head(scope + "RoleBinding", role + ":" + as_name(subject_name(subject)), right.ns) +
           "roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: " + scope + "Role\n  name: " + json_string(role) +
           "\nsubjects:\n" + subject_yaml(subject);
}

}  // namespace tokenlet::kube
