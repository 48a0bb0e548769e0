// SPDX-License-Identifier: Apache-2.0
// Runs the agent until it is told to stop.
//
// Shapes   Mode::Serve stays until SIGTERM or SIGINT; Mode::Once projects every volume of every Pod once and returns. A
//          second agent on the same root, byName or state directory is refused.
// Owns     the loop and everything on it; nothing is left running when it returns. Published files stay.
// Threads  call it once, on the main thread, after harden_process(); it installs signal handlers.
// Errors   what keeps the agent from starting (a directory, the lock, the socket), and for Once what could not be
//          projected, naming Pod and volume. In Mode::Serve trouble with a Pod is logged, never returned. Fault tells what
//          another try may mend from what only another kubeconfig does.
#pragma once

#include <expected>
#include <utility>

#include "agent/config.h"
#include "base/result.h"

namespace tokenlet::agent {

enum class Mode { Serve, Once };

enum class Fault { Run, Configuration };

struct RunError {
    RunError(Error what, Fault whose = Fault::Run) : error(std::move(what)), fault(whose) {}
    Error error;
    Fault fault;
};

[[nodiscard]] std::expected<void, RunError> run_agent(const AgentConfiguration& configuration, Mode mode);

}  // namespace tokenlet::agent
