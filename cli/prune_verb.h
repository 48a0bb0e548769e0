// SPDX-License-Identifier: Apache-2.0
// `tokenlet prune`: lets Pods go whose removal the agent holds, because too many vanished together.
//
// Shapes   options in, Outcome out: what was released on stdout, or that nothing was held.
// Owns     nothing.     Threads  any.
// Errors   in the Outcome: Failed when nobody answers, or when the agent lets only others do this.
#pragma once

#include "cli/daemon.h"
#include "cli/outcome.h"

namespace tokenlet::cli {

struct PruneOptions {
    Where where{};
};

[[nodiscard]] Outcome run(const PruneOptions& options);

}  // namespace tokenlet::cli
