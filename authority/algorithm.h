// SPDX-License-Identifier: Apache-2.0
// The signature algorithms an issuer of service account tokens may use, by their JWS names.
//
// Shapes   RS256 for RSA keys, ES256/ES384/ES512 for the curves P-256, P-384, P-521.
// Owns     nothing.     Threads  any.     Errors  an unknown name is an empty optional.
// Source   RFC 7518 section 3; kubernetes pkg/serviceaccount/jwt.go, signerFromECDSAPrivateKey.
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace tokenlet::authority {

enum class Algorithm { Es256, Es384, Es512, Rs256 };

inline constexpr std::array kAlgorithms{Algorithm::Es256, Algorithm::Es384, Algorithm::Es512, Algorithm::Rs256};

[[nodiscard]] constexpr std::string_view to_string(Algorithm algorithm) {
    constexpr std::array<std::string_view, 4> kNames{"ES256", "ES384", "ES512", "RS256"};
    return kNames[static_cast<unsigned>(algorithm)];
}

[[nodiscard]] constexpr std::optional<Algorithm> algorithm_named(std::string_view name) {
    for (const Algorithm algorithm : kAlgorithms) {
        if (to_string(algorithm) == name)
            return algorithm;
    }
    return {};
}

}  // namespace tokenlet::authority
