// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/log.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

namespace tokenlet::agent {
namespace {

Report report_with(std::string value) {
    return {.level = Report::Level::Warn, .event = "token refresh failed", .fields = {{"err", std::move(value)}}};
}

TEST(FormatText, QuotesAndEscapesWhateverCouldForgeALineOrReachATerminal) {
    struct Case {
        const char* name;
        std::string value;
        std::string want;
    };
    const Case cases[] = {
        {"plain names stand as they are", "shop/web", "shop/web"},
        {"nothing", "", R"("")"},
        {"blanks", "TokenRequest: 503", R"("TokenRequest: 503")"},
        {"another field", "x=y", R"("x=y")"},
        {"quotes", R"(say "hi" \now)", R"("say \"hi\" \\now")"},
        {"a line of its own", "x\ninfo token rotated", R"("x\ninfo token rotated")"},
        {"an escape sequence", "\x1b[2J", R"("\x1b[2J")"},
        {"its eight-bit form",
         "\xc2\x9b"
         "2J",
         R"("\x9b2J")"},
        {"letters beyond ASCII", "Prüfung", "Prüfung"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_EQ(format_text(report_with(c.value)), "warn token refresh failed err=" + c.want);
    }
}

TEST(FormatText, NamesTheLevelTheEventAndTheFieldsInOrder) {
    const Report report{.level = Report::Level::Info,
                        .event = "token rotated",
                        .fields = {{"pod", "shop/web"}, {"volume", "api-token"}, {"next", "48m0s"}}};
    EXPECT_EQ(format_text(report), "info token rotated pod=shop/web volume=api-token next=48m0s");
}

TEST(ParseLine, FindsTheEventAndTheFieldsAgain) {
    const std::pair<const char*, Report> cases[] = {
        {"signing key in use kid=x instead_of=none",
         {.event = "signing key in use", .fields = {{"kid", "x"}, {"instead_of", "none"}}}},
        {R"(no key of ours err="bad \"PEM\"" next=1)",
         {.event = "no key of ours", .fields = {{"err", R"(bad "PEM")"}, {"next", "1"}}}},
        {"only words", {.event = "only words", .fields = {}}},
        {"ends in an open quote err=\"x", {.event = "ends in an open quote", .fields = {{"err", "x"}}}},
        {"unquoted err=a b", {.event = "unquoted", .fields = {{"err", "a b"}}}},
        {"", {}},
    };
    for (const auto& [line, want] : cases) {
        SCOPED_TRACE(line);
        const Report report = parse_line(Report::Level::Info, line);
        EXPECT_EQ(report.event, want.event);
        EXPECT_EQ(report.fields, want.fields);
    }
}

TEST(ParseLine, ReadsWhatFormatTextWrote) {
    const Report report{
        .level = Report::Level::Info,
        .event = "token rotated",
        .fields = {{"a", "x\ny\r\t"}, {"b", "\x1b[2J\x7f"}, {"c", "\xc2\x85"}, {"d", R"(say "hi" \now)"}, {"e", ""}}};
    const Report read = parse_line(Report::Level::Info, format_text(report).substr(5));
    EXPECT_EQ(read.event, report.event);
    EXPECT_EQ(read.fields, report.fields);
}

TEST(FormatText, EscapesTheWordsOfALibraryToo) {
    const Report report = parse_line(Report::Level::Warn, "odd\nwords \x1b[2J=1");
    EXPECT_EQ(format_text(report), R"(warn odd\nwords \x1b[2J=1)");
}

TEST(FormatJson, LetsNoControlCharacterThrough) {
    EXPECT_NE(format_json(report_with("a\x7f\xc2\x9b"
                                      "2J"),
                          WallTime{})
                  .find(R"("a\u007f\u009b2J")"),
              std::string::npos);
}

TEST(FormatJson, IsOneObjectALine) {
    const WallTime now{std::chrono::milliseconds(1'795'500'000'042)};
    EXPECT_EQ(format_json(report_with("a\n\"b\""), now),
              R"({"time":"2026-11-24T06:00:00.042Z","level":"warn","event":"token refresh failed","err":"a\n\"b\""})");
}

TEST(FormatJson, ReplacesBytesThatAreNotText) {
    EXPECT_NE(format_json(report_with("a\xff"), WallTime{}).find("a\xef\xbf\xbd"), std::string::npos);
}

TEST(LogTarget, IsTheJournalOnlyWhenStderrIsTheJournalsStream) {
    struct stat status{};
    ASSERT_EQ(::fstat(STDERR_FILENO, &status), 0);
    const std::string ours = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
    ASSERT_EQ(::setenv("JOURNAL_STREAM", ours.c_str(), 1), 0);
    EXPECT_EQ(log_target(), LogTarget::Journal);
    ASSERT_EQ(::setenv("JOURNAL_STREAM", "1:1", 1), 0);
    EXPECT_EQ(log_target(), LogTarget::Stderr) << "a unit's environment is inherited, its stream need not be";
    ASSERT_EQ(::unsetenv("JOURNAL_STREAM"), 0);
    EXPECT_EQ(log_target(), LogTarget::Stderr);
}

TEST(Logger, LeavesOutWhatIsBelowItsLevelAndPutsThePriorityInFrontForTheJournal) {
    testing::internal::CaptureStderr();
    Logger logger({.level = LogLevel::Warn, .format = LogFormat::Text}, LogTarget::Journal);
    logger.write({.level = Report::Level::Info, .event = "pod seen", .fields = {}}, WallTime{});
    logger.write(report_with("x"), WallTime{});
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "<4>warn token refresh failed err=x\n");
}

TEST(Logger, PutsTheTimeInFrontElsewhere) {
    testing::internal::CaptureStderr();
    Logger logger({.level = LogLevel::Info, .format = LogFormat::Text}, LogTarget::Stderr);
    logger.write(report_with("x"), WallTime{});
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "1970-01-01T00:00:00.000Z warn token refresh failed err=x\n");
}

TEST(Logger, GivesTheSameFormToWhatOthersLog) {
    const auto before = spdlog::default_logger();
    testing::internal::CaptureStderr();
    {
        Logger logger({.level = LogLevel::Info, .format = LogFormat::Text}, LogTarget::Journal);
        logger.take_over_default();
    }
    spdlog::warn("signing key is gone kid={}", "x\x1b");
    spdlog::debug("not asked for");
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "<4>warn signing key is gone kid=\"x\\x1b\"\n");
    spdlog::set_default_logger(before);
}

}  // namespace
}  // namespace tokenlet::agent
