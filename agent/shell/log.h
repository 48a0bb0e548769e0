// SPDX-License-Identifier: Apache-2.0
// The log: one line an event, a fixed phrase and then key=value.
//
//     info token rotated pod=shop/web volume=api-token path=token next=48m
//     {"time":"2026-11-24T05:39:00.120Z","level":"info","event":"token rotated","pod":"shop/web"}
//
// Shapes   a value that holds blanks, quotes, '=' or control characters is quoted and escaped, so that what a manifest
//          says can neither forge a line nor reach a terminal raw. Under the journal lines start with its priority
//          ("<6>") and carry no time, because the journal has both.
// Units    times in UTC, milliseconds.
// Owns     its sink.     Threads  any.     Errors  none: a log that cannot be written must not stop the agent.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "agent/config.h"
#include "agent/core/command.h"
#include "base/time.h"

namespace tokenlet::agent {

enum class LogTarget { Stderr, Journal };

// Journal when stderr is the journal's stream (JOURNAL_STREAM names its device and inode).
[[nodiscard]] LogTarget log_target();

[[nodiscard]] std::string format_text(const Report& report);
[[nodiscard]] std::string format_json(const Report& report, WallTime now);

// The inverse of format_text() for a line without its level: "signing key in use kid=x instead_of=none".
[[nodiscard]] Report parse_line(Report::Level level, std::string_view line);

class Logger {
public:
    Logger(const Log& settings, LogTarget target);
    ~Logger();

    void write(const Report& report, WallTime now) noexcept;

    // What authority/ says through spdlog's default logger goes here from now on, in the same form.
    void take_over_default();

private:
    class Sink;
    std::unique_ptr<Sink> sink_;
};

}  // namespace tokenlet::agent
