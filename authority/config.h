// SPDX-License-Identifier: Apache-2.0
// What an operator says about the token authority: kind AuthorityConfiguration, or `issuer.embedded` of the agent's.
//
// Shapes   a value with every default filled in; read_authority_configuration() reads and validates one.
// Units    durations in chrono types, written 10m, 2160h in the file.
// Owns     nothing.     Threads  any.
// Errors   in the Problems of the Fields, with line and path; what works but hardly as meant is a warning, for the
//          caller to show.
// Differs  from design section 8 only in what is not there yet: listen, anonymousDiscovery and legacyTokenCleanUpPeriod
//          come with the authority's API; until then they are refused like any other field that would have no effect.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "authority/algorithm.h"
#include "base/result.h"
#include "base/time.h"

namespace tokenlet::kube {
class Fields;
}

namespace tokenlet::authority {

struct KeysConfiguration {
    Algorithm algorithm = Algorithm::Es256;
    Duration rotate_every = std::chrono::hours(2160);  // 0: never
    Duration publish_before = std::chrono::hours(1);   // a JWKS answer may be cached that long
    bool operator==(const KeysConfiguration&) const = default;
};

struct AuthorityConfiguration {
    std::string issuer = "https://kubernetes.default.svc";  // the iss that signs
    std::vector<std::string> additional_issuers{};          // accepted too
    std::vector<std::string> api_audiences{};               // empty: the issuer
    std::string data_dir = "/var/lib/tokenlet/authority";
    KeysConfiguration keys{};
    Duration min_token_expiration = std::chrono::minutes(10);
    Duration max_token_expiration = std::chrono::hours(1);  // 0: no maximum
    bool extend_token_expiration = false;

    // What a request without audiences gets, and what the extension is limited to.
    [[nodiscard]] std::vector<std::string> effective_api_audiences() const;
    bool operator==(const AuthorityConfiguration&) const = default;
};

// An https URL without query, fragment and user, as OpenID Connect Discovery wants it. http is allowed to loopback
// (localhost, 127.0.0.0/8, [::1]): enough to try things out on one machine, useless to anyone else.
[[nodiscard]] Result<> check_issuer_url(std::string_view url);

// Reads the fields of a document of kind AuthorityConfiguration (whose apiVersion and kind the caller reads), or of
// `issuer.embedded`. What is wrong stands in the problems that `fields` collects, and the value is then of no use.
[[nodiscard]] AuthorityConfiguration read_authority_configuration(kube::Fields& fields);

// What is allowed but hardly meant, one sentence each.
[[nodiscard]] std::vector<std::string> warnings_about(const AuthorityConfiguration& config);

}  // namespace tokenlet::authority
