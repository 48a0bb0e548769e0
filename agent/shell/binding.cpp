// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/binding.h"

#include "agent/shell/self_credential.h"

namespace tokenlet::agent {

std::string secret_command(const std::string& ns, const std::string& name) {
    // The type is that of enroll's: a type cannot be changed afterwards.
    return "kubectl -n " + ns + " create secret generic " + name + " --type=tokenlet.dev/bound-object";
}

std::vector<Binding::Candidate> Binding::candidates(const kube::TokenRequest& request, PodAtServer pod,
                                                    const Candidate& held, BootTime now) const {
    const kube::BoundObjectRef secret{"Secret", settings_.secret_name, ""};
    const kube::BoundObjectRef node{"Node", node_name_, ""};
    switch (settings_.mode) {
        case BoundObjectMode::Secret:
            return {secret};
        case BoundObjectMode::Node:
            return {node};
        case BoundObjectMode::None:
            return {std::nullopt};
        case BoundObjectMode::Pod:
        case BoundObjectMode::PodSecret:  // whose object the caller puts in the place of the Pod
        case BoundObjectMode::GatedPod:
            return {request.bound_object_ref};
        case BoundObjectMode::Auto:
            break;
    }
    std::vector<Candidate> all;
    const auto add = [&](const kube::BoundObjectRef& object, const Place& place) {
        const bool is_held = held && held->kind == object.kind && held->name == object.name &&
                             (object.uid.empty() || held->uid == object.uid);
        if (is_held || !is_known_missing(place, now))
            all.emplace_back(object);
        return is_held;
    };
    if (pod == PodAtServer::Possible && request.bound_object_ref &&
        add(*request.bound_object_ref, {"Pod", request.bound_object_ref->uid}))
        return all;
    if (add(secret, {"Secret", request.ns}) || add(node, {"Node", ""}))
        return all;
    all.emplace_back(std::nullopt);
    return all;
}

bool Binding::is_missing(const kube::ApiError& refusal, const kube::TokenRequest& tried, BootTime now) {
    if (!tried.bound_object_ref)
        return false;
    const kube::BoundObjectRef& bound = *tried.bound_object_ref;
    const bool absent = is_not_there(refusal, bound);
    const bool another = refusal.http_status == 409;  // of that name, with another uid
    // A server that binds to no such kind, or a Pod that runs as another account.
    const bool unfit = refusal.http_status == 400 && refusal.message.find("cannot bind token") != std::string::npos;
    if (!absent && !another && !unfit)
        return false;
    std::erase_if(missing_, [&](const auto& found) { return found.second + kLookForBoundObject <= now; });
    missing_[{bound.kind, bound.kind == "Pod" ? bound.uid : bound.kind == "Secret" ? tried.ns : ""}] = now;
    return true;
}

bool Binding::is_known_missing(const Place& place, BootTime now) const {
    const auto found = missing_.find(place);
    return found != missing_.end() && now < found->second + kLookForBoundObject;
}

std::string Binding::explain(const kube::TokenRequest& tried) const {
    const std::string name = tried.bound_object_ref ? tried.bound_object_ref->name : "";
    switch (settings_.mode) {
        case BoundObjectMode::Pod:
            return "boundObject.mode: pod needs a Pod " + name +
                   " of that uid at the API server: give the manifest the uid it has there, or use mode: auto";
        case BoundObjectMode::Secret:
            // Auto would be the way around a lock.
            return "boundObject.mode: secret needs that Secret; to let this host in: " + secret_command(tried.ns, name);
        case BoundObjectMode::Node:
            return "boundObject.mode: node needs a Node of this name: set nodeName to one that is there, or use mode: "
                   "auto";
        case BoundObjectMode::Auto:
            return revoked(tried) + (tried.bound_object_ref && tried.bound_object_ref->kind == "Secret"
                                         ? "; to let this host in again: " + secret_command(tried.ns, name)
                                         : "; to go on without it, set boundObject.mode");
        default:
            return "";
    }
}

}  // namespace tokenlet::agent
