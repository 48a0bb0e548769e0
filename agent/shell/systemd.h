// SPDX-License-Identifier: Apache-2.0
// What systemd is told: sd_notify(3).
//
// Shapes   every call is a no-op when the process was not started by systemd, or was built without libsystemd.
// Units    watchdog_period(): half of what the unit allows, as sd_watchdog_enabled(3) advises.
// Owns     nothing.     Threads  any.     Errors  none that could be acted on.
#pragma once

#include <optional>
#include <string>

#include "base/time.h"

namespace tokenlet::agent {

void notify_ready(const std::string& status);
void notify_status(const std::string& status);
void notify_stopping();
void notify_watchdog();
[[nodiscard]] std::optional<Duration> watchdog_period();

}  // namespace tokenlet::agent
