// SPDX-License-Identifier: Apache-2.0
// Whether a TokenRequest is granted, and what the token then says.
//
// Shapes   grant(request, configuration, registry, now) -> Grant. Pure: no clock, no key, no chance. The claims lack
//          only jti, which the signer draws.
// Units    seconds, as the API has them.
// Owns     nothing.     Threads  any.
// Errors   the API server's words. NotFound: account, namespace or bound object (404); Invalid: bounds (422) and
//          objects that cannot be bound (400); Conflict: the bound object has another uid (409).
// Source   kubernetes pkg/registry/core/serviceaccount/storage/token.go, TokenREST.Create; authority.md section 2.
// Differs  the extension is off by default.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "authority/claims.h"
#include "authority/config.h"
#include "authority/registry.h"
#include "base/result.h"
#include "base/time.h"
#include "kube/token_request.h"

namespace tokenlet::authority {

inline constexpr std::int64_t kExtendedExpirationSeconds = 365 * 24 * 60 * 60;

struct Grant {
    Claims claims;
    std::int64_t expiration_seconds = 0;  // what the answer says; the token may live longer (extension)
    WallTime expiration_timestamp{};
    std::vector<std::string> warnings;
};

[[nodiscard]] Result<Grant> grant(const kube::TokenRequest& request, const AuthorityConfiguration& config,
                                  const Registry& registry, WallTime now);

// Whether tokens bound to this Pod still count: not deleted, or not for longer than kDeletionGrace.
[[nodiscard]] bool honours_tokens(const PodRecord& pod, WallTime now);

}  // namespace tokenlet::authority
