// SPDX-License-Identifier: Apache-2.0
// What all fuzz targets share.
//
// Shapes   a target defines run_input(): it reads the bytes as their reader would, and says with must() what has to be
//          true of the outcome. entry.cpp makes a libFuzzer of it, replay.cpp a test that reads the seeds.
//          Lines cuts an input for targets that take several values, so that seeds stay text files.
// Owns     nothing: views into the input.     Threads  any, one at a time.
// Errors   a property that does not hold ends the process with its sentence, as fuzzers expect it.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace tokenlet::fuzz {

void run_input(std::string_view input);

inline void must(bool holds, const char* sentence) {
    if (holds)
        return;
    std::fprintf(stderr, "does not hold: %s\n", sentence);
    std::abort();
}

class Lines {
public:
    explicit Lines(std::string_view input) : rest_(input) {}

    // The next line without its end; empty when there is none.
    std::string_view next() {
        const std::size_t end = rest_.find('\n');
        const std::string_view line = rest_.substr(0, end);
        rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
        return line;
    }
    [[nodiscard]] bool empty() const { return rest_.empty(); }
    [[nodiscard]] std::string_view rest() const { return rest_; }

private:
    std::string_view rest_;
};

// Control characters of ASCII, and those that UTF-8 spells with two bytes: what a terminal would obey.
inline bool has_control(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0u;
        if (byte < 0x20 || byte == 0x7f || (byte == 0xc2 && next >= 0x80 && next < 0xa0))
            return true;
    }
    return false;
}

}  // namespace tokenlet::fuzz
