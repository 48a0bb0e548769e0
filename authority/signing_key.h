// SPDX-License-Identifier: Apache-2.0
// One private key that signs tokens.
//
// Shapes   generate() or from_pem(); sign() gives the signature in JWS form: r and s side by side in fixed width for EC
//          keys, PKCS #1 v1.5 for RSA. kid() is base64url(SHA-256(SubjectPublicKeyInfo in DER)).
// Owns     the key, in OpenSSL, which wipes it.     Threads  one at a time.
// Errors   Invalid where a PEM is no PKCS#8 key of a kind tokenlet signs with; Internal where OpenSSL refuses work.
// Source   RFC 7515, 7517, 7518; kubernetes pkg/serviceaccount/jwt.go, keyIDFromPublicKey.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "authority/algorithm.h"
#include "base/result.h"
#include "base/secret.h"

struct evp_pkey_st;
struct evp_pkey_ctx_st;

namespace tokenlet::authority {

class SigningKey {
public:
    [[nodiscard]] static Result<SigningKey> generate(Algorithm algorithm);
    [[nodiscard]] static Result<SigningKey> from_pem(const Secret& pem);

    [[nodiscard]] Result<Secret> to_pem() const;  // PKCS#8

    [[nodiscard]] Algorithm algorithm() const { return algorithm_; }
    [[nodiscard]] const std::string& kid() const { return kid_; }
    // The public half as a member of a JWKS: {"use","kty","kid","alg", then "crv","x","y" or "n","e"}.
    [[nodiscard]] const std::string& jwk() const { return jwk_; }

    [[nodiscard]] Result<Secret> sign(std::string_view input) const;

private:
    struct Free {
        void operator()(evp_pkey_st* key) const noexcept;
        void operator()(evp_pkey_ctx_st* context) const noexcept;
    };
    using Key = std::unique_ptr<evp_pkey_st, Free>;
    using Context = std::unique_ptr<evp_pkey_ctx_st, Free>;

    SigningKey(Algorithm algorithm, Key key, Context signer, std::string kid, std::string jwk);
    [[nodiscard]] static Result<SigningKey> from_key(Algorithm algorithm, Key key);

    Algorithm algorithm_;
    Key key_;
    Context signer_;  // prepared once: setting it up costs as much as a tenth of a signature
    std::string kid_;
    std::string jwk_;
};

}  // namespace tokenlet::authority
