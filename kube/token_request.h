// SPDX-License-Identifier: Apache-2.0
// What is asked of an issuer of tokens, and what it gives.
//
// Shapes   values. Both issuers (the embedded authority, an API server) take a TokenRequest and give an IssuedToken.
// Units    seconds, as the API has them.
// Owns     the token's bytes, in a tokenlet::Secret.     Threads  any.     Errors  none.
// Source   kubernetes staging/src/k8s.io/api/authentication/v1/types.go, pkg/kubelet/token/token_manager.go keyFunc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "base/time.h"

namespace tokenlet::kube {

struct BoundObjectRef {
    std::string kind;  // Pod, Secret or Node, of apiVersion v1
    std::string name;
    std::string uid;
    bool operator==(const BoundObjectRef&) const = default;
};

struct TokenRequest {
    std::string ns;
    std::string service_account;
    std::vector<std::string> audiences;  // empty: none given, the issuer uses its own
    std::int64_t expiration_seconds = 3600;
    std::optional<BoundObjectRef> bound_object_ref;
    bool operator==(const TokenRequest&) const = default;

    // Says the same for the same request and holds no secret, so it may be logged and recorded. Names the fields that
    // upstream's keyFunc does: two sources of one Pod with the same audience and lifetime share a token.
    [[nodiscard]] std::string key() const;
};

struct Rebound {
    std::optional<BoundObjectRef> to;  // unset: nothing
};

struct IssuedToken {
    tokenlet::Secret token;
    WallTime expiration_timestamp;        // status.expirationTimestamp, not the JWT's exp
    std::int64_t expiration_seconds = 0;  // as granted, which may be less than was asked for
    std::string service_account_uid;      // metadata.uid of the answer
    std::vector<std::string> warnings;    // Warning headers, for a person
    std::optional<WallTime> server_time;  // the issuer's clock when it answered, where it told
    std::optional<Rebound> rebound{};     // where it was bound to something else than was asked for
};

}  // namespace tokenlet::kube
