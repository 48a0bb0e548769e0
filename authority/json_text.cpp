// SPDX-License-Identifier: Apache-2.0
#include "authority/json_text.h"

#include <cstddef>

#include "base/utf8.h"

namespace tokenlet::authority {
namespace {

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
        std::size_t length = decode_utf8(value).size;
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
