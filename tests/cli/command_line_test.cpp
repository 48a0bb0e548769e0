// SPDX-License-Identifier: Apache-2.0
#include "cli/command_line.h"

#include <gtest/gtest.h>

#include <sstream>

namespace tokenlet::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> words(const std::string& line) {
    std::istringstream stream(line);
    return {std::istream_iterator<std::string>(stream), {}};
}

Outcome refusal(const std::string& line) {
    auto parsed = parse_command_line(words(line));
    if (Outcome* outcome = std::get_if<Outcome>(&parsed))
        return std::move(*outcome);
    ADD_FAILURE() << "accepted: " << line;
    return {};
}

template <class Options>
Options accepted(const std::string& line) {
    auto parsed = parse_command_line(words(line));
    if (Outcome* outcome = std::get_if<Outcome>(&parsed)) {
        ADD_FAILURE() << line << ": " << (outcome->complaints.empty() ? outcome->out : outcome->complaints[0]);
        return {};
    }
    const Invocation& invocation = std::get<Invocation>(parsed);
    if (const Options* options = std::get_if<Options>(&invocation))
        return *options;
    ADD_FAILURE() << "another verb: " << line;
    return {};
}

TEST(CommandLine, EachVerbReadsItsOptions) {
    EXPECT_EQ(accepted<AgentOptions>("agent").config, "/etc/tokenlet/agent.yaml");
    EXPECT_EQ(accepted<AgentOptions>("agent").mode, agent::Mode::Serve);
    EXPECT_EQ(accepted<AgentOptions>("once -c a.yaml").config, "a.yaml");
    EXPECT_EQ(accepted<AgentOptions>("once --config=a.yaml").mode, agent::Mode::Once);
    EXPECT_THAT(accepted<ValidateOptions>("validate a b -").paths, ElementsAre("a", "b", "-"));
    EXPECT_EQ(accepted<StatusOptions>("status").format, StatusFormat::Table);
    EXPECT_EQ(accepted<StatusOptions>("status -o json").format, StatusFormat::Json);
    EXPECT_EQ(accepted<StatusOptions>("status a/b --output wide").format, StatusFormat::Wide);
    EXPECT_EQ(accepted<StatusOptions>("status a/b").pod, "a/b");
    EXPECT_EQ(accepted<StatusOptions>("status --socket s").where.socket, "s");
    EXPECT_EQ(accepted<ExplainOptions>("explain a/b -c f").pod, "a/b");
    EXPECT_EQ(accepted<MountsOptions>("mounts a/b").style, std::nullopt);
    EXPECT_EQ(accepted<MountsOptions>("mounts a/b -o systemd -f m").style, MountStyle::Systemd);
    EXPECT_EQ(accepted<MountsOptions>("mounts a/b -f m").manifests, "m");
    EXPECT_EQ(accepted<WaitOptions>("wait p").timeout, std::chrono::seconds(60));
    EXPECT_EQ(accepted<WaitOptions>("wait p --timeout 2m").timeout, std::chrono::seconds(120));
    EXPECT_EQ(accepted<RotateOptions>("rotate a/b/c --socket s").pod, "a/b/c");
    EXPECT_EQ(accepted<PruneOptions>("prune -c f").where.config, "f");
    EXPECT_EQ(accepted<InspectOptions>("token inspect -").file, "-");
    EXPECT_EQ(accepted<InspectOptions>("token inspect f -o json").format, InspectFormat::Json);
}

TEST(CommandLine, AMistakeGetsOneLineThatNamesItAndTheWayOn) {
    struct Case {
        std::string line;
        std::string_view want;
    };
    const Case cases[] = {
        {"", "a verb is missing (see tokenlet --help)"},
        {"statsu", "unknown verb 'statsu', did you mean 'status'? (see tokenlet --help)"},
        {"quux", "unknown verb 'quux' (see tokenlet --help)"},
        {"--verison", "unknown option '--verison', did you mean '--version'? (see tokenlet --help)"},
        {"status --sokcet x", "unknown option '--sokcet', did you mean '--socket'? (see tokenlet status --help)"},
        {"status --sokcet=x", "unknown option '--sokcet=x', did you mean '--socket'? (see tokenlet status --help)"},
        {"status a b", "unexpected argument 'b' (see tokenlet status --help)"},
        {"mounts p -o dockr",
         "--output: 'dockr' is not one of podman, docker, compose, systemd, all, did you mean "
         "'docker'? (see tokenlet mounts --help)"},
        {"status -o xml", "--output: 'xml' is not one of table, wide, json (see tokenlet status --help)"},
        {"status -o", "--output needs a value (see tokenlet status --help)"},
        {"agent a.yaml", "unexpected argument 'a.yaml' (see tokenlet agent --help)"},
        {"agent -c", "--config needs a value (see tokenlet agent --help)"},
        {"agent -c a -c b", "--config is given twice (see tokenlet agent --help)"},
        {"status --config=a --config=b", "--config is given twice (see tokenlet status --help)"},
        {"validate", "PATH is required (see tokenlet validate --help)"},
        {"validate --strict", "unknown option '--strict' (see tokenlet validate --help)"},
        {"token", "a verb is missing (see tokenlet token --help)"},
        {"token inspct f", "unknown verb 'inspct', did you mean 'inspect'? (see tokenlet token --help)"},
        {"token inspect", "FILE is required (see tokenlet token inspect --help)"},
        {"token inspect f -o wide", "--output: 'wide' is not one of table, json (see tokenlet token inspect --help)"},
        {"wait", "POD is required (see tokenlet wait --help)"},
        {"rotate", "POD is required (see tokenlet rotate --help)"},
        {"rotate a b", "unexpected argument 'b' (see tokenlet rotate --help)"},
        {"prune web", "unexpected argument 'web' (see tokenlet prune --help)"},
        {"prun", "unknown verb 'prun', did you mean 'prune'? (see tokenlet --help)"},
        {"wait p --timeout soon", "--timeout: 'soon' is no duration such as 90s or 5m (see tokenlet wait --help)"},
        {"wait p --timeout -5s", "--timeout"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.line);
        const Outcome outcome = refusal(c.line);
        EXPECT_EQ(outcome.code, ExitCode::Usage);
        EXPECT_EQ(outcome.out, "");
        ASSERT_EQ(outcome.complaints.size(), 1U);
        EXPECT_THAT(outcome.complaints[0], HasSubstr(std::string(c.want)));
        EXPECT_EQ(outcome.complaints[0].find('\n'), std::string::npos);
    }
}

TEST(CommandLine, EveryExampleOfEveryHelpTextIsACommandThatParses) {
    int examples = 0;
    for (const std::string verb :
         {"", "agent ", "once ", "validate ", "status ", "wait ", "rotate ", "prune ", "token ", "token inspect "}) {
        SCOPED_TRACE(verb);
        const Outcome help = refusal(verb + "--help");
        EXPECT_EQ(help.code, ExitCode::Done);
        EXPECT_TRUE(help.complaints.empty());
        EXPECT_THAT(help.out, HasSubstr("Usage: tokenlet " + (verb.empty() ? "" : verb)));
        const std::size_t begin = help.out.find("\nExamples:\n");
        ASSERT_NE(begin, std::string::npos);
        std::istringstream lines(help.out.substr(begin));
        for (std::string line; std::getline(lines, line);) {
            const std::size_t at = line.rfind("tokenlet ");
            if (!line.starts_with("  ") || at == std::string::npos)
                continue;
            ++examples;
            const std::string command = line.substr(at + 9, line.find_first_of("|<", at) - at - 9);
            EXPECT_TRUE(std::holds_alternative<Invocation>(parse_command_line(words(command)))) << line;
        }
    }
    EXPECT_GE(examples, 18);
}

TEST(CommandLine, TheVersionGoesToStdout) {
    const Outcome outcome = refusal("--version");
    EXPECT_EQ(outcome.code, ExitCode::Done);
    EXPECT_THAT(outcome.out, testing::MatchesRegex("tokenlet [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

}  // namespace
}  // namespace tokenlet::cli
