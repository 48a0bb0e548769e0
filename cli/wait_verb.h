// SPDX-License-Identifier: Apache-2.0
// `tokenlet wait`: until a Pod's volumes are ready.
//
// Shapes   asks the agent until it says so; the socket has no event stream yet, so it asks four times a second.
// Units    std::chrono.     Owns  nothing.     Threads  any; blocks.
// Errors   in the Outcome: Failed when the time is over, with the Pod's own message.
#pragma once

#include <chrono>
#include <string>

#include "cli/daemon.h"
#include "cli/outcome.h"

namespace tokenlet::cli {

struct WaitOptions {
    Where where{};
    std::string pod{};  // "NAMESPACE/NAME", or a name in any namespace
    std::chrono::seconds timeout{60};
};

[[nodiscard]] Outcome run(const WaitOptions& options);

}  // namespace tokenlet::cli
