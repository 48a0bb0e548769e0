// SPDX-License-Identifier: Apache-2.0
// Objects at the API server that stand for our Pods, so that tokens can be bound to them: a Secret for each Pod, or a Pod that
// a scheduling gate keeps from running.
//
// Shapes   ensure() gives the object of a Pod, made when it is not there; remove() takes away those of Pods that have left,
//          and with `all` whatever an earlier run made for Pods that are not among them. done is called later, once.
// Units    none.
// Owns     what it knows of its objects. Calls under way are the client's.
// Threads  the loop's.
// Errors   the server's, with its advice; Conflict when something of that name is not ours.
//
// Nothing is touched but what carries our label and names this node and the Pod's uid, and it is deleted by its uid: an object
// that somebody else made, or made again, stays.
#pragma once

#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/config.h"
#include "agent/core/command.h"
#include "agent/shell/api_caller.h"
#include "base/result.h"
#include "kube/token_request.h"

namespace tokenlet::kube {
struct Node;
}

namespace tokenlet::agent {

class OwnObjects {
public:
    using Made = std::expected<kube::BoundObjectRef, kube::ApiError>;

    enum class Kind { Secret, GatedPod };

    OwnObjects(ApiCaller call, Kind kind, std::string node_name);
    ~OwnObjects();

    void ensure(const IssuerPod& pod, std::move_only_function<void(Made)> done);
    // What ensure() gave is not there any more.
    void forget(const std::string& pod_uid) { made_.erase(pod_uid); }

    struct Gone {
        std::vector<PodIdentity> pods;
        std::optional<std::vector<IssuerPod>> all;  // those that there are: nothing else of ours may be
    };
    void remove(Gone gone, std::move_only_function<void(Result<>)> done);

private:
    class Removal;

    void create(const IssuerPod& pod);
    void look_at_existing(const IssuerPod& pod);
    void settle(const std::string& pod_uid, Made made);
    void call(kube::ApiRequest request, std::move_only_function<void(kube::ApiResult)> done);
    void call_for(const std::shared_ptr<Removal>& removal, kube::ApiRequest request,
                  std::function<void(const kube::ApiResult&)> done);
    void delete_object(const kube::ObjectKey& key, const std::string& uid, const std::shared_ptr<Removal>& removal);
    void remove_one(const PodIdentity& pod, const std::shared_ptr<Removal>& removal);
    void remove_others(const std::optional<std::string>& ns, const std::shared_ptr<Removal>& removal);

    [[nodiscard]] std::string collection(const std::string& ns) const;
    [[nodiscard]] std::string path_of(const kube::ObjectKey& key) const;
    [[nodiscard]] std::string name_for(const kube::ObjectKey& pod, const std::string& uid) const;
    [[nodiscard]] std::string json_for(const IssuerPod& pod) const;
    [[nodiscard]] std::string label() const;
    [[nodiscard]] bool is_ours(const kube::Node& object) const;

    ApiCaller call_;
    Kind kind_;
    std::string node_name_;
    std::map<std::string, kube::BoundObjectRef> made_;  // by the Pod's uid
    std::map<std::string, std::vector<std::move_only_function<void(Made)>>> waiting_;
    std::set<std::string> namespaces_;  // of Pods seen
    std::shared_ptr<bool> alive_;
};

}  // namespace tokenlet::agent
