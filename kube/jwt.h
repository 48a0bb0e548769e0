// SPDX-License-Identifier: Apache-2.0
// Reading a token without verifying it.
//
// Shapes   read_jwt(token) -> what it claims. check_token(jwt, request, now) says whether it is the token that was
//          asked for: the last look before it is published. Neither knows a key: whoever must trust a token verifies
//          it.
// Units    claims are whole seconds on the issuer's wall clock.
// Owns     names and times; not the signature.     Threads  any.
// Errors   Invalid; the text names the claim and both values, never a part of the token. A hostile token costs the
//          reading of kMaxTokenBytes at most.
// Source   kubernetes pkg/serviceaccount/claims.go, legacy.go; RFC 7515, RFC 7519.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "kube/token_request.h"

namespace tokenlet::kube {

inline constexpr std::size_t kMaxTokenBytes = 64 * 1024;

struct Jwt {
    struct Ref {
        std::string name;
        std::string uid;
    };

    std::string alg;
    std::string kid;

    std::string issuer;
    std::string subject;
    std::vector<std::string> audiences;  // a single string in the token makes a list of one
    std::optional<WallTime> expires_at;  // exp
    std::optional<WallTime> issued_at;   // iat
    std::optional<WallTime> not_before;  // nbf
    std::string id;                      // jti

    // kubernetes.io, or a legacy token's flat claims.
    std::string ns;
    std::optional<Ref> service_account;
    std::optional<Ref> pod;
    std::optional<Ref> secret;
    std::optional<Ref> node;
    std::optional<WallTime> warn_after;

    // Header and claims, indented by two spaces, members in the token's order; with JwtText::Made.
    std::string header_json;
    std::string claims_json;
};

// Left out where nobody will look at it: making it is half of the reading.
enum class JwtText { Made, LeftOut };

[[nodiscard]] Result<Jwt> read_jwt(std::string_view token, JwtText text = JwtText::Made);

// Subject and bound object are those of the request, its audiences are among the token's, and exp lies after now, which
// is the issuer's time as far as it is known.
[[nodiscard]] Result<> check_token(const Jwt& jwt, const TokenRequest& request, WallTime now);

}  // namespace tokenlet::kube
