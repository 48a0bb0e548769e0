// SPDX-License-Identifier: Apache-2.0
// A program that is run for what it prints.
//
// Shapes   start() -> done once, never before start() has returned, when the program has ended and its output is read; going
//          away kills it, and all that it started, and done is not called. done may destroy the PluginProcess.
// Units    std::chrono, bytes.
// Owns     the process (and its session), its pipes. stdin is /dev/null.     Threads  the loop's.
// Errors   Unavailable: it cannot be run, is not done in time, prints too much, ends with another status than 0; the text
//          says which, and what it said last on stderr (last_words). No argument and no variable is named.
// Source   libuv uv_spawn.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

struct uv_loop_s;

namespace tokenlet::kube {

struct PluginCommand {
    std::string program;  // a path, or a name that is looked up in PATH
    std::vector<std::string> args{};
    std::vector<std::pair<std::string, std::string>> env{};  // on top of our own
    std::chrono::milliseconds time{60'000};
    std::size_t output_bytes = 1024 * 1024;
    std::size_t words_bytes = 512;  // of stderr, in an error
};

class PluginProcess {
public:
    [[nodiscard]] static std::unique_ptr<PluginProcess> start(
        uv_loop_s& loop, PluginCommand command, std::move_only_function<void(Result<tokenlet::Secret>)> done);
    PluginProcess(const PluginProcess&) = delete;
    PluginProcess& operator=(const PluginProcess&) = delete;
    ~PluginProcess();

private:
    class Child;
    explicit PluginProcess(Child* child) : child_(child) {}
    Child* child_;  // ends itself when the process is gone and libuv has let go of everything
};

}  // namespace tokenlet::kube
