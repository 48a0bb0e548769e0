// SPDX-License-Identifier: Apache-2.0
#include "base/time.h"

#include <cstdint>
#include <ctime>

namespace tokenlet {
namespace {

Duration read(clockid_t clock) {
    timespec ts{};
    ::clock_gettime(clock, &ts);
    return std::chrono::seconds(ts.tv_sec) + std::chrono::nanoseconds(ts.tv_nsec);
}

}  // namespace

Now read_clocks() {
    return {BootTime(read(CLOCK_BOOTTIME)), WallTime(read(CLOCK_REALTIME))};
}

std::string rfc3339(WallTime time) {
    const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char text[32];
    const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return {text, length};
}

std::string go_duration(Duration duration) {
    std::int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
    std::string text;
    if (seconds < 0) {
        text = "-";
        seconds = -seconds;
    }
    if (seconds >= 3600)
        text += std::to_string(seconds / 3600) + "h";
    if (seconds >= 60)
        text += std::to_string(seconds / 60 % 60) + "m";
    return text + std::to_string(seconds % 60) + "s";
}

}  // namespace tokenlet
