// SPDX-License-Identifier: Apache-2.0
// Record files: what is accepted is written as it was read, and its times can be reckoned with.
#include <string>
#include <string_view>

#include "agent/shell/record_file.h"
#include "rotation/schedule.h"
#include "tests/fuzz/fuzz_target.h"

namespace tokenlet::fuzz {
namespace {

constexpr Now kNow{BootTime(std::chrono::hours(100)), WallTime(std::chrono::seconds(1'795'500'000))};

void look_at(const agent::TokenRecord& token) {
    must(token.times.ttl > Duration::zero(), "a token lives for some time");
    must(token.jitter >= Duration::zero(), "jitter makes nothing later");
    // The arithmetic of adoption; the sanitizers see whether it overflows.
    const rotation::Due due = rotation::due(token.times, token.jitter, rotation::RotationPolicy{});
    must(due.at <= token.times.received + token.times.ttl, "a token is due before it ends");
    (void)rotation::is_refused(token.times, kNow.wall);
    (void)rotation::time_left(token.times, kNow.boot, kNow.wall);
}

}  // namespace

void run_input(std::string_view input) {
    const auto record = agent::parse_record(input);
    if (!record) {
        must(record.error().code == Errc::Invalid, "what is no record is invalid, nothing else");
        return;
    }
    for (const agent::TokenRecord& token : record->tokens)
        look_at(token);
    const std::string text = agent::text_of(*record);
    const auto again = agent::parse_record(text);
    must(again && *again == *record, "a record comes back as it went");
    must(agent::text_of(*again) == text, "equal records are equal files");
}

}  // namespace tokenlet::fuzz
