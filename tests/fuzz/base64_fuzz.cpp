// SPDX-License-Identifier: Apache-2.0
// base/base64.h against a plain model of RFC 4648, and both ways round.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "base/base64.h"
#include "tests/fuzz/fuzz_target.h"

namespace tokenlet::fuzz {
namespace {

constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

// Six bits a letter, written out as text; whole bytes read back. Unset when a byte is no letter.
struct Bits {
    std::string bytes;
    std::string left;  // "0010": what fills no byte
};
std::optional<Bits> bits_of(std::string_view text, std::string_view last_two) {
    std::string bits;
    for (const char c : text) {
        std::size_t value = kLetters.find(c);
        if (value == std::string_view::npos)
            value = last_two.find(c) == std::string_view::npos ? 64 : 62 + last_two.find(c);
        if (value == 64)
            return std::nullopt;
        for (int bit = 5; bit >= 0; --bit)
            bits += (value >> bit & 1) != 0 ? '1' : '0';
    }
    Bits found;
    for (; bits.size() >= 8; bits.erase(0, 8))
        found.bytes += static_cast<char>(std::stoi(bits.substr(0, 8), nullptr, 2));
    found.left = bits;
    return found;
}

// Without padding; no letter may stand alone, and left-over bits are zero.
std::optional<std::string> model_url(std::string_view text) {
    const auto bits = bits_of(text, "-_");
    if (!bits || text.size() % 4 == 1 || bits->left.contains('1'))
        return std::nullopt;
    return bits->bytes;
}

// As Go's StdEncoding: line breaks count for nothing, groups of four, one or two '=' at the end.
std::optional<std::string> model_padded(std::string_view text) {
    std::string letters(text);
    std::erase_if(letters, [](char c) { return c == '\n' || c == '\r'; });
    if (letters.size() % 4 != 0)
        return std::nullopt;
    for (int i = 0; i < 2 && letters.ends_with('='); ++i)
        letters.pop_back();
    const auto bits = bits_of(letters, "+/");
    return bits ? std::optional(bits->bytes) : std::nullopt;
}

}  // namespace

void run_input(std::string_view input) {
    if (input.size() > 4096)
        return;  // the model is slow
    const auto same = [](const Result<std::string>& ours, const std::optional<std::string>& model) {
        return ours.has_value() == model.has_value() && (!model || *ours == *model);
    };
    must(same(decode_base64url(input), model_url(input)), "base64url decodes as the model does");
    must(same(decode_base64(input), model_padded(input)), "base64 decodes as the model does");

    must(decode_base64url(encode_base64url(input)) == std::string(input), "base64url comes back as it went");
    must(decode_base64(encode_base64(input)) == std::string(input), "base64 comes back as it went");
    if (const auto bytes = decode_base64url(input))
        must(encode_base64url(*bytes) == input, "no two spellings of base64url are the same bytes");
}

}  // namespace tokenlet::fuzz
