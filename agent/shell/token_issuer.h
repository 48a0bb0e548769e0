// SPDX-License-Identifier: Apache-2.0
// Where tokens come from: the seam between the agent and an issuer.
//
// Shapes   every done is called at most once, on the loop thread, and never before the call that took it has returned.
//          maintain() does what is due by itself (a key to be rotated) and says when it wants to be called again.
// Units    base/time.h.
// Owns     what is pending; destroying the issuer drops it, and no done is called any more.
// Threads  the loop's.     Errors  come through done. What keeps maintain() from its work is the issuer's to report.
#pragma once

#include <functional>
#include <optional>

#include "agent/core/command.h"
#include "base/result.h"
#include "base/time.h"
#include "kube/token_request.h"

namespace tokenlet::agent {

class TokenIssuer {
public:
    TokenIssuer() = default;
    TokenIssuer(const TokenIssuer&) = delete;
    TokenIssuer& operator=(const TokenIssuer&) = delete;
    virtual ~TokenIssuer() = default;

    virtual void issue(kube::TokenRequest request, std::move_only_function<void(TokenAnswer)> done) = 0;
    virtual void tell(TellIssuer news, std::move_only_function<void(Result<IssuerAnswer>)> done) = 0;
    virtual std::optional<BootTime> maintain(Now now) = 0;
};

}  // namespace tokenlet::agent
