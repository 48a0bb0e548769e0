// SPDX-License-Identifier: Apache-2.0
#include "http/head_check.h"

#include <algorithm>

namespace tokenlet::http {

namespace {

// RFC 9110 section 5.6.2.
bool is_token_character(char c) {
    const bool letter_or_digit = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return letter_or_digit || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_control(char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
}

}  // namespace

void LineEndings::feed(std::string_view bytes) {
    for (const char c : bytes) {
        if (head_is_over_)
            return;
        has_nul_ = has_nul_ || c == '\0';
        if (c == '\n') {
            if (previous_ != '\r')
                bare_line_feed_ = true;
            if (line_is_empty_ && started_)
                head_is_over_ = true;
            line_is_empty_ = true;
        } else if (c != '\r') {
            line_is_empty_ = false;
            started_ = true;
        }
        previous_ = c;
    }
}

std::optional<std::string_view> refuse_head(Version version, std::string_view target,
                                            const std::vector<Header>& headers) {
    if (!target.starts_with('/'))
        return "the target must start with a slash";
    if (!std::ranges::all_of(target, [](char c) { return c > ' ' && c < 0x7f && c != '#'; }))
        return "the target holds a character that must be percent-encoded";

    int hosts = 0;
    int lengths = 0;
    int encodings = 0;
    for (const Header& header : headers) {
        if (header.name.empty() || !std::ranges::all_of(header.name, is_token_character))
            return "a field name holds a character that it may not";
        if (std::ranges::any_of(header.value, is_control))
            return "a field value holds a control character";
        if (same_name(header.name, "Host")) {
            ++hosts;
        } else if (same_name(header.name, "Content-Length")) {
            ++lengths;
            if (header.value.empty() || !std::ranges::all_of(header.value, is_digit))
                return "Content-Length is not a number";
        } else if (same_name(header.name, "Transfer-Encoding")) {
            ++encodings;
            if (!same_name(header.value, "chunked"))
                return "no Transfer-Encoding but chunked is understood";
        }
    }
    if (hosts > 1 || (hosts == 0 && version == Version::Http11))
        return "there must be one Host field";
    if (lengths > 1)
        return "there must not be more than one Content-Length field";
    if (encodings > 1 || (encodings == 1 && lengths == 1))
        return "there must be one of Content-Length and Transfer-Encoding, once";
    return std::nullopt;
}

}  // namespace tokenlet::http
