// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/binding.h"

#include "agent/shell/self_credential.h"

namespace tokenlet::agent {

std::vector<Binding::Candidate> Binding::candidates(const kube::TokenRequest& request, PodAtServer pod,
                                                    BootTime now) const {
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
    if (pod == PodAtServer::Possible && request.bound_object_ref &&
        !is_known_missing({"Pod", request.bound_object_ref->uid}, now))
        all.emplace_back(request.bound_object_ref);
    if (!is_known_missing({"Secret", request.ns}, now))
        all.emplace_back(secret);
    if (!is_known_missing({"Node", ""}, now))
        all.emplace_back(node);
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
            return "boundObject.mode: secret needs that Secret: kubectl -n " + tried.ns + " create secret generic " +
                   name + ", or use mode: auto";
        case BoundObjectMode::Node:
            return "boundObject.mode: node needs a Node of this name: set nodeName to one that is there, or use mode: "
                   "auto";
        default:
            return "";
    }
}

}  // namespace tokenlet::agent
