// SPDX-License-Identifier: Apache-2.0
// libFuzzer's way in.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    tokenlet::fuzz::run_input({reinterpret_cast<const char*>(data), size});
    return 0;
}
