// SPDX-License-Identifier: Apache-2.0
#include "cli/agent_verb.h"

#include "cli/process.h"

namespace tokenlet::cli {

Outcome run(const AgentOptions& options) {
    if (Result<> hardened = harden_process(); !hardened)
        return failed(std::move(hardened.error()));

    Result<agent::AgentConfiguration> configuration = agent::read_agent_configuration(options.config);
    if (!configuration) {
        if (configuration.error().code == Errc::NotFound)
            configuration.error().what += "; write it, or name another file with --config";
        return misconfigured(std::move(configuration.error()));
    }
    if (Result<> supported = agent::check_supported(*configuration); !supported)
        return misconfigured(std::move(supported.error()).with(options.config));

    // Before the agent takes over: its log begins only then.
    Outcome remarks;
    for (const std::string& warning : agent::warnings_about(*configuration))
        remarks.complaints.push_back(options.config + ": warning: " + warning);
    if (print(remarks) != ExitCode::Done)
        return {.code = ExitCode::Failed};

    auto ended = agent::run_agent(*configuration, options.mode);
    if (ended)
        return {};
    if (ended.error().fault == agent::Fault::Configuration)
        return misconfigured(std::move(ended.error().error).with(options.config));
    return failed(std::move(ended.error().error));
}

}  // namespace tokenlet::cli
