// SPDX-License-Identifier: Apache-2.0
// How the parts of the agent call an API server: the seam between them and the client.
//
// Shapes   done is called once, never before the call has returned; or never, when the client goes first.
//          BlockingClient is for programs that have nothing else to do: it waits for each answer.
// Units    none.     Owns  its clients; BlockingClient a loop, too.     Threads  the caller's.
// Errors   kube/api_client.h.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/shell/loop.h"
#include "base/result.h"
#include "kube/api_client.h"
#include "kube/token_request.h"

namespace tokenlet::agent {

using ApiCaller = std::function<void(kube::ApiRequest, std::move_only_function<void(kube::ApiResult)>)>;

// The same for calls that may be given up: they end with what is returned.
using ApiStarter = std::function<kube::ApiCall(kube::ApiRequest, std::move_only_function<void(kube::ApiResult)>)>;

[[nodiscard]] kube::ApiRequest token_request_call(const kube::TokenRequest& request);

class BlockingClient {
public:
    [[nodiscard]] static Result<BlockingClient> create(kube::ClusterAccess access);
    [[nodiscard]] kube::ApiResult call(kube::ApiRequest request);
    [[nodiscard]] const kube::ClusterAccess& access() const { return client_->access(); }
    [[nodiscard]] std::vector<std::string> warnings() const { return client_->warnings(); }

private:
    BlockingClient(std::unique_ptr<Loop> loop, std::unique_ptr<kube::ApiClient> client)
        : loop_(std::move(loop)), client_(std::move(client)) {}
    std::unique_ptr<Loop> loop_;  // goes after the client
    std::unique_ptr<kube::ApiClient> client_;
};

}  // namespace tokenlet::agent
