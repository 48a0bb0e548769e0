// SPDX-License-Identifier: Apache-2.0
#include "projector/go_quote.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>

#include "base/utf8.h"
#include "projector/printable_runs.h"

namespace tokenlet::projector {
namespace {

// Where printable and unprintable change places. An even number of changes at or below a code point: not printable.
constexpr auto kChanges = [] {
    std::array<std::uint32_t, std::size(kPrintableRuns)> changes{};
    std::uint32_t at = 0;
    for (std::size_t i = 0; i < changes.size(); ++i)
        changes[i] = at += kPrintableRuns[i];
    return changes;
}();

void append_hex(std::string& out, std::string_view prefix, char32_t value, int digits) {
    out += prefix;
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4)
        out += "0123456789abcdef"[value >> shift & 15];
}

void append_escaped(std::string& out, char32_t code_point) {
    constexpr std::string_view kControls = "\a\b\f\n\r\t\v";
    constexpr std::string_view kLetters = "abfnrtv";
    const std::size_t at = code_point < 0x80 ? kControls.find(static_cast<char>(code_point)) : kControls.npos;
    if (at != kControls.npos)
        (out += '\\') += kLetters[at];
    else if (code_point < 0x80)
        append_hex(out, "\\x", code_point, 2);
    else if (code_point < 0x10000)
        append_hex(out, "\\u", code_point, 4);
    else
        append_hex(out, "\\U", code_point, 8);
}

}  // namespace

std::string go_quote(std::string_view text) {
    std::string out = "\"";
    while (!text.empty()) {
        const CodePoint next = decode_utf8(text);
        const std::size_t size = std::max<std::size_t>(next.size, 1);
        if (next.size == 0)
            append_hex(out, "\\x", static_cast<unsigned char>(text.front()), 2);
        else if (next.value == '"' || next.value == '\\')
            (out += '\\') += text.front();
        else if (is_printable(next.value))
            out += text.substr(0, size);
        else
            append_escaped(out, next.value);
        text.remove_prefix(size);
    }
    return out += '"';
}

bool is_printable(char32_t code_point) {
    const auto* const after = std::ranges::upper_bound(kChanges, static_cast<std::uint32_t>(code_point));
    return (after - kChanges.begin()) % 2 == 1;
}

}  // namespace tokenlet::projector
