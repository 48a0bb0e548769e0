// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/cluster_client.h"

#include "agent/shell/self_credential.h"
#include "kube/in_cluster.h"
#include "kube/token_request_json.h"

namespace tokenlet::agent {

Result<> ClusterClient::open() {
    const bool has_own =
        !settings_.issuer.self.service_account.empty() && holds_valid_token(token_path(), read_clocks().wall);
    return use(has_own ? Credential::Own : Credential::Kubeconfigs);
}

void ClusterClient::take_own_credential() {
    if (settings_.issuer.self.service_account.empty() || credential_ == Credential::Own)
        return;
    const Result<> first = ask_for_first();
    if (first)
        return own_token_obtained();
    settings_.report(Report(Report::Level::Warn, "no own credential yet, going on with the kubeconfig's",
                            {{"err", first.error().what}}));
}

Result<kube::ClusterAccess> ClusterClient::read_access() const {
    const KubernetesIssuer& issuer = settings_.issuer;
    if (issuer.in_cluster)
        return kube::in_cluster_access(kube::in_cluster_surroundings());
    return kube::read_kubeconfig(issuer.kubeconfig, issuer.context);
}

std::string ClusterClient::token_path() const {
    return settings_.state_dir + "/" + kSelfTokenFile;
}

Result<> ClusterClient::ask_for_first() {
    kube::ClusterAccess access = TRY(read_access());
    auto client = TRY(BlockingClient::create(std::move(access)));
    kube::TokenRequest request = settings_.self_request;
    for (;;) {
        kube::ApiResult answer = client.call(token_request_call(request));
        if (answer) {
            const kube::IssuedToken issued = TRY(kube::read_issued_token(answer->body.view()));
            return write_secret_file(settings_.state_dir, kSelfTokenFile, issued.token);
        }
        kube::ApiError& refusal = answer.error();
        settings_.on_refusal(refusal);
        const bool unbound = request.bound_object_ref && is_not_there(refusal, *request.bound_object_ref);
        if (unbound && !holds_bound_token(token_path())) {
            request.bound_object_ref.reset();
            continue;
        }
        if (!refusal.is_retryable())
            refusal.error.what = token_path() +
                                 " holds no valid token, and there is no new one: " + refusal.error.what +
                                 (unbound ? "; " + revoked(request) : "") + "; `tokenlet enroll` makes one";
        return std::unexpected(std::move(refusal.error));
    }
}

Result<> ClusterClient::use(Credential credential) {
    // One that was in use before has calls that go on.
    if (!clients_.contains(credential)) {
        kube::ClusterAccess access = TRY(read_access());
        if (credential == Credential::Own) {
            access.user = {};
            access.user.name = settings_.self_request.ns + "/" + settings_.self_request.service_account;
            access.user.token.file = token_path();
            access.user.token.where = token_path();
        }
        auto client = TRY(kube::ApiClient::create(loop_.uv(), std::move(access), {}));
        if (clients_.empty())
            for (const std::string& warning : client->warnings())
                settings_.report(
                    Report(Report::Level::Warn, "API server is called with a weakness", {{"what", warning}}));
        clients_.emplace(credential, std::move(client));
    }
    credential_ = credential;
    return {};
}

void ClusterClient::own_token_obtained() {
    if (credential_ == Credential::Own)
        return;
    const Result<> used = use(Credential::Own);
    settings_.report(used ? Report(Report::Level::Info, "own credential is there, and used from now on", {})
                          : Report(Report::Level::Error,
                                   "own credential cannot be used yet, going on with the kubeconfig's",
                                   {{"err", used.error().what}}));
}

bool ClusterClient::own_token_expired() {
    if (credential_ == Credential::Kubeconfigs)
        return false;
    const Result<> used = use(Credential::Kubeconfigs);
    settings_.report(
        used ? Report(Report::Level::Warn, "own credential has expired, going back to the kubeconfig's", {})
             : Report(Report::Level::Error, "own credential has expired, and the kubeconfig's cannot be used",
                      {{"err", used.error().what}}));
    return used.has_value();
}

}  // namespace tokenlet::agent
