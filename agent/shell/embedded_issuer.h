// SPDX-License-Identifier: Apache-2.0
// The embedded authority as the agent's issuer.
//
// Shapes   TokenIssuer over authority::Authority. announce() tells the news that every issuer has at the start: its CA and
//          the keys it accepts; later news comes from maintain().
// Units    the authority reckons in wall-clock time, the agent's alarms in boot time: a deadline is converted when asked for,
//          and a step of the clock asks again.
// Owns     the authority, until close().
// Threads  the loop's: a token costs tens of microseconds, which is less than a way through the thread pool.
// Errors   through done; those of maintain() as Reports.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/shell/loop.h"
#include "agent/shell/token_issuer.h"
#include "authority/authority.h"

namespace tokenlet::agent {

class EmbeddedIssuer : public TokenIssuer {
public:
    EmbeddedIssuer(Loop& loop, authority::Authority authority, std::string node_name, std::function<Now()> clock);
    ~EmbeddedIssuer() override;

    void announce(IssuerNews news) override;
    void issue(RequestToken ask, std::move_only_function<void(TokenAnswer)> done) override;
    void tell(TellIssuer news, std::move_only_function<void(Result<IssuerAnswer>)> done) override;
    std::optional<BootTime> maintain(Now now) override;

    [[nodiscard]] Result<> close(WallTime now) override { return authority_.close(now); }

private:
    Result<IssuerAnswer> take_in(const TellIssuer& news);
    void tell_keys();

    Loop& loop_;
    authority::Authority authority_;
    std::string node_name_;
    std::function<Now()> clock_;
    IssuerNews news_;
    std::vector<std::string> told_keys_;
    std::string told_error_;
    std::shared_ptr<bool> alive_;  // false once we are gone: answers on their way are dropped
};

}  // namespace tokenlet::agent
