// SPDX-License-Identifier: Apache-2.0
// A target without a fuzzer: reads every seed of a directory, and each seed cut off at each place. Any compiler will do,
// so the suite runs it plain and with sanitizers.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/fuzz/fuzz_target.h"

int main(int argc, char** argv) {
    int seeds = 0;
    for (int i = 1; i < argc; ++i) {
        for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
            std::ifstream file(entry.path(), std::ios::binary);
            const std::string seed((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
            std::printf("%s\n", entry.path().c_str());
            std::fflush(stdout);  // a finding ends the process: the last name is its seed
            for (std::size_t size = 0; size <= seed.size(); ++size)
                tokenlet::fuzz::run_input(std::string_view(seed).substr(0, size));
            ++seeds;
        }
    }
    std::printf("%d seeds\n", seeds);
    return seeds > 0 ? 0 : 1;
}
