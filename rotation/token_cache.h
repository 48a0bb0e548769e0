// SPDX-License-Identifier: Apache-2.0
// The tokens held, one for each request key, and what is to be done about each.
//
// Shapes   check() decides from the present: ask now (and why), or look again at a time. begin() and the answers keep a
//          single flight per key. A held token is never given up for a failure: it stays until a better one arrives.
// Units    base/time.h; issuer_now is the issuer's clock as far as it is known.
// Owns     the tokens' bytes.     Threads  one.
// Errors   the last one of each token, until it is mended.
// Source   kubernetes pkg/kubelet/token/token_manager.go.
// Differs  one request in flight per key; failures are retried at their own pace instead of at the next sync; what an
//          earlier process left valid is adopted.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/boxed.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "rotation/backoff.h"
#include "rotation/schedule.h"

namespace tokenlet::rotation {

// After this long without an answer a request is taken for lost, so that no token waits for ever.
inline constexpr Duration kAnswerTimeout = std::chrono::seconds(60);

struct HeldToken {
    Secret bytes;
    TokenTimes times;
    WallTime received_wall;  // our wall clock at times.received, which another boot can still read
    Duration jitter{};
    WallTime
        valid_until{};  // the token's own exp: an API server that extends tokens makes it a year later than expires
    // Thousands of tokens share a few of these, which whoever has the cache keeps.
    std::string_view issuer;
    std::string_view key_id;
    std::string_view service_account_uid;
};

// Whether whoever verifies would take a token at all.
enum class Standing {
    Good,
    Foreign,  // it is of a key or account that has gone while it was under way
};

// What check() found.
struct Verdict {
    bool ask = false;
    DueRule rule = DueRule::Demand;      // with ask, when a token is held: why it is asked for again
    std::optional<BootTime> look_again;  // without ask; nullopt: an answer or another event will wake it
};

class TokenCache {
public:
    using RequestId = std::uint64_t;

    struct Token {
        std::uint64_t id = 0;  // small, stable, never used twice
        std::string_view key;
        std::optional<HeldToken> held;
        std::optional<RequestId> in_flight;
        BootTime asked;              // when the request in flight was sent
        bool demanded = false;       // someone knows a reason that the schedule does not
        unsigned failures = 0;       // in a row
        Boxed<Error> error;          // of the last failure
        BootTime next_try;           // with failures or refusals: not before
        unsigned refusals = 0;       // tokens in a row that were no good when they came: foreign, or refused by a clock
        std::uint64_t received = 0;  // tokens, by this process
        std::size_t users = 0;
    };

    explicit TokenCache(RotationPolicy policy) : policy_(policy) {}

    // The token of this key, made if there is none; every want() has its release(). A token that nobody wants any more is
    // forgotten, and so is the answer to a request for it. The reference stays good until then.
    Token& want(const std::string& key);
    void release(const Token& token);
    [[nodiscard]] Token* find(const std::string& key);
    [[nodiscard]] const Token* find(const std::string& key) const;
    [[nodiscard]] const std::map<std::string, Token, std::less<>>& tokens() const { return tokens_; }

    // A token of an earlier process. Of two the younger is held.
    void adopt(Token& token, HeldToken held);

    [[nodiscard]] Verdict check(const Token& token, BootTime boot_now, WallTime issuer_now) const;

    // Marks a request as under way and gives it its number; the caller has just been told to ask.
    RequestId begin(Token& token, BootTime now);

    // The token that this answer belongs to, or null: nobody waits for it (repeated, late, or given up).
    [[nodiscard]] Token* awaiting(RequestId id);

    void succeed(Token& token, HeldToken held, Standing standing, BootTime boot_now, WallTime issuer_now,
                 std::uint64_t random);
    void fail(Token& token, Error error, std::optional<Duration> retry_after, BootTime boot_now, WallTime issuer_now,
              std::uint64_t random);

    [[nodiscard]] std::size_t in_flight() const { return in_flight_.size(); }
    [[nodiscard]] const RotationPolicy& policy() const { return policy_; }
    void set_policy(const RotationPolicy& policy) { policy_ = policy; }

private:
    RotationPolicy policy_;
    std::map<std::string, Token, std::less<>> tokens_;
    std::map<RequestId, Token*> in_flight_;
    RequestId last_request_ = 0;
    std::uint64_t last_token_ = 0;
};

}  // namespace tokenlet::rotation
