// SPDX-License-Identifier: Apache-2.0
// `tokenlet enroll`: makes a cluster know this host's agent, with an administrator's kubeconfig.
//
// Shapes   options in, Outcome out. Applies what agent/enrollment.h lists (server-side, as field manager tokenlet-enroll; a
//          Role with all that it grants already), asks for the agent's first token, and writes it and a kubeconfig for the
//          agent to its state directory.
//          With dry_run nothing is called and nothing written: the manifests go to stdout.
// Owns     nothing.     Threads  any.
// Errors   in the Outcome: Configuration for a kubeconfig or configuration that cannot be read, Failed with the server's
//          words for what it refuses; what was applied before stays, is on stdout, and applying it again changes nothing.
//          That the server's certificate is not looked at is a remark.
#pragma once

#include <string>
#include <vector>

#include "cli/outcome.h"

namespace tokenlet::cli {

struct EnrollOptions {
    std::string config{};      // the agent's; empty: its default path, if that is there
    std::string kubeconfig{};  // the administrator's; empty: those in $KUBECONFIG, else ~/.kube/config
    std::string context{};
    std::vector<std::string> serves{};  // "NAMESPACE/NAME" of accounts
    bool dry_run = false;
};

[[nodiscard]] Outcome run(const EnrollOptions& options);

}  // namespace tokenlet::cli
