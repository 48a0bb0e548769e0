// SPDX-License-Identifier: Apache-2.0
// What the authority keeps of service accounts, Pods, nodes and keys.
//
// Shapes   plain values: rows of the store, entries of the registry, input to the token rules.
// Units    WallTime; the store keeps whole seconds.
// Owns     nothing secret: private keys are files of their own.     Threads  any.     Errors  none.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "authority/algorithm.h"
#include "base/time.h"
#include "kube/objects.h"

namespace tokenlet::authority {

// A token bound to a deleted object goes on working for this long. Source: kubernetes pkg/serviceaccount/claims.go.
inline constexpr std::chrono::seconds kDeletionGrace{60};

struct ServiceAccountRecord {
    enum class Origin {
        Implied,   // `default`, because its namespace is in use
        Declared,  // by a manifest
    };
    kube::ObjectKey key;
    std::string uid;
    Origin origin = Origin::Declared;
    bool operator==(const ServiceAccountRecord&) const = default;
};

struct PodRecord {
    kube::ObjectKey key;
    std::string uid;
    std::string service_account;
    std::string node_name;                       // empty: not on a node
    std::optional<WallTime> deletion_timestamp;  // set: terminating, its tokens die kDeletionGrace later
    bool operator==(const PodRecord&) const = default;
};

struct NodeRecord {
    std::string name;
    std::string uid;
    bool operator==(const NodeRecord&) const = default;
};

// One signing key, from the day it is published to the day its last token has expired.
struct KeyRecord {
    std::string kid;
    Algorithm algorithm = Algorithm::Es256;
    std::string jwk;                        // the public key, as it stands in the JWKS
    WallTime published_at{};                // in the JWKS since
    std::optional<WallTime> signing_since;  // unset: a successor, waiting
    std::optional<WallTime> retired_at;     // set: signs no more, its private half is gone
    std::optional<WallTime> signed_until;   // no token it signed expires later than this
    bool operator==(const KeyRecord&) const = default;
};

}  // namespace tokenlet::authority
