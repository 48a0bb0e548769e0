// SPDX-License-Identifier: Apache-2.0
// The binary as a process: what only main() and the kernel decide.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "base/unique_fd.h"
#include "cli/status_answer.h"
#include "http/unix_client.h"
#include "tests/http/running_listener.h"
#include "tests/http/scratch_directory.h"

namespace tokenlet::cli {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

struct Ended {
    int code = -1;  // minus the signal's number when one ended it
    std::string out;
    std::string err;
};

std::string read_file(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

class ProgramTest : public testing::Test {
protected:
    // Starts the binary with stdout and stderr in files; `out` replaces the one for stdout.
    pid_t start(std::vector<std::string> arguments, const std::string& out = {}) {
        arguments.insert(arguments.begin(), TOKENLET_BINARY);
        std::vector<char*> argv;
        for (std::string& argument : arguments)
            argv.push_back(argument.data());
        argv.push_back(nullptr);
        posix_spawn_file_actions_t files;
        ::posix_spawn_file_actions_init(&files);
        const std::string out_path = out.empty() ? directory_.file("out") : out;
        ::posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
        ::posix_spawn_file_actions_addopen(&files, 1, out_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        ::posix_spawn_file_actions_addopen(&files, 2, directory_.file("err").c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                           0600);
        pid_t pid = -1;
        EXPECT_EQ(::posix_spawn(&pid, TOKENLET_BINARY, &files, nullptr, argv.data(), environ), 0);
        ::posix_spawn_file_actions_destroy(&files);
        return pid;
    }
    Ended wait(pid_t pid) {
        int status = 0;
        ::waitpid(pid, &status, 0);
        return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), read_file(directory_.file("out")),
                read_file(directory_.file("err"))};
    }
    Ended run(std::vector<std::string> arguments) { return wait(start(std::move(arguments))); }

    std::string write_configuration(const std::string& more = {}) {
        for (const char* name : {"manifests", "state"})
            std::filesystem::create_directory(directory_.file(name));
        const std::string file = directory_.file("agent.yaml");
        std::ofstream(file) << "apiVersion: tokenlet.dev/v1alpha1\nkind: AgentConfiguration\nnodeName: edge-7\n"
                            << "issuer: {embedded: {}}\nstateDir: " << directory_.file("state")
                            << "\nmanifests: {path: " << directory_.file("manifests")
                            << "}\nvolumes: {root: " << directory_.file("pods")
                            << ", byName: " << directory_.file("by-name")
                            << "}\nstatus: {socket: " << directory_.file("sock") << "}\n"
                            << more;
        return file;
    }
    void write_pod() {
        std::ofstream(directory_.file("manifests/web.yaml"))
            << "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: default}\n"
               "spec: {containers: [{name: app, image: x}]}\n";
    }

    http::ScratchDirectory directory_;
};

TEST_F(ProgramTest, TheExitCodeSaysHowItEnded) {
    const std::string good = write_configuration();
    std::ofstream(directory_.file("bad.yaml")) << "apiVersion: tokenlet.dev/v1alpha1\nkind: AgentConfiguration\nx: 1\n";
    struct Case {
        std::vector<std::string> arguments;
        int code;
    };
    const Case cases[] = {
        {{"--version"}, 0},
        {{"--help"}, 0},
        {{"validate", good}, 0},
        {{"status", "--socket", directory_.file("nobody")}, 1},
        {{"token", "inspect", directory_.file("absent")}, 1},
        {{}, 2},
        {{"agnet"}, 2},
        {{"agent", "--cofnig", good}, 2},
        {{"validate", directory_.file("bad.yaml")}, 3},
        {{"agent", "--config", directory_.file("bad.yaml")}, 3},
        {{"once", "--config", directory_.file("absent")}, 3},
    };
    for (const Case& c : cases) {
        const Ended ended = run(c.arguments);
        SCOPED_TRACE(c.arguments.empty() ? "" : c.arguments[0]);
        EXPECT_EQ(ended.code, c.code) << ended.err;
        EXPECT_EQ(ended.err.empty(), c.code == 0) << ended.err;
        std::istringstream lines(ended.err);
        for (std::string line; std::getline(lines, line);)
            EXPECT_THAT(line, StartsWith("tokenlet: "));
        if (c.code == 2) {
            EXPECT_EQ(std::ranges::count(ended.err, '\n'), 1) << ended.err;
        }
        if (c.code != 0) {
            EXPECT_EQ(ended.out, "") << "stdout holds only what was asked for";
        }
    }
}

TEST_F(ProgramTest, OnceProjectsEveryVolumeAndEnds) {
    const std::string config = write_configuration();
    write_pod();
    const Ended ended = run({"once", "--config", config});
    EXPECT_EQ(ended.code, 0) << ended.err;
    const std::string token = directory_.file("by-name/default/web/kube-api-access/token");
    const Ended inspected = run({"token", "inspect", token});
    EXPECT_EQ(inspected.code, 0) << inspected.err;
    EXPECT_THAT(inspected.out, HasSubstr("system:serviceaccount:default:default"));
}

TEST_F(ProgramTest, TheAgentDumpsNoCoreAndEndsOnSigterm) {
    const std::string config = write_configuration();
    write_pod();
    const pid_t pid = start({"agent", "--config", config});
    // Bounded by the time that one request may take, times the attempts.
    const Ended waited = [&] {
        const std::string out = directory_.file("out-wait");
        const pid_t waiter = start({"wait", "web", "--timeout", "60s", "--config", config}, out);
        return wait(waiter);
    }();
    EXPECT_EQ(waited.code, 0) << waited.err;
    const std::string proc = "/proc/" + std::to_string(pid);
#ifndef TOKENLET_SANITIZED
    const std::string limits = read_file(proc + "/limits");
    const std::size_t core = limits.find("Max core file size");
    ASSERT_NE(core, std::string::npos);
    EXPECT_THAT(limits.substr(core, 60), testing::ContainsRegex("size +0 +0"));
#endif
    EXPECT_THAT(read_file(proc + "/status"), HasSubstr("Umask:\t0077"));
    ::kill(pid, SIGTERM);
    const Ended ended = wait(pid);
    EXPECT_EQ(ended.code, 0) << ended.err;
    EXPECT_FALSE(std::filesystem::exists(directory_.file("sock")));
    EXPECT_TRUE(std::filesystem::exists(directory_.file("by-name/default/web/kube-api-access/token")))
        << "readers go on while the agent is down";
}

TEST_F(ProgramTest, AReaderThatLeavesIsNoFailure) {
    const std::string fifo = directory_.file("fifo");
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    UniqueFd reader(::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    const std::string pad(1'000'000, 'x');  // more than a pipe holds
    const http::RunningListener agent(directory_.file("s"), {}, [&](http::Listener& listener, http::Batch batch) {
        for (const http::Request& request : batch.requests)
            listener.respond(request.id, http::json_response(200, "{\"pods\":[],\"pad\":\"" + pad + "\"}"));
    });
    const pid_t pid = start({"status", "-o", "json", "--socket", directory_.file("s")}, fifo);
    pollfd poll{.fd = reader.get(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&poll, 1, 30'000), 1);
    reader.reset();
    const Ended ended = wait(pid);
    EXPECT_EQ(ended.code, 0);
    EXPECT_EQ(ended.err, "");
}

TEST_F(ProgramTest, AFullDiskUnderStdoutIsAFailure) {
    const Ended ended = wait(start({"--help"}, "/dev/full"));
    EXPECT_EQ(ended.code, 1);
    EXPECT_EQ(ended.err, "tokenlet: stdout: No space left on device\n");
}

}  // namespace
}  // namespace tokenlet::cli
