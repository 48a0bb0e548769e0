// SPDX-License-Identifier: Apache-2.0
// A cluster's API server as the agent's issuer.
//
// Shapes   TokenIssuer over calls to an API server. Requests, and calls for objects made for Pods, go at a kubelet's pace, the
//          one needed first goes first. What a
//          token is bound to is Binding's to say; where that is not what was asked for, the answer says so (rebound).
//          Accounts and Pods exist there, not by us: being told of Pods makes no call, unless the mode makes objects.
//          The name of the issuer and the keys it signs with are read at the start, every kKeysPeriod, when asked to look
//          (a server that was away may have come back with others), and when a token is signed with a key not known; after
//          a failure as rotation/backoff.h says. Each of these answers tells its clock, too.
// Units    base/time.h.
// Owns     what waits for its turn; calls under way are the client's.
// Threads  the loop's.
// Errors   through done, with the server's words and what to do; each manifest that grants a missing right goes to
//          on_advice once.
// Source   kubernetes pkg/kubelet/token/token_manager.go; the pace: rotation/pace.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/shell/api_caller.h"
#include "agent/shell/binding.h"
#include "agent/shell/loop.h"
#include "agent/shell/own_objects.h"
#include "agent/shell/paced_queue.h"
#include "agent/shell/self_credential.h"
#include "agent/shell/token_issuer.h"
#include "kube/api_client.h"

namespace tokenlet::agent {

inline constexpr std::chrono::minutes kKeysPeriod{10};
inline constexpr std::chrono::seconds kKeysSoon{5};

class ClusterIssuer : public TokenIssuer {
public:
    struct Settings {
        BoundObject bound_object{};
        std::string node_name{};
        std::string host_id{};                   // of the objects made for Pods
        std::set<std::string> own_namespaces{};  // of these objects, as earlier runs remembered them
        std::function<void(const std::set<std::string>&)> remember_namespaces = [](const auto&) {};
        rotation::PaceSettings pace{};
        std::function<Now()> clock = read_clocks;
        std::function<std::uint64_t()> random{};
        std::function<void(const std::string& yaml)> on_advice{};
        std::unique_ptr<SelfCredential> self{};  // null: the kubeconfig's credential is used as it is
    };

    ClusterIssuer(Loop& loop, ApiCaller call, Settings settings);
    ~ClusterIssuer() override;

    void issue(RequestToken ask, std::move_only_function<void(TokenAnswer)> done) override;
    void tell(TellIssuer news, std::move_only_function<void(Result<IssuerAnswer>)> done) override;
    std::optional<BootTime> maintain(Now now) override;
    void announce(IssuerNews news) override;
    [[nodiscard]] Result<> close(WallTime) override { return {}; }

    void look_at_keys();
    void look_at_keys_soon();  // when maintain() is next called

private:
    struct Attempt {
        RequestToken ask;  // what was wanted
        std::move_only_function<void(TokenAnswer)> done;
        std::vector<Binding::Candidate> candidates;  // the first is the one to try
    };

    void send_due(Now now);
    void wait_for_turn(BootTime needed_by, std::move_only_function<void()> call);
    void ask_in_turn(Attempt attempt);
    void request(Attempt attempt);
    void answered(Attempt attempt, const kube::TokenRequest& sent, kube::ApiResult result);
    void warn_of_binding(const kube::TokenRequest& request);
    void advise(const kube::ApiError& error);
    [[nodiscard]] bool is_of_unknown_key(const kube::IssuedToken& issued) const;
    void read_name();
    void read_keys();
    void keys_failed(const kube::ApiError& error);

    Loop& loop_;
    ApiCaller call_;
    Settings settings_;
    Binding binding_;
    std::unique_ptr<OwnObjects> own_;                    // of the modes that make some
    PacedQueue<std::move_only_function<void()>> queue_;  // a call each
    IssuerNews news_;
    std::set<std::string> pods_of_server_;  // uids that a manifest gave: the server may know them
    std::set<std::string> unbound_told_;    // namespaces whose tokens are known to be bound to nothing
    std::set<std::string> advice_given_;
    std::optional<BootTime> keys_due_;
    BootTime keys_not_before_{};  // as the server asked
    unsigned keys_failures_ = 0;  // in a row
    bool reading_keys_ = false;
    bool keys_error_told_ = false;
    std::string told_name_;
    std::vector<std::string> told_keys_;
    std::shared_ptr<bool> alive_;  // false once we are gone: answers on their way are dropped
};

}  // namespace tokenlet::agent
