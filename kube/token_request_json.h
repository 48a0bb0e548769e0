// SPDX-License-Identifier: Apache-2.0
// A TokenRequest as it goes to an API server, and its answer.
//
// Shapes   token_request_path(request) and token_request_json(request) -> what to POST, and where;
//          read_issued_token(answer) -> IssuedToken, without what only headers say (warnings, server_time).
// Units    seconds, as the API has them.
// Owns     the token goes from the answer into a Secret and nowhere else: the rest of the answer is read without it.
// Threads  any.
// Errors   Unavailable, for an answer that is none: the server may do better the next time. No part of a token is quoted.
// Source   kubernetes staging/src/k8s.io/api/authentication/v1/types.go.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "kube/token_request.h"

namespace tokenlet::kube {

[[nodiscard]] std::string token_request_path(const TokenRequest& request);
[[nodiscard]] std::string token_request_json(const TokenRequest& request);

[[nodiscard]] Result<IssuedToken> read_issued_token(std::string_view answer);

}  // namespace tokenlet::kube
