// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include <cassert>

namespace tokenlet {

CodePoint decode_utf8(std::string_view text) {
    assert(!text.empty());
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    if (byte(0) < 0x80)
        return {byte(0), 1};
    const std::size_t size = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
    if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < size)
        return {};
    char32_t value = byte(0) & (0xffu >> (size + 1));
    for (std::size_t i = 1; i < size; ++i) {
        if ((byte(i) & 0xc0) != 0x80)
            return {};
        value = value << 6 | (byte(i) & 0x3fu);
    }
    constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (value < kSmallest[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return {};
    return {value, size};
}

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const std::size_t size = decode_utf8(text).size;
        if (size == 0)
            return false;
        text.remove_prefix(size);
    }
    return true;
}

}  // namespace tokenlet
