// SPDX-License-Identifier: Apache-2.0
// The command line: words in, one verb's options out.
//
// Shapes   parse_command_line(arguments without the program's name) -> Invocation, or the Outcome that ends the program
//          at once: help and version on stdout with code 0, or one line of what is wrong with code 2.
// Owns     nothing.     Threads  any, one at a time.
// Errors   in the Outcome; CLI11's exceptions end here.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "cli/agent_verb.h"
#include "cli/enroll_verb.h"
#include "cli/explain_verb.h"
#include "cli/mounts_verb.h"
#include "cli/outcome.h"
#include "cli/prune_verb.h"
#include "cli/rotate_verb.h"
#include "cli/status_verb.h"
#include "cli/token_verb.h"
#include "cli/validate_verb.h"
#include "cli/wait_verb.h"

namespace tokenlet::cli {

using Invocation = std::variant<AgentOptions, ValidateOptions, StatusOptions, WaitOptions, RotateOptions, PruneOptions,
                                InspectOptions, EnrollOptions, MountsOptions, ExplainOptions>;

[[nodiscard]] std::variant<Invocation, Outcome> parse_command_line(std::vector<std::string> arguments);

}  // namespace tokenlet::cli
