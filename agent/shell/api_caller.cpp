// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/api_caller.h"

#include <optional>
#include <utility>

namespace tokenlet::agent {

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
