// SPDX-License-Identifier: Apache-2.0
// What a service account token says.
//
// Shapes   Claims -> JSON text with its members sorted by name, no white space: byte for byte what an API server signs.
// Units    whole seconds since the epoch.
// Owns     nothing secret: claims without a signature are worth nothing.     Threads  any.
// Errors   none: bytes that are not UTF-8 are written as U+FFFD, as Go does.
// Source   kubernetes pkg/serviceaccount/claims.go; authority.md section 1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "authority/algorithm.h"

namespace tokenlet::authority {

// A member of the private claim kubernetes.io.
struct ClaimedObject {
    std::string name;
    std::string uid;
    bool operator==(const ClaimedObject&) const = default;
};

struct Claims {
    std::vector<std::string> audiences;
    std::string issuer;
    std::string jti;
    std::int64_t issued_at_seconds = 0;  // iat, and nbf
    std::int64_t expires_at_seconds = 0;
    std::string ns;
    ClaimedObject service_account;
    std::optional<ClaimedObject> node;
    std::optional<ClaimedObject> pod;
    std::optional<ClaimedObject> secret;
    std::optional<std::int64_t> warn_after_seconds;
    bool operator==(const Claims&) const = default;
};

[[nodiscard]] std::string to_json(const Claims& claims);

// {"alg":…,"kid":…} and nothing else.
[[nodiscard]] std::string header_json(Algorithm algorithm, std::string_view kid);

}  // namespace tokenlet::authority
