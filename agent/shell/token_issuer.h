// SPDX-License-Identifier: Apache-2.0
// Where tokens come from: the seam between the agent and an issuer.
//
// Shapes   issue() and tell() answer the commands RequestToken and TellIssuer: every done is called at most once, on the loop thread, and never before the call that took it has returned.
//          maintain() does what is due by itself (a key to be rotated) and says when it wants to be called again.
// Units    base/time.h.
// Owns     what is pending; destroying the issuer drops it, and no done is called any more.
// Threads  the loop's.     Errors  come through done. What keeps maintain() from its work is the issuer's to report.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/core/command.h"
#include "base/result.h"
#include "base/time.h"

namespace tokenlet::agent {

// What an issuer tells by itself.
struct IssuerNews {
    std::function<void(const std::string& pem)> root_ca;  // to be published in every namespace
    std::function<void(const std::string& issuer)> name;  // the iss of its tokens
    std::function<void(std::vector<std::string> key_ids)> keys;
    std::function<void(WallTime now)> clock;  // where it is another machine's
    std::function<void(Report)> report;
    std::function<void()> look;  // maintain() wants to be called
};

class TokenIssuer {
public:
    TokenIssuer() = default;
    TokenIssuer(const TokenIssuer&) = delete;
    TokenIssuer& operator=(const TokenIssuer&) = delete;
    virtual ~TokenIssuer() = default;

    virtual void issue(RequestToken ask, std::move_only_function<void(TokenAnswer)> done) = 0;
    virtual void tell(TellIssuer news, std::move_only_function<void(Result<IssuerAnswer>)> done) = 0;
    virtual std::optional<BootTime> maintain(Now now) = 0;

    // Tells the news that there is at the start, and whatever comes later.
    virtual void announce(IssuerNews news) = 0;
    // Makes everything durable. Nothing is asked of it afterwards.
    [[nodiscard]] virtual Result<> close(WallTime now) = 0;
};

}  // namespace tokenlet::agent
