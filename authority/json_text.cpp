// SPDX-License-Identifier: Apache-2.0
#include "authority/json_text.h"

#include <cstddef>

namespace tokenlet::authority {
namespace {

unsigned byte_at(std::string_view text, std::size_t index) {
    return static_cast<unsigned char>(text[index]);
}

// The length of the well-formed UTF-8 sequence at the front, or 0. Source: RFC 3629 section 4.
std::size_t sequence_length(std::string_view text) {
    const unsigned first = byte_at(text, 0);
    if (first < 0x80)
        return 1;
    const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < length)
        return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte_at(text, i) & 0xc0) != 0x80)
            return 0;
    }
    const unsigned second = byte_at(text, 1);
    const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
    const bool surrogate = first == 0xed && second >= 0xa0;
    const bool too_large = first == 0xf4 && second >= 0x90;
    return overlong || surrogate || too_large ? 0 : length;
}

void append_control(std::string& text, unsigned char c) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    switch (c) {
        case '\n':
            text += "\\n";
            return;
        case '\r':
            text += "\\r";
            return;
        case '\t':
            text += "\\t";
            return;
        default:
            text += "\\u00";
            text += kDigits[c >> 4];
            text += kDigits[c & 15];
    }
}

}  // namespace

void append_json_string(std::string& text, std::string_view value) {
    text += '"';
    while (!value.empty()) {
        const char c = value.front();
        std::size_t length = sequence_length(value);
        if (length == 0) {
            text += "\\ufffd";
            length = 1;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            append_control(text, static_cast<unsigned char>(c));
        } else {
            if (c == '"' || c == '\\')
                text += '\\';
            text += value.substr(0, length);
        }
        value.remove_prefix(length);
    }
    text += '"';
}

void append_json_strings(std::string& text, std::span<const std::string> values) {
    text += '[';
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (i > 0)
            text += ',';
        append_json_string(text, values[i]);
    }
    text += ']';
}

}  // namespace tokenlet::authority
