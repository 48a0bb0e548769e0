// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/api_caller.h"

#include <optional>
#include <utility>

#include "kube/token_request_json.h"

namespace tokenlet::agent {

kube::ApiRequest token_request_call(const kube::TokenRequest& request) {
    return {.method = "POST",
            .path = kube::token_request_path(request),
            .body = Secret(kube::token_request_json(request)),
            .what = "TokenRequest for " + request.ns + "/" + request.service_account};
}

Result<BlockingClient> BlockingClient::create(kube::ClusterAccess access) {
    auto loop = TRY(Loop::create(), "event loop");
    auto client = TRY(kube::ApiClient::create(loop->uv(), std::move(access), {}));
    return BlockingClient(std::move(loop), std::move(client));
}

kube::ApiResult BlockingClient::call(kube::ApiRequest request) {
    std::optional<kube::ApiResult> answer;
    client_
        ->request(std::move(request),
                  [&](kube::ApiResult result) {
                      answer.emplace(std::move(result));
                      loop_->stop();
                  })
        .leave_to_client();
    while (!answer)
        loop_->run();
    return std::move(*answer);
}

}  // namespace tokenlet::agent
