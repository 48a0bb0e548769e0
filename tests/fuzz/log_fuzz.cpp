// SPDX-License-Identifier: Apache-2.0
// Log lines: whatever a manifest says, one event is one line, and its values stay values.
// The input is a line of a library, then values, a line each with "\n" for a line feed.
#include <chrono>
#include <string>
#include <string_view>

#include "agent/shell/log.h"
#include "tests/fuzz/fuzz_target.h"

namespace tokenlet::fuzz {
namespace {

using agent::Report;

constexpr WallTime kNow{std::chrono::seconds(1'795'500'000)};

std::string with_line_feeds(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool is_feed = text.substr(i).starts_with("\\n");
        result += is_feed ? '\n' : text[i];
        i += is_feed ? 1 : 0;
    }
    return result;
}

void look_at(const Report& report) {
    must(!has_control(agent::format_text(report)), "an event is one line of text, without control characters");
    const std::string json = agent::format_json(report, kNow);
    must(!json.contains('\n') && !json.contains('\r') && json.starts_with("{\"time\":") && json.ends_with('}'),
         "an event is one line of JSON");
}

}  // namespace

void run_input(std::string_view input) {
    Lines lines(input);
    const Report said = agent::parse_line(Report::Level::Warn, lines.next());
    look_at(said);

    Report report{.level = Report::Level::Info, .event = "token rotated", .fields = {}};
    while (!lines.empty() && report.fields.size() < 5)
        report.fields.emplace_back("key" + std::to_string(report.fields.size()), with_line_feeds(lines.next()));
    look_at(report);
    std::string text = agent::format_text(report);
    text.erase(0, std::string_view("info ").size());
    const Report again = agent::parse_line(Report::Level::Info, text);
    must(again.event == report.event && again.fields == report.fields, "a line that was written is read the same");
}

}  // namespace tokenlet::fuzz
