// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/raw_signer.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <array>
#include <string>

#include "tests/bench/figures.h"

namespace tokenlet::bench {

void RawSigner::Free::operator()(evp_pkey_st* key) const noexcept {
    ::EVP_PKEY_free(key);
}

void RawSigner::Free::operator()(evp_pkey_ctx_st* context) const noexcept {
    ::EVP_PKEY_CTX_free(context);
}

RawSigner::RawSigner() : key_(::EVP_EC_gen("P-256")), context_(::EVP_PKEY_CTX_new(key_.get(), nullptr)) {
    if (!context_ || ::EVP_PKEY_sign_init(context_.get()) != 1)
        stop("OpenSSL refuses to prepare a signature");
}

void RawSigner::sign() {
    static const std::string kInput(800, 'j');  // header and claims of a Pod's token, in base64
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
    std::array<unsigned char, 80> signature;
    std::size_t size = signature.size();
    if (::EVP_Digest(kInput.data(), kInput.size(), digest.data(), nullptr, ::EVP_sha256(), nullptr) != 1 ||
        ::EVP_PKEY_sign(context_.get(), signature.data(), &size, digest.data(), digest.size()) != 1)
        stop("OpenSSL refuses to sign");
}

}  // namespace tokenlet::bench
