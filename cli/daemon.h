// SPDX-License-Identifier: Apache-2.0
// Asking the running agent.
//
// Shapes   daemon_socket(where) -> the path; ask_daemon(path, target) -> the body of its answer; tell_daemon(path, target)
//          has it do something; show_status(where, show) -> what `show` makes of its status.
//          read_usual_configuration(path) -> the agent's; unset when none was named and the usual one is not there.
// Units    bounded by ten seconds and 256 MiB: 100 000 Pods with room to spare.
// Owns     nothing.     Threads  any.
// Errors   texts say what to do. daemon_socket(): what is wrong with a configuration file that was named or is there.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "agent/config.h"
#include "base/result.h"
#include "base/secret.h"
#include "cli/outcome.h"

namespace tokenlet::cli {

// Both as given on the command line; empty: not given.
struct Where {
    std::string socket{};
    std::string config{};
};

[[nodiscard]] Result<std::optional<agent::AgentConfiguration>> read_usual_configuration(const std::string& path);

// The socket named; else that of the configuration named; else that of the usual configuration, if it can be read; else
// the usual one.
[[nodiscard]] Result<std::string> daemon_socket(const Where& where);

[[nodiscard]] Result<Secret> ask_daemon(const std::string& socket, const std::string& target);

// Errors of `show` are about what that socket answered.
[[nodiscard]] Outcome show_status(const Where& where,
                                  const std::function<Result<Outcome>(std::string_view json)>& show);

// Denied when the agent does this for other users only.
[[nodiscard]] Result<> tell_daemon(const std::string& socket, const std::string& target);

}  // namespace tokenlet::cli
