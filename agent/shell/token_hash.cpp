// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/token_hash.h"

#include <openssl/evp.h>

#include <array>

namespace tokenlet::agent {

std::string sha256_hex(std::string_view bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::array<unsigned char, 32> digest{};
    if (::EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, ::EVP_sha256(), nullptr) != 1)
        return {};
    std::string hex;
    hex.reserve(2 * digest.size());
    for (const unsigned char byte : digest) {
        hex += kDigits[byte >> 4];
        hex += kDigits[byte & 15];
    }
    return hex;
}

}  // namespace tokenlet::agent
