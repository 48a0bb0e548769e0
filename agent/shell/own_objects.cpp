// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/own_objects.h"

#include <algorithm>
#include <utility>

#include "kube/document.h"
#include "kube/node_json.h"

namespace tokenlet::agent {
namespace {

constexpr std::string_view kManager = "app.kubernetes.io/managed-by";
constexpr std::string_view kNode = "tokenlet.dev/node";
constexpr std::string_view kPodUid = "tokenlet.dev/pod-uid";
constexpr std::size_t kMostLabel = 63;

std::string text(const kube::Node& root, std::initializer_list<std::string_view> path) {
    const kube::Node* node = &root;
    for (const std::string_view key : path) {
        node = node->find(key);
        if (node == nullptr)
            return "";
    }
    return node->text;
}

kube::ApiError conflict(std::string what) {
    return {.error = {Errc::Conflict, std::move(what)}, .http_status = 409, .reason = "AlreadyExists"};
}

}  // namespace

// Counts the calls under way: the last one that ends tells how all went. When calls are dropped it tells nothing.
class OwnObjects::Removal {
public:
    explicit Removal(std::move_only_function<void(Result<>)> done) : done_(std::move(done)) {}

    void begin() { ++pending_; }
    void end() {
        if (--pending_ == 0)
            done_(std::move(result));
    }

    Result<> result;
    std::set<std::string> keep;  // uids of Pods

private:
    std::size_t pending_ = 0;
    std::move_only_function<void(Result<>)> done_;
};

OwnObjects::OwnObjects(ApiCaller call, Kind kind, std::string node_name)
    : call_(std::move(call)), kind_(kind), node_name_(std::move(node_name)), alive_(std::make_shared<bool>(true)) {}

OwnObjects::~OwnObjects() {
    *alive_ = false;
}

void OwnObjects::call(kube::ApiRequest request, std::move_only_function<void(kube::ApiResult)> done) {
    call_(std::move(request), [alive = alive_, done = std::move(done)](kube::ApiResult result) mutable {
        if (*alive)
            done(std::move(result));
    });
}

void OwnObjects::call_for(const std::shared_ptr<Removal>& removal, kube::ApiRequest request,
                          std::function<void(const kube::ApiResult&)> done) {
    removal->begin();
    call(std::move(request), [removal, done = std::move(done)](const kube::ApiResult& result) {
        done(result);  // which may begin others
        removal->end();
    });
}

std::string OwnObjects::collection(const std::string& ns) const {
    return kube::api_path({"api", "v1", "namespaces", ns, kind_ == Kind::Secret ? "secrets" : "pods"});
}

std::string OwnObjects::path_of(const kube::ObjectKey& key) const {
    return kube::api_path({"api", "v1", "namespaces", key.ns, kind_ == Kind::Secret ? "secrets" : "pods", key.name});
}

// A gated Pod has the Pod's own name, because it is there to be seen.
std::string OwnObjects::name_for(const kube::ObjectKey& pod, const std::string& uid) const {
    return kind_ == Kind::Secret ? "tokenlet-" + uid : pod.name;
}

// The value of a label is shorter than a name may be; that of the annotation is what counts.
std::string OwnObjects::label() const {
    std::string value = node_name_.substr(0, kMostLabel);
    while (value.ends_with('-') || value.ends_with('.'))
        value.pop_back();
    return value;
}

std::string OwnObjects::json_for(const IssuerPod& pod) const {
    const std::string meta = R"("metadata":{"name":)" + kube::json_string(name_for(pod.pod, pod.uid)) +
                             R"(,"labels":{")" + std::string(kManager) + R"(":"tokenlet",")" + std::string(kNode) +
                             R"(":)" + kube::json_string(label()) + R"(},"annotations":{")" + std::string(kNode) +
                             R"(":)" + kube::json_string(node_name_) + R"(,")" + std::string(kPodUid) + R"(":)" +
                             kube::json_string(pod.uid) + R"(,"tokenlet.dev/pod":)" + kube::json_string(pod.pod.name) +
                             "}}";
    if (kind_ == Kind::Secret)
        return R"({"apiVersion":"v1","kind":"Secret",)" + meta + R"(,"type":"tokenlet.dev/bound-object"})";
    return R"({"apiVersion":"v1","kind":"Pod",)" + meta + R"(,"spec":{"serviceAccountName":)" +
           kube::json_string(pod.service_account) +
           R"(,"automountServiceAccountToken":false,"enableServiceLinks":false,)"
           R"("schedulingGates":[{"name":"tokenlet.dev/runs-elsewhere"}],)"
           R"("securityContext":{"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}},)"
           R"("containers":[{"name":"elsewhere","image":"tokenlet.dev/runs-elsewhere","securityContext":)"
           R"({"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}})";
}

bool OwnObjects::is_ours(const kube::Node& object) const {
    return text(object, {"metadata", "labels", kManager}) == "tokenlet" &&
           text(object, {"metadata", "annotations", kNode}) == node_name_;
}

void OwnObjects::ensure(const IssuerPod& pod, std::move_only_function<void(Made)> done) {
    if (const auto made = made_.find(pod.uid); made != made_.end())
        return done(made->second);
    namespaces_.insert(pod.pod.ns);
    auto& waiting = waiting_[pod.uid];
    waiting.push_back(std::move(done));
    if (waiting.size() == 1)
        create(pod);
}

void OwnObjects::settle(const std::string& pod_uid, Made made) {
    if (made)
        made_.insert_or_assign(pod_uid, *made);
    for (auto& done : std::exchange(waiting_[pod_uid], {}))
        done(made);
    if (waiting_[pod_uid].empty())
        waiting_.erase(pod_uid);
}

void OwnObjects::create(const IssuerPod& pod) {
    const std::string kind = kind_ == Kind::Secret ? "Secret" : "Pod";
    const std::string name = name_for(pod.pod, pod.uid);
    call({.method = "POST",
          .path = collection(pod.pod.ns),
          .body = Secret(json_for(pod)),
          .what = kind + " " + pod.pod.ns + "/" + name + ", to bind tokens to"},
         [this, pod, kind, name](kube::ApiResult result) {
             if (!result && result.error().http_status == 409)
                 return look_at_existing(pod);
             if (!result)
                 return settle(pod.uid, std::unexpected(std::move(result.error())));
             const Result<kube::Node> made = kube::parse_json(result->body.view());
             settle(pod.uid, kube::BoundObjectRef{kind, name, made ? text(*made, {"metadata", "uid"}) : ""});
         });
}

// Of an earlier run; or of a Pod that had this name before and whose removal a crash cut off.
void OwnObjects::look_at_existing(const IssuerPod& pod) {
    const kube::ObjectKey key{pod.pod.ns, name_for(pod.pod, pod.uid)};
    const std::string kind = kind_ == Kind::Secret ? "Secret" : "Pod";
    call({.path = path_of(key), .what = kind + " " + key.str()}, [this, pod, key, kind](kube::ApiResult result) {
        if (!result)
            return settle(pod.uid, std::unexpected(std::move(result.error())));
        const Result<kube::Node> object = kube::parse_json(result->body.view());
        if (!object || !is_ours(*object))
            return settle(pod.uid,
                          std::unexpected(conflict(kind + " " + key.str() +
                                                   " exists and is not ours: rename this Pod or delete that")));
        const std::string uid = text(*object, {"metadata", "uid"});
        if (text(*object, {"metadata", "annotations", kPodUid}) == pod.uid)
            return settle(pod.uid, kube::BoundObjectRef{kind, key.name, uid});
        auto removal = std::make_shared<Removal>([this, pod](const Result<>& removed) {
            if (!removed)
                return settle(pod.uid, std::unexpected(kube::ApiError{.error = removed.error()}));
            create(pod);
        });
        delete_object(key, uid, removal);
    });
}

void OwnObjects::delete_object(const kube::ObjectKey& key, const std::string& uid,
                               const std::shared_ptr<Removal>& removal) {
    const std::string body =
        R"({"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":0,"preconditions":{"uid":)" +
        kube::json_string(uid) + "}}";
    call_for(removal,
             {.method = "DELETE", .path = path_of(key), .body = Secret(body), .what = "removal of " + key.str()},
             [removal](const kube::ApiResult& result) {
                 // 409: another object has that name by now.
                 if (!result && result.error().http_status != 404 && result.error().http_status != 409)
                     removal->result = std::unexpected(result.error().error);
             });
}

void OwnObjects::remove(Gone gone, std::move_only_function<void(Result<>)> done) {
    auto removal = std::make_shared<Removal>(std::move(done));
    for (const PodIdentity& pod : gone.pods)
        remove_one(pod, removal);
    if (!gone.all)
        return;
    for (const IssuerPod& pod : *gone.all) {
        removal->keep.insert(pod.uid);
        namespaces_.insert(pod.pod.ns);
    }
    remove_others(std::nullopt, removal);
}

void OwnObjects::remove_one(const PodIdentity& pod, const std::shared_ptr<Removal>& removal) {
    const kube::ObjectKey key{pod.pod.ns, name_for(pod.pod, pod.uid)};
    made_.erase(pod.uid);
    call_for(removal, {.path = path_of(key), .what = "object of Pod " + pod.pod.str()},
             [this, pod, key, removal](const kube::ApiResult& result) {
                 if (!result) {
                     if (result.error().http_status != 404)
                         removal->result = std::unexpected(result.error().error);
                     return;
                 }
                 const Result<kube::Node> object = kube::parse_json(result->body.view());
                 if (object && is_ours(*object) && text(*object, {"metadata", "annotations", kPodUid}) == pod.uid)
                     delete_object(key, text(*object, {"metadata", "uid"}), removal);
             });
}

// In all namespaces, or where we may not look there, in those that we know.
void OwnObjects::remove_others(const std::optional<std::string>& ns, const std::shared_ptr<Removal>& removal) {
    const std::string resource = kind_ == Kind::Secret ? "secrets" : "pods";
    call_for(removal,
             {.path = ns ? collection(*ns) : kube::api_path({"api", "v1", resource}),
              .query = kube::api_query(
                  {{"labelSelector", std::string(kManager) + "=tokenlet," + std::string(kNode) + "=" + label()}}),
              .what = "our " + resource + (ns ? " in " + *ns : "")},
             [this, ns, removal](const kube::ApiResult& result) {
                 if (!result && result.error().http_status == 403 && !ns) {
                     for (const std::string& known : namespaces_)
                         remove_others(known, removal);
                     return;
                 }
                 if (!result) {
                     // Without the right to list there is nothing that we could clean up; what is removed by name still goes.
                     if (result.error().http_status != 403)
                         removal->result = std::unexpected(result.error().error);
                     return;
                 }
                 const Result<kube::Node> list = kube::parse_json(result->body.view());
                 const kube::Node* items = list ? list->find("items") : nullptr;
                 if (items == nullptr)
                     return;
                 for (const kube::Node& object : items->children) {
                     const std::string pod_uid = text(object, {"metadata", "annotations", kPodUid});
                     if (is_ours(object) && !pod_uid.empty() && !removal->keep.contains(pod_uid))
                         delete_object({text(object, {"metadata", "namespace"}), text(object, {"metadata", "name"})},
                                       text(object, {"metadata", "uid"}), removal);
                 }
             });
}

}  // namespace tokenlet::agent
