// SPDX-License-Identifier: Apache-2.0
// The two documents that go between us and a credential plugin.
//
// Shapes   exec_info(plugin, cluster) -> what KUBERNETES_EXEC_INFO holds; read_exec_credential(output) -> what it printed.
// Units    WallTime.     Owns  what was printed, wiped.     Threads  any.
// Errors   Unavailable, since a plugin may do better the next time: what is wrong with its output, which is never quoted.
// Source   kubernetes client-go pkg/apis/clientauthentication/v1/types.go, plugin/pkg/client/auth/exec/exec.go.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "kube/kubeconfig.h"

namespace tokenlet::kube {

struct ExecCredential {
    tokenlet::Secret token;
    tokenlet::Secret certificate_pem;
    tokenlet::Secret key_pem;
    std::optional<WallTime> expires_at;
};

[[nodiscard]] std::string exec_info(const ExecPlugin& plugin, const Cluster& cluster, std::string_view authority_pem);

[[nodiscard]] Result<ExecCredential> read_exec_credential(std::string_view output, std::string_view api_version,
                                                          WallTime now);

// What may be shown of a plugin's stderr: its last words on one line, without control characters and without what looks
// like a token.
[[nodiscard]] std::string last_words(std::string_view words, std::size_t limit_bytes);

}  // namespace tokenlet::kube
