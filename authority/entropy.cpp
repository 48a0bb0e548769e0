// SPDX-License-Identifier: Apache-2.0
#include "authority/entropy.h"

#include <openssl/rand.h>

#include <array>

namespace tokenlet::authority {

Entropy system_entropy() {
    return [](std::span<unsigned char> bytes) -> Result<> {
        if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1)
            return fail(Errc::Unavailable, "the system gives no randomness (RAND_bytes)");
        return {};
    };
}

Result<std::string> random_uuid(Entropy& entropy) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::array<unsigned char, 16> bytes{};
    TRY(entropy(bytes));
    // RFC 9562 section 5.4: version 4, variant 10.
    bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);
    bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
    std::string uuid;
    uuid.reserve(36);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            uuid += '-';
        uuid += kDigits[bytes[i] >> 4];
        uuid += kDigits[bytes[i] & 15];
    }
    return uuid;
}

}  // namespace tokenlet::authority
