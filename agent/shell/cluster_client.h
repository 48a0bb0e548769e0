// SPDX-License-Identifier: Apache-2.0
// The calls to a cluster: to which server, and with which credential.
//
// Shapes   open() reads the kubeconfig (or what a Pod is given); request() calls. With issuer.kubernetes.self, calls go with
//          the token that the agent renews itself, and take_own_credential() asks for the first one as the kubeconfig says.
//          Without one, calls go as the kubeconfig says until own_token_obtained(): later calls go with that one, those under
//          way end as they have begun. own_token_expired() goes back, and says whether that has changed anything.
// Units    none.
// Owns     its clients and their calls; must go before its loop.
// Threads  the loop's. take_own_credential() waits for its answer.
// Errors   open(): what is wrong with the kubeconfig, naming file and field. take_own_credential() reports why there is none,
//          in the server's words: whoever renews it asks again, and somebody may have mended it by then.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "agent/config.h"
#include "agent/shell/api_caller.h"
#include "base/result.h"
#include "kube/token_request.h"

namespace tokenlet::agent {

class ClusterClient {
public:
    struct Settings {
        KubernetesIssuer issuer{};
        kube::TokenRequest self_request{};  // of use with issuer.self only
        std::string state_dir{};
        std::function<void(Report)> report{};
        std::function<void(const kube::ApiError&)> on_refusal{};
    };

    ClusterClient(Loop& loop, Settings settings) : loop_(loop), settings_(std::move(settings)) {}

    [[nodiscard]] Result<> open();
    void take_own_credential();
    void own_token_obtained();
    [[nodiscard]] bool own_token_expired();

    [[nodiscard]] kube::ApiCall request(kube::ApiRequest request, std::move_only_function<void(kube::ApiResult)> done) {
        return clients_.at(credential_)->request(std::move(request), std::move(done));
    }

private:
    enum class Credential { Kubeconfigs, Own };

    [[nodiscard]] Result<kube::ClusterAccess> read_access() const;
    [[nodiscard]] Result<> ask_for_first();
    [[nodiscard]] Result<> use(Credential credential);
    [[nodiscard]] std::string token_path() const;

    Loop& loop_;
    Settings settings_;
    Credential credential_ = Credential::Kubeconfigs;
    std::map<Credential, std::unique_ptr<kube::ApiClient>> clients_;  // once used, until the end
};

}  // namespace tokenlet::agent
