// SPDX-License-Identifier: Apache-2.0
#include "base/base64.h"

#include <array>
#include <cstdint>

namespace tokenlet {
namespace {

constexpr std::string_view kStandard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrl = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string encode(std::string_view bytes, std::string_view alphabet) {
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const char byte : bytes) {
        bits = bits << 8 | static_cast<unsigned char>(byte);
        for (count += 8; count >= 6; count -= 6)
            text += alphabet[bits >> (count - 6) & 63];
    }
    if (count > 0)
        text += alphabet[bits << (6 - count) & 63];
    return text;
}

constexpr std::array<signed char, 256> values_of(std::string_view alphabet) {
    std::array<signed char, 256> values{};
    values.fill(-1);
    for (std::size_t i = 0; i < alphabet.size(); ++i)
        values[static_cast<unsigned char>(alphabet[i])] = static_cast<signed char>(i);
    return values;
}

std::unexpected<Error> bad_byte(std::size_t offset) {
    return fail(Errc::Invalid, "illegal base64 data at input byte " + std::to_string(offset));
}

enum class Form {
    Jws,  // bits that do not fill a byte must be zero: two spellings of one value would let a token be changed unnoticed
    Mime,  // as Go's encoding/base64 reads it: line breaks skipped, left-over bits not looked at
};

// Decodes letters up to the end or the first '='; offset is left at what was not taken.
Result<std::string> decode_letters(std::string_view text, const std::array<signed char, 256>& values, Form form,
                                   std::size_t& offset) {
    std::string bytes;
    bytes.reserve(text.size() / 4 * 3 + 2);
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (; offset < text.size() && text[offset] != '='; ++offset) {
        if (form == Form::Mime && (text[offset] == '\n' || text[offset] == '\r'))
            continue;
        const signed char value = values[static_cast<unsigned char>(text[offset])];
        if (value < 0)
            return bad_byte(offset);
        bits = bits << 6 | static_cast<unsigned char>(value);
        count += 6;
        if (count >= 8) {
            count -= 8;
            bytes += static_cast<char>(bits >> count & 255);
        }
    }
    if (count == 6 || (form == Form::Jws && (bits & ((1u << count) - 1)) != 0))
        return bad_byte(offset);
    return bytes;
}

}  // namespace

std::string encode_base64url(std::string_view bytes) {
    return encode(bytes, kUrl);
}

std::string encode_base64(std::string_view bytes) {
    std::string text = encode(bytes, kStandard);
    text.append((4 - text.size() % 4) % 4, '=');
    return text;
}

Result<std::string> decode_base64url(std::string_view text) {
    static constexpr auto kValues = values_of(kUrl);
    std::size_t offset = 0;
    Result<std::string> bytes = decode_letters(text, kValues, Form::Jws, offset);
    if (bytes && offset < text.size())
        return bad_byte(offset);
    return bytes;
}

Result<std::string> decode_base64(std::string_view text) {
    static constexpr auto kValues = values_of(kStandard);
    std::size_t offset = 0;
    std::string bytes = TRY(decode_letters(text, kValues, Form::Mime, offset));
    std::size_t padding = 0;
    for (; offset < text.size(); ++offset) {
        if (text[offset] == '\n' || text[offset] == '\r')
            continue;
        if (text[offset] != '=')
            return bad_byte(offset);
        ++padding;
    }
    if (padding != (3 - bytes.size() % 3) % 3)
        return bad_byte(offset);
    return bytes;
}

}  // namespace tokenlet
