// SPDX-License-Identifier: Apache-2.0
// `tokenlet mounts`: what to paste, so that a workload sees its Pod's volumes where its containers mount them.
//
// Shapes   the Pod is read from its manifest, so there need be no agent, and the Pod need not run yet. Sources are the
//          stable names below volumes.byName. Without a style all are printed.
// Owns     nothing.     Threads  any.
// Errors   in the Outcome: Failed when no manifest has the Pod, Configuration when the Pod cannot be projected. What it
//          mounts that cannot be pasted is remarked on: volumes that are not tokenlet's, and mounts by subPath, which keep
//          the file of the first day.
#pragma once

#include <optional>
#include <string>

#include "cli/mount_text.h"
#include "cli/outcome.h"

namespace tokenlet::cli {

struct MountsOptions {
    std::string config{};     // empty: the usual one, where it is there
    std::string manifests{};  // a file, a directory or "-"; empty: the configuration's
    std::string pod{};        // "NAMESPACE/NAME", or a name in any namespace
    std::optional<MountStyle> style{};
};

[[nodiscard]] Outcome run(const MountsOptions& options);

}  // namespace tokenlet::cli
