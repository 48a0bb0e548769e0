// SPDX-License-Identifier: Apache-2.0
// `tokenlet agent` and `tokenlet once`: read the configuration and run the agent.
//
// Shapes   options in, Outcome out.     Owns  nothing.     Threads  the main thread.
// Errors   in the Outcome: Configuration for the file and the kubeconfig it names, Failed for what stops the agent.
#pragma once

#include <string>

#include "agent/config.h"
#include "agent/shell/run.h"
#include "cli/outcome.h"

namespace tokenlet::cli {

struct AgentOptions {
    std::string config = agent::kDefaultConfigurationPath;
    agent::Mode mode = agent::Mode::Serve;
};

[[nodiscard]] Outcome run(const AgentOptions& options);

}  // namespace tokenlet::cli
