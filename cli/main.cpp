// SPDX-License-Identifier: Apache-2.0
// The program: words in, one verb, an exit code out.

#include <csignal>
#include <utility>
#include <variant>

#include "base/time.h"
#include "cli/command_line.h"

namespace tokenlet::cli {

namespace {

Outcome run(const Invocation& invocation) {
    struct Run {
        Outcome operator()(const AgentOptions& options) const { return cli::run(options); }
        Outcome operator()(const ValidateOptions& options) const { return cli::run(options); }
        Outcome operator()(const StatusOptions& options) const { return cli::run(options, read_clocks().wall); }
        Outcome operator()(const ExplainOptions& options) const { return cli::run(options, read_clocks().wall); }
        Outcome operator()(const WaitOptions& options) const { return cli::run(options); }
        Outcome operator()(const RotateOptions& options) const { return cli::run(options); }
        Outcome operator()(const PruneOptions& options) const { return cli::run(options); }
        Outcome operator()(const MountsOptions& options) const { return cli::run(options); }
        Outcome operator()(const EnrollOptions& options) const { return cli::run(options); }
        Outcome operator()(const InspectOptions& options) const { return cli::run(options, read_clocks().wall); }
    };
    return std::visit(Run{}, invocation);
}

}  // namespace

}  // namespace tokenlet::cli

int main(int argc, char** argv) {
    using namespace tokenlet::cli;
    // A reader or client that leaves shows as EPIPE where it matters.
    (void)std::signal(SIGPIPE, SIG_IGN);
    auto parsed = parse_command_line({argv + (argc > 0 ? 1 : 0), argv + argc});
    const Invocation* invocation = std::get_if<Invocation>(&parsed);
    const Outcome outcome = invocation != nullptr ? run(*invocation) : std::get<Outcome>(std::move(parsed));
    return static_cast<int>(print(outcome));
}
