// SPDX-License-Identifier: Apache-2.0
// What the command line makes of a daemon's answer: it may be of any version, or no daemon at all.
#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>

#include "cli/status_answer.h"
#include "cli/status_verb.h"
#include "cli/text.h"
#include "tests/fuzz/fuzz_target.h"

namespace tokenlet::fuzz {
namespace {

constexpr WallTime kNow{std::chrono::seconds(1'795'500'000)};

void look_at_words(std::string_view json) {
    for (const auto format : {cli::StatusFormat::Table, cli::StatusFormat::Wide}) {
        const auto outcome = cli::status_table(json, {.format = format}, kNow);
        if (!outcome)
            continue;
        std::string text = outcome->out;
        std::erase(text, '\n');
        must(!has_control(text), "nothing that an answer says steers a terminal");
        must(outcome->out.empty() || outcome->out.starts_with("POD"), "a table has its header");
        must(outcome->out.empty() || outcome->out.ends_with('\n'), "a table ends its last line");
    }
}

// A time is one spelling and one moment.
void look_at_time(std::string_view text) {
    const auto time = cli::parse_rfc3339(text);
    if (!time)
        return;
    const bool is_leap_second = text.substr(17, 2) == "60";
    must(is_leap_second || rfc3339(*time) == text, "a time that was read is written the same");
}

}  // namespace

void run_input(std::string_view input) {
    look_at_time(input.substr(0, input.find('\n')));
    const auto answer = cli::read_status_answer(input);
    must(answer.has_value() || answer.error().code == Errc::Invalid, "what is no answer is invalid, nothing else");
    look_at_words(input);
    must(!has_control(cli::printable(input)), "printable text holds no control characters");
    must(cli::printable(cli::printable(input)) == cli::printable(input), "printable text stays as it is");
}

}  // namespace tokenlet::fuzz
