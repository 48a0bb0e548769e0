// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/log.h"

#include <spdlog/formatter.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

namespace tokenlet::agent {

namespace {

std::string_view name_of(Report::Level level) {
    switch (level) {
        case Report::Level::Debug:
            return "debug";
        case Report::Level::Info:
            return "info";
        case Report::Level::Warn:
            return "warn";
        case Report::Level::Error:
            break;
    }
    return "error";
}

// syslog's priorities, as the journal reads them at the start of a line.
std::string_view priority_of(Report::Level level) {
    switch (level) {
        case Report::Level::Debug:
            return "<7>";
        case Report::Level::Info:
            return "<6>";
        case Report::Level::Warn:
            return "<4>";
        case Report::Level::Error:
            break;
    }
    return "<3>";
}

spdlog::level::level_enum level_of(Report::Level level) {
    switch (level) {
        case Report::Level::Debug:
            return spdlog::level::debug;
        case Report::Level::Info:
            return spdlog::level::info;
        case Report::Level::Warn:
            return spdlog::level::warn;
        case Report::Level::Error:
            break;
    }
    return spdlog::level::err;
}

bool is_control(unsigned char c) {
    return c < 0x20 || c == 0x7f;
}

// C1 controls are two bytes in UTF-8 (0xC2 0x80 to 0xC2 0x9F), and some terminals obey them.
bool is_c1(std::string_view text, std::size_t at) {
    return static_cast<unsigned char>(text[at]) == 0xc2 && at + 1 < text.size() &&
           static_cast<unsigned char>(text[at + 1]) >= 0x80 && static_cast<unsigned char>(text[at + 1]) < 0xa0;
}

bool needs_quotes(std::string_view text) {
    if (text.empty())
        return true;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const auto c = static_cast<unsigned char>(text[at]);
        if (is_control(c) || is_c1(text, at) || c == ' ' || c == '"' || c == '=' || c == '\\')
            return true;
    }
    return false;
}

void append_hex(std::string& line, unsigned char c) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    line += kDigits[c >> 4];
    line += kDigits[c & 15];
}

void append_escaped(std::string& line, unsigned char c) {
    switch (c) {
        case '\n':
            line += "\\n";
            return;
        case '\r':
            line += "\\r";
            return;
        case '\t':
            line += "\\t";
            return;
        default:
            break;
    }
    line += "\\x";
    append_hex(line, c);
}

void append_printable(std::string& line, std::string_view text) {
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (is_c1(text, at))
            append_escaped(line, static_cast<unsigned char>(text[++at]));
        else if (is_control(static_cast<unsigned char>(text[at])))
            append_escaped(line, static_cast<unsigned char>(text[at]));
        else
            line += text[at];
    }
}

void append_value(std::string& line, std::string_view value) {
    if (!needs_quotes(value)) {
        line += value;
        return;
    }
    line += '"';
    while (!value.empty()) {
        const std::size_t special = std::min(value.find_first_of("\"\\"), value.size());
        append_printable(line, value.substr(0, special));
        value.remove_prefix(special);
        if (value.empty())
            break;
        line += '\\';
        line += value.front();
        value.remove_prefix(1);
    }
    line += '"';
}

// The inverse of append_escaped(), for what stands behind the backslash; other characters stand for themselves.
void take_escaped(std::string_view& text, std::string& value) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    const char c = text.front();
    const std::size_t high = c == 'x' && text.size() > 2 ? kDigits.find(text[1]) : std::string_view::npos;
    const std::size_t low = high != std::string_view::npos ? kDigits.find(text[2]) : std::string_view::npos;
    if (low == std::string_view::npos) {
        value += c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
        text.remove_prefix(1);
        return;
    }
    const auto byte = static_cast<char>(high << 4 | low);
    if (high == 8 || high == 9)
        value += '\xc2';
    value += byte;
    text.remove_prefix(3);
}

Report::Level level_of(spdlog::level::level_enum level) {
    if (level >= spdlog::level::err)
        return Report::Level::Error;
    if (level == spdlog::level::warn)
        return Report::Level::Warn;
    return level == spdlog::level::info ? Report::Level::Info : Report::Level::Debug;
}

// Takes a value and the blank behind it from the front of `line`.
std::string take_value(std::string_view& line) {
    std::string value;
    if (!line.starts_with('"')) {
        const std::size_t end = std::min(line.find(' '), line.size());
        value = line.substr(0, end);
        line.remove_prefix(std::min(end + 1, line.size()));
        return value;
    }
    line.remove_prefix(1);
    while (!line.empty() && line.front() != '"') {
        const bool is_escape = line.front() == '\\' && line.size() > 1;
        if (!is_escape)
            value += line.front();
        line.remove_prefix(1);
        if (is_escape)
            take_escaped(line, value);
    }
    line.remove_prefix(std::min<std::size_t>(2, line.size()));  // the quote and the blank behind it
    return value;
}

// RFC 3339 with milliseconds: rfc3339() has whole seconds.
std::string timestamp(WallTime time) {
    const auto ms = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count() % 1000;
    std::string text = rfc3339(time);
    const std::string digits = std::to_string(1000 + ms);
    text.replace(text.size() - 1, 1, "." + digits.substr(1) + "Z");
    return text;
}

}  // namespace

LogTarget log_target() {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat status{};
    if (stream == nullptr || ::fstat(STDERR_FILENO, &status) < 0)
        return LogTarget::Stderr;
    const std::string ours = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
    return ours == stream ? LogTarget::Journal : LogTarget::Stderr;
}

std::string format_text(const Report& report) {
    // Events and keys are our own words, unless a library's line was taken apart: parse_line().
    std::string line(name_of(report.level));
    line += ' ';
    append_printable(line, report.event);
    for (const auto& [key, value] : report.fields) {
        line += ' ';
        append_printable(line, key);
        line += '=';
        append_value(line, value);
    }
    return line;
}

std::string format_json(const Report& report, WallTime now) {
    nlohmann::ordered_json line;
    line["time"] = timestamp(now);
    line["level"] = name_of(report.level);
    line["event"] = report.event;
    for (const auto& [key, value] : report.fields)
        line[key] = value;
    // Bytes that are not UTF-8 become U+FFFD. JSON itself escapes only control characters below the blank.
    const std::string json =
        line.dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::ordered_json::error_handler_t::replace);
    std::string printable;
    for (std::size_t at = 0; at < json.size(); ++at) {
        if (json[at] != 0x7f && !is_c1(json, at)) {
            printable += json[at];
            continue;
        }
        at += is_c1(json, at) ? 1 : 0;
        printable += "\\u00";
        append_hex(printable, static_cast<unsigned char>(json[at]));
    }
    return printable;
}

Report parse_line(Report::Level level, std::string_view line) {
    Report report{.level = level, .event = {}, .fields = {}};
    while (!line.empty()) {
        const std::size_t end = std::min(line.find(' '), line.size());
        const std::size_t equals = line.substr(0, end).find('=');
        if (equals == std::string_view::npos || equals == 0) {
            // A word of the event, or of a value that somebody forgot to quote.
            std::string& text = report.fields.empty() ? report.event : report.fields.back().second;
            text.append(text.empty() ? "" : " ").append(line.substr(0, end));
            line.remove_prefix(std::min(end + 1, line.size()));
            continue;
        }
        std::string key(line.substr(0, equals));
        line.remove_prefix(equals + 1);
        report.fields.emplace_back(std::move(key), take_value(line));
    }
    return report;
}

// One form for all lines, whoever wrote them.
class Logger::Sink {
public:
    Sink(const Log& settings, LogTarget log_target)
        : format(settings.format),
          target(log_target),
          logger(std::make_shared<spdlog::logger>("tokenlet", std::make_shared<spdlog::sinks::stderr_sink_mt>())) {
        logger->set_level(level_of(settings.level));
        logger->set_error_handler([](const std::string&) {});  // nowhere left to tell
    }

    [[nodiscard]] std::string line(const Report& report, WallTime now) const {
        std::string line;
        if (target == LogTarget::Journal)
            line = priority_of(report.level);
        else if (format == LogFormat::Text)
            line = timestamp(now) + " ";
        return line + (format == LogFormat::Text ? format_text(report) : format_json(report, now));
    }

    LogFormat format;
    LogTarget target;
    std::shared_ptr<spdlog::logger> logger;
};

namespace {

using MakeLine = std::function<std::string(const Report&, WallTime)>;

class ReportFormatter : public spdlog::formatter {
public:
    explicit ReportFormatter(MakeLine make_line) : make_line_(std::move(make_line)) {}

    void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
        const Report report = parse_line(level_of(message.level), {message.payload.data(), message.payload.size()});
        const std::string line = make_line_(report, WallTime(message.time.time_since_epoch())) + "\n";
        out.append(line.data(), line.data() + line.size());
    }
    [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
        return std::make_unique<ReportFormatter>(make_line_);
    }

private:
    MakeLine make_line_;
};

}  // namespace

Logger::Logger(const Log& settings, LogTarget target) : sink_(std::make_unique<Sink>(settings, target)) {
    sink_->logger->set_formatter(std::make_unique<spdlog::pattern_formatter>("%v"));
}

Logger::~Logger() = default;

void Logger::write(const Report& report, WallTime now) noexcept {
    const spdlog::level::level_enum level = level_of(report.level);
    if (!sink_->logger->should_log(level))
        return;
    try {
        sink_->logger->log(level, spdlog::string_view_t(sink_->line(report, now)));
    } catch (const std::exception&) {
        // Only a log line is lost, and there is nowhere to say so.
        return;
    }
}

void Logger::take_over_default() {
    const auto others =
        std::make_shared<spdlog::logger>("tokenlet-libraries", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    others->set_level(sink_->logger->level());
    others->set_error_handler([](const std::string&) {});
    // A copy of what line() needs: spdlog keeps its default logger for longer than we live.
    const Sink form({.level = Report::Level::Info, .format = sink_->format}, sink_->target);
    others->set_formatter(std::make_unique<ReportFormatter>(
        [form](const Report& report, WallTime now) { return form.line(report, now); }));
    spdlog::set_default_logger(others);
}

}  // namespace tokenlet::agent
