// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/own_objects.h"

#include <algorithm>
#include <utility>

#include "kube/document.h"
#include "kube/names.h"
#include "kube/node_json.h"
#include "rotation/backoff.h"

namespace tokenlet::agent {
namespace {

constexpr std::string_view kManager = "app.kubernetes.io/managed-by";
constexpr std::string_view kNode = "tokenlet.dev/node";
constexpr std::string_view kHost = "tokenlet.dev/host";
constexpr std::string_view kPodUid = "tokenlet.dev/pod-uid";

kube::ApiError conflict(std::string what) {
    return {.error = {Errc::Conflict, std::move(what)}, .http_status = 409, .reason = "AlreadyExists"};
}

kube::ApiError being_deleted(const kube::ObjectKey& key) {
    return {.error = {Errc::Unavailable, key.str() + " is being deleted, it is made anew when it is gone"}};
}

}  // namespace

OwnObjects::OwnObjects(PacedCaller call, Settings settings)
    : call_(std::move(call)),
      settings_(std::move(settings)),
      namespaces_(settings_.namespaces),
      alive_(std::make_shared<bool>(true)) {}

OwnObjects::~OwnObjects() {
    *alive_ = false;
}

void OwnObjects::call(kube::ApiRequest request, BootTime needed_by,
                      std::move_only_function<void(kube::ApiResult)> done) {
    call_(std::move(request), needed_by, [alive = alive_, done = std::move(done)](kube::ApiResult result) mutable {
        if (*alive)
            done(std::move(result));
    });
}

std::string OwnObjects::kind_name() const {
    return settings_.kind == Kind::Secret ? "Secret" : "Pod";
}

std::string OwnObjects::resource() const {
    return settings_.kind == Kind::Secret ? "secrets" : "pods";
}

std::string OwnObjects::collection(const std::string& ns) const {
    return kube::api_path({"api", "v1", "namespaces", ns, resource()});
}

std::string OwnObjects::path_of(const kube::ObjectKey& key) const {
    return kube::api_path({"api", "v1", "namespaces", key.ns, resource(), key.name});
}

// A gated Pod has the Pod's own name, because it is there to be seen.
std::string OwnObjects::name_for(const kube::ObjectKey& pod, const std::string& uid) const {
    return settings_.kind == Kind::Secret ? "tokenlet-" + uid : pod.name;
}

std::string OwnObjects::json_for(const IssuerPod& pod) const {
    const std::string meta =
        R"("metadata":{"name":)" + kube::json_string(name_for(pod.pod, pod.uid)) + R"(,"labels":{")" +
        std::string(kManager) + R"(":"tokenlet",")" + std::string(kNode) + R"(":)" +
        kube::json_string(kube::label_value_of(settings_.node_name)) + R"(,")" + std::string(kHost) + R"(":)" +
        kube::json_string(settings_.host_id) + R"(},"annotations":{")" + std::string(kNode) + R"(":)" +
        kube::json_string(settings_.node_name) + R"(,")" + std::string(kPodUid) + R"(":)" + kube::json_string(pod.uid) +
        R"(,"tokenlet.dev/pod":)" + kube::json_string(pod.pod.name) + "}}";
    if (settings_.kind == Kind::Secret)
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
    return kube::text_at(object, {"metadata", "labels", kManager}) == "tokenlet" &&
           kube::text_at(object, {"metadata", "labels", kHost}) == settings_.host_id;
}

void OwnObjects::ensure(const IssuerPod& pod, BootTime needed_by, std::move_only_function<void(Made)> done) {
    if (const auto made = made_.find(pod.uid); made != made_.end())
        return done(made->second);
    if (!present_.contains(pod.uid))
        return done(std::unexpected(
            kube::ApiError{.error = {Errc::NotFound, "Pod " + pod.pod.str() + " has left, nothing is made for it"}}));
    if (dying_.contains(pod.uid) && !waiting_.contains(pod.uid))
        return done(std::unexpected(being_deleted({pod.pod.ns, name_for(pod.pod, pod.uid)})));
    auto& waiting = waiting_[pod.uid];
    waiting.push_back(std::move(done));
    if (waiting.size() == 1)
        create(pod, needed_by);
}

void OwnObjects::settle(const IssuerPod& pod, Made made) {
    const bool is_present = present_.contains(pod.uid);
    if (made && is_present)
        made_.insert_or_assign(pod.uid, *made);
    if (const auto waiting = waiting_.extract(pod.uid))
        for (auto& done : waiting.mapped())
            done(made);
    if (made && !is_present)
        follow({.gone = {{pod.pod, pod.uid}}, .present = {}});  // it has left meanwhile
}

void OwnObjects::create(const IssuerPod& pod, BootTime needed_by) {
    const std::string kind = kind_name();
    const std::string name = name_for(pod.pod, pod.uid);
    call({.method = "POST",
          .path = collection(pod.pod.ns),
          .body = Secret(json_for(pod)),
          .what = kind + " " + pod.pod.ns + "/" + name + ", to bind tokens to"},
         needed_by, [this, pod, needed_by, kind, name](kube::ApiResult result) {
             if (!result && result.error().http_status == 409)
                 return look_at_existing(pod, needed_by);
             if (!result)
                 return settle(pod, std::unexpected(std::move(result.error())));
             const Result<kube::Node> made = kube::parse_json(result->body.view());
             settle(pod, kube::BoundObjectRef{kind, name, made ? kube::text_at(*made, {"metadata", "uid"}) : ""});
         });
}

// Of an earlier run; or of a Pod that had this name, or another account, before.
void OwnObjects::look_at_existing(const IssuerPod& pod, BootTime needed_by) {
    const kube::ObjectKey key{pod.pod.ns, name_for(pod.pod, pod.uid)};
    const std::string kind = kind_name();
    call({.path = path_of(key), .what = kind + " " + key.str()}, needed_by,
         [this, pod, needed_by, key, kind](kube::ApiResult result) {
             if (!result)
                 return settle(pod, std::unexpected(std::move(result.error())));
             const Result<kube::Node> object = kube::parse_json(result->body.view());
             if (!object || !is_ours(*object))
                 return settle(pod, std::unexpected(conflict(kind + " " + key.str() +
                                                             " exists and was not made by this host (its " +
                                                             std::string(kHost) + " would be " + settings_.host_id +
                                                             "): rename this Pod or delete that")));
             if (!kube::text_at(*object, {"metadata", "deletionTimestamp"}).empty())
                 return settle(pod, std::unexpected(being_deleted(key)));
             const std::string uid = kube::text_at(*object, {"metadata", "uid"});
             const std::string pod_uid = kube::text_at(*object, {"metadata", "annotations", kPodUid});
             // The API server binds a token to a Pod of the same account only.
             const bool fits = settings_.kind == Kind::Secret ||
                               kube::text_at(*object, {"spec", "serviceAccountName"}) == pod.service_account;
             if (pod_uid == pod.uid && fits)
                 return settle(pod, kube::BoundObjectRef{kind, key.name, uid});
             delete_object(key, uid, pod_uid, needed_by, [this, pod, needed_by](Problem error) {
                 if (error)
                     return settle(pod, std::unexpected(std::move(*error)));
                 create(pod, needed_by);
             });
         });
}

void OwnObjects::delete_object(const kube::ObjectKey& key, const std::string& uid, const std::string& pod_uid,
                               BootTime needed_by, std::move_only_function<void(Problem)> done) {
    dying_.insert(pod_uid);
    const std::string body =
        R"({"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":0,"preconditions":{"uid":)" +
        kube::json_string(uid) + "}}";
    call({.method = "DELETE", .path = path_of(key), .body = Secret(body), .what = "removal of " + key.str()}, needed_by,
         [this, pod_uid, done = std::move(done)](kube::ApiResult result) mutable {
             dying_.erase(pod_uid);
             // 409: another object has that name by now.
             if (result || result.error().http_status == 404 || result.error().http_status == 409)
                 return done({});
             done(std::move(result.error()));
         });
}

void OwnObjects::follow(const Pods& pods) {
    const std::size_t known = namespaces_.size();
    if (pods.extent == Extent::Everything)
        present_.clear();
    for (const PodIdentity& pod : pods.gone) {
        present_.erase(pod.uid);
        made_.erase(pod.uid);
        leaving_.insert_or_assign(pod.uid, Leaving{.pod = pod, .retry = {}});
    }
    for (const IssuerPod& pod : pods.present) {
        present_.insert_or_assign(pod.uid, pod.pod.ns);
        namespaces_.insert(pod.pod.ns);
        leaving_.erase(pod.uid);
    }
    // Before anything is made there.
    if (namespaces_.size() != known)
        settings_.remember(namespaces_);
    for (const PodIdentity& pod : pods.gone)
        if (leaving_.contains(pod.uid))
            remove(pod);
    if (pods.extent == Extent::Everything)
        sweep();
}

std::optional<BootTime> OwnObjects::maintain(Now now) {
    std::vector<PodIdentity> due;
    for (auto& [uid, leaving] : leaving_) {
        if (leaving.retry.due && *leaving.retry.due <= now.boot) {
            leaving.retry.due.reset();
            due.push_back(leaving.pod);
        }
    }
    for (const PodIdentity& pod : due)
        remove(pod);
    if (sweep_ && sweep_->due && *sweep_->due <= now.boot)
        sweep();
    std::optional<BootTime> next = sweep_ ? sweep_->due : std::nullopt;
    for (const auto& [uid, leaving] : leaving_)
        if (leaving.retry.due && (!next || *leaving.retry.due < *next))
            next = leaving.retry.due;
    return next;
}

void OwnObjects::remove(const PodIdentity& pod) {
    const kube::ObjectKey key{pod.pod.ns, name_for(pod.pod, pod.uid)};
    call({.path = path_of(key), .what = "object of Pod " + pod.pod.str()}, not_urgent(),
         [this, uid = pod.uid, key](kube::ApiResult result) {
             if (!result && result.error().http_status != 404)
                 return removed(uid, std::move(result.error()));
             if (!result || present_.contains(uid))
                 return removed(uid, {});
             const Result<kube::Node> object = kube::parse_json(result->body.view());
             if (!object || !is_ours(*object) || kube::text_at(*object, {"metadata", "annotations", kPodUid}) != uid)
                 return removed(uid, {});
             delete_object(key, kube::text_at(*object, {"metadata", "uid"}), uid, not_urgent(),
                           [this, uid](const Problem& error) { removed(uid, error); });
         });
}

void OwnObjects::removed(const std::string& pod_uid, const Problem& error) {
    const auto leaving = leaving_.find(pod_uid);
    if (leaving == leaving_.end())
        return;  // it is back
    if (error)
        return failed(leaving->second.retry, *error);
    leaving_.erase(leaving);
    tell_if_all_is_well();
}

// Of Pods that nobody knows: in all namespaces, or where we may not look there, in those that we know.
void OwnObjects::sweep() {
    if (sweep_calls_ > 0)
        return;
    if (!sweep_)
        sweep_ = Retry{};
    sweep_->due.reset();
    sweep_error_.reset();
    unswept_.clear();
    sweep_in(std::nullopt);
}

void OwnObjects::sweep_in(const std::optional<std::string>& ns) {
    ++sweep_calls_;
    call({.path = ns ? collection(*ns) : kube::api_path({"api", "v1", resource()}),
          .query = kube::api_query(
              {{"labelSelector", std::string(kManager) + "=tokenlet," + std::string(kHost) + "=" + settings_.host_id}}),
          .what = "our " + resource() + (ns ? " in " + *ns : "")},
         not_urgent(), [this, ns](const kube::ApiResult& result) {
             const bool denied = !result && result.error().http_status == 403;
             if (denied && !ns) {
                 for (const std::string& known : namespaces_)
                     sweep_in(known);
                 return end_of_sweep_call({});
             }
             // Without the right to list there is nothing that we could find; what is removed by name still goes.
             if (denied) {
                 unswept_.insert(*ns);
                 settings_.on_refusal(result.error());
             }
             if (!result)
                 return end_of_sweep_call(denied ? Problem() : Problem(result.error()));
             sweep_list(*result);
             end_of_sweep_call({});
         });
}

void OwnObjects::sweep_list(const kube::ApiAnswer& answer) {
    const Result<kube::Node> list = kube::parse_json(answer.body.view());
    const kube::Node* items = list ? list->find("items") : nullptr;
    if (items == nullptr)
        return;
    for (const kube::Node& object : items->children) {
        const std::string pod_uid = kube::text_at(object, {"metadata", "annotations", kPodUid});
        if (!is_ours(object) || pod_uid.empty() || present_.contains(pod_uid))
            continue;
        ++sweep_calls_;
        delete_object({kube::text_at(object, {"metadata", "namespace"}), kube::text_at(object, {"metadata", "name"})},
                      kube::text_at(object, {"metadata", "uid"}), pod_uid, not_urgent(),
                      [this](const Problem& error) { end_of_sweep_call(error); });
    }
}

void OwnObjects::end_of_sweep_call(const Problem& error) {
    if (error)
        sweep_error_ = error;
    if (--sweep_calls_ > 0)
        return;
    if (sweep_error_)
        return failed(*sweep_, *sweep_error_);
    sweep_.reset();
    forget_namespaces();
    tell_if_all_is_well();
}

// Those in which nothing is left.
void OwnObjects::forget_namespaces() {
    std::set<std::string> used = std::move(unswept_);
    for (const auto& [uid, ns] : present_)
        used.insert(ns);
    for (const auto& [uid, leaving] : leaving_)
        used.insert(leaving.pod.pod.ns);
    if (used == namespaces_)
        return;
    namespaces_ = std::move(used);
    settings_.remember(namespaces_);
}

void OwnObjects::failed(Retry& retry, const kube::ApiError& error) {
    const Duration delay =
        rotation::retry_delay({.count = ++retry.failures, .code = error.error.code, .retry_after = error.retry_after},
                              {}, settings_.random());
    retry.due = settings_.clock().boot + delay;
    settings_.on_refusal(error);
    if (!std::exchange(failure_told_, true))
        settings_.report({.level = Report::Level::Warn,
                          .event = "objects made for pods that left cannot be removed yet",
                          .fields = {{"err", error.error.what}, {"retry_in", go_duration(delay)}}});
    settings_.look();
}

void OwnObjects::tell_if_all_is_well() {
    const bool well = leaving_.empty() && !sweep_;
    if (well && std::exchange(failure_told_, false))
        settings_.report(
            {.level = Report::Level::Info, .event = "objects made for pods that left are removed", .fields = {}});
}

}  // namespace tokenlet::agent
