// SPDX-License-Identifier: Apache-2.0
// What a cluster's tokens are bound to, so that deleting it ends them.
//
// Shapes   candidates() -> what to try, in order; is_missing() says whether a refusal means that the one tried is not there,
//          and remembers it for a while, so that ten thousand tokens find it out once.
// Units    base/time.h.     Owns  what it remembers.     Threads  one.
// Errors   explain() puts into words what a missing object needs, for the modes that name one.
// Source   kubernetes pkg/registry/core/serviceaccount/storage/token.go; design.md 7.
//
// Auto: the Pod, where the API server may know its uid (one drawn here it cannot); else the Secret that an operator has made
// for this host; else the Node; else nothing. A Secret or Node is bound by name: the server fills in the uid it has.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/config.h"
#include "base/time.h"
#include "kube/api_status.h"
#include "kube/token_request.h"

namespace tokenlet::agent {

inline constexpr std::chrono::minutes kLookForBoundObject{10};  // again, after it was not there

// Whether the API server may have a Pod of that uid.
enum class PodAtServer { Possible, Impossible };

// What makes the Secret that tokens of a namespace are bound to.
[[nodiscard]] std::string secret_command(const std::string& ns, const std::string& name);

class Binding {
public:
    using Candidate = std::optional<kube::BoundObjectRef>;  // unset: nothing

    Binding(BoundObject settings, std::string node_name)
        : settings_(std::move(settings)), node_name_(std::move(node_name)) {}

    // `held`: what the token to be replaced is bound to. Auto never goes on with anything looser: whoever deletes that object
    // ends this host's tokens, and means it.
    [[nodiscard]] std::vector<Candidate> candidates(const kube::TokenRequest& request, PodAtServer pod,
                                                    const Candidate& held, BootTime now) const;

    // `tried` is what the refused request named.
    bool is_missing(const kube::ApiError& refusal, const kube::TokenRequest& tried, BootTime now);

    [[nodiscard]] std::string explain(const kube::TokenRequest& tried) const;

private:
    using Place = std::pair<std::string, std::string>;  // kind, namespace
    [[nodiscard]] bool is_known_missing(const Place& place, BootTime now) const;

    BoundObject settings_;
    std::string node_name_;
    std::map<Place, BootTime> missing_;  // and when it was found so
};

}  // namespace tokenlet::agent
