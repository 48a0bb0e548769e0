// SPDX-License-Identifier: Apache-2.0
// The agent's own credential at a cluster: one more token that it rotates itself.
//
// Shapes   maintain() does what is due and says when it wants to be called again. The token stands in a file, which the API
//          client reads anew when it changes; write_token() puts it there so that a reader sees the old one or the new one.
// Units    base/time.h. The age of a token of an earlier run is what its iat says.
// Owns     nothing but its plan; calls under way are the client's.
// Threads  the loop's.
// Errors   reported when they start and when they end; the advice that a refusal carries goes to on_refusal. The old token
//          stays, and is asked with, until a new one is there, or until it has expired and is refused. One that was bound is replaced by none that is not: whoever
//          deletes its object ends this host's access, and means it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/core/command.h"
#include "agent/shell/api_caller.h"
#include "base/result.h"
#include "base/time.h"
#include "kube/token_request.h"
#include "rotation/schedule.h"

namespace tokenlet::agent {

inline constexpr char kSelfTokenFile[] = "self-token";  // in stateDir

// Readable for its owner alone, who is the directory's.
[[nodiscard]] Result<> write_secret_file(const std::string& directory, const std::string& name, const Secret& bytes);

// Whether a refusal says that this object, which a token was to be bound to, does not exist.
[[nodiscard]] bool is_not_there(const kube::ApiError& refusal, const kube::BoundObjectRef& bound);

// "the token so far is bound to Secret shop/tokenlet-edge, and whoever deleted that ended it: ..."
[[nodiscard]] std::string revoked(const kube::TokenRequest& tried);

// Whether the file holds a token that has not expired; or, however old, one that is bound to a Secret.
[[nodiscard]] bool holds_valid_token(const std::string& path, WallTime now);
[[nodiscard]] bool holds_bound_token(const std::string& path);

class SelfCredential {
public:
    struct Settings {
        kube::TokenRequest request{};
        std::string directory{};  // where kSelfTokenFile stands
        rotation::RotationPolicy policy{};
        std::function<Now()> clock = read_clocks;
        std::function<std::uint64_t()> random{};
        std::function<void(const Report&)> report{};
        std::function<void(const kube::ApiError&)> on_refusal{};
        std::function<void()> obtained{};  // another token stands there
        std::function<bool()> expired{};   // nothing takes that token any more; true: there is now another way to ask
        std::function<void()> look{};      // maintain() wants to be called
    };

    SelfCredential(ApiCaller call, Settings settings);
    ~SelfCredential();

    std::optional<BootTime> maintain(Now now);

private:
    enum class Age { None, AsItSays };

    void plan(Now now, Age counts);
    void ask();
    void answered(const kube::TokenRequest& sent, kube::ApiResult result);
    [[nodiscard]] std::string path() const { return settings_.directory + "/" + kSelfTokenFile; }
    void failed(Error error, std::optional<Duration> retry_after);

    ApiCaller call_;
    Settings settings_;
    bool bound_ = true;  // false: the object that the request names is not there
    bool asking_ = false;
    unsigned failures_ = 0;
    std::optional<rotation::TokenTimes> times_;
    std::optional<BootTime> due_;
    std::optional<WallTime> due_by_wall_;  // the plan may come from before the clock was set
    std::shared_ptr<bool> alive_;
};

}  // namespace tokenlet::agent
