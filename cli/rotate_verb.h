// SPDX-License-Identifier: Apache-2.0
// `tokenlet rotate`: new tokens for a Pod, or for one of its volumes, now and not when they are due.
//
// Shapes   options in, Outcome out. The agent asks for the tokens after it has answered; `tokenlet status` shows when
//          they are there. The old ones stay in place until then, and stay valid until they expire.
// Owns     nothing.     Threads  any.
// Errors   in the Outcome: Usage for what names no Pod, Failed when the agent knows no such Pod or volume, when nobody
//          answers, or when the agent lets only others do this.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/daemon.h"
#include "cli/outcome.h"

namespace tokenlet::cli {

struct RotateOptions {
    Where where{};
    std::string pod{};  // "NAME", "NAMESPACE/NAME" or "NAMESPACE/NAME/VOLUME"
};

[[nodiscard]] Outcome run(const RotateOptions& options);

}  // namespace tokenlet::cli
