// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/systemd.h"

#ifdef TOKENLET_WITH_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include <chrono>
#include <cstdint>

namespace tokenlet::agent {

namespace {

void notify([[maybe_unused]] const std::string& state) {
#ifdef TOKENLET_WITH_SYSTEMD
    (void)::sd_notify(
        0, state.c_str());  // without NOTIFY_SOCKET nobody listens; with it, a failure shows at systemd's end
#endif
}

// One assignment a line: a text with line breaks would be more than one.
std::string one_line(std::string text) {
    for (char& c : text)
        if (c == '\n')
            c = ' ';
    return text;
}

}  // namespace

void notify_ready(const std::string& status) {
    notify("READY=1\nSTATUS=" + one_line(status));
}

void notify_status(const std::string& status) {
    notify("STATUS=" + one_line(status));
}

void notify_stopping() {
    notify("STOPPING=1");
}

void notify_watchdog() {
    notify("WATCHDOG=1");
}

std::optional<Duration> watchdog_period() {
#ifdef TOKENLET_WITH_SYSTEMD
    std::uint64_t usec = 0;
    if (::sd_watchdog_enabled(0, &usec) > 0)
        return std::chrono::microseconds(usec) / 2;
#endif
    return std::nullopt;
}

}  // namespace tokenlet::agent
