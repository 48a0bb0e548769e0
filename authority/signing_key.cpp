// SPDX-License-Identifier: Apache-2.0
#include "authority/signing_key.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <array>
#include <span>
#include <utility>
#include <vector>

#include "authority/json_text.h"
#include "base/base64.h"

namespace tokenlet::authority {
namespace {

constexpr unsigned kRsaBits = 2048;  // what kubeadm makes; NIST SP 800-57: good until 2030
constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 8192;  // a signature of more takes longer than the loop should stand still

struct Free {
    void operator()(BIO* bio) const noexcept { BIO_free(bio); }
    void operator()(BIGNUM* number) const noexcept { BN_free(number); }
    void operator()(ECDSA_SIG* signature) const noexcept { ECDSA_SIG_free(signature); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

// The width of one coordinate, and of r and s: fixed, whatever zeros the number begins with (RFC 7518, 3.4 and 6.2.1).
struct Curve {
    Algorithm algorithm;
    const char* openssl_name;
    std::string_view jwk_name;
    std::size_t width_bytes;
};
constexpr std::array kCurves{Curve{Algorithm::Es256, "prime256v1", "P-256", 32},
                             Curve{Algorithm::Es384, "secp384r1", "P-384", 48},
                             Curve{Algorithm::Es512, "secp521r1", "P-521", 66}};

const Curve* curve_of(Algorithm algorithm) {
    for (const Curve& curve : kCurves) {
        if (curve.algorithm == algorithm)
            return &curve;
    }
    return nullptr;
}

const EVP_MD* digest_of(Algorithm algorithm) {
    switch (algorithm) {
        case Algorithm::Es384:
            return EVP_sha384();
        case Algorithm::Es512:
            return EVP_sha512();
        case Algorithm::Es256:
        case Algorithm::Rs256:
            break;
    }
    return EVP_sha256();
}

std::unexpected<Error> fail_openssl(std::string_view call) {
    std::string what(call);
    if (const unsigned long code = ERR_peek_last_error(); code != 0) {
        const char* reason = ERR_reason_error_string(code);
        what.append(": ").append(reason != nullptr ? reason : "unknown reason");
    }
    ERR_clear_error();
    return fail(Errc::Internal, std::move(what));
}

std::string_view as_text(std::span<const unsigned char> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Result<Owned<BIGNUM>> public_number(EVP_PKEY* key, const char* parameter) {
    BIGNUM* number = nullptr;
    if (EVP_PKEY_get_bn_param(key, parameter, &number) != 1)
        return fail_openssl(parameter);
    return Owned<BIGNUM>(number);
}

// Base64url of a number, in a fixed width or, for width 0, in as many bytes as it has.
Result<std::string> encode_number(EVP_PKEY* key, const char* parameter, std::size_t width) {
    const Owned<BIGNUM> number = TRY(public_number(key, parameter));
    std::vector<unsigned char> bytes(width > 0 ? width : static_cast<std::size_t>(BN_num_bytes(number.get())));
    if (BN_bn2binpad(number.get(), bytes.data(), static_cast<int>(bytes.size())) < 0)
        return fail_openssl("BN_bn2binpad");
    return encode_base64url(as_text(bytes));
}

Result<std::string> make_jwk(EVP_PKEY* key, Algorithm algorithm, std::string_view kid) {
    const Curve* curve = curve_of(algorithm);
    std::string jwk = R"({"use":"sig","kty":)";
    jwk += curve != nullptr ? R"("EC","kid":)" : R"("RSA","kid":)";
    append_json_string(jwk, kid);
    jwk.append(R"(,"alg":")").append(to_string(algorithm));
    if (curve != nullptr) {
        jwk.append(R"(","crv":")").append(curve->jwk_name);
        jwk.append(R"(","x":")").append(TRY(encode_number(key, OSSL_PKEY_PARAM_EC_PUB_X, curve->width_bytes)));
        jwk.append(R"(","y":")").append(TRY(encode_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, curve->width_bytes)));
    } else {
        jwk.append(R"(","n":")").append(TRY(encode_number(key, OSSL_PKEY_PARAM_RSA_N, 0)));
        jwk.append(R"(","e":")").append(TRY(encode_number(key, OSSL_PKEY_PARAM_RSA_E, 0)));
    }
    jwk += "\"}";
    return jwk;
}

Result<std::string> make_kid(EVP_PKEY* key) {
    unsigned char* der = nullptr;
    const int length = i2d_PUBKEY(key, &der);
    if (length <= 0)
        return fail_openssl("i2d_PUBKEY");
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    const int done = EVP_Digest(der, static_cast<std::size_t>(length), digest.data(), &size, EVP_sha256(), nullptr);
    OPENSSL_free(der);
    if (done != 1)
        return fail_openssl("EVP_Digest");
    return encode_base64url(as_text(std::span(digest).first(size)));
}

Result<Algorithm> algorithm_of(EVP_PKEY* key) {
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) {
        const int bits = EVP_PKEY_get_bits(key);
        if (bits < kMinRsaBits || bits > kMaxRsaBits)
            return fail(Errc::Invalid, "an RSA key of " + std::to_string(bits) + " bits; 2048 to 8192 are accepted");
        return Algorithm::Rs256;
    }
    std::array<char, 64> group{};
    if (EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) == 1) {
        for (const Curve& curve : kCurves) {
            if (std::string_view(group.data()) == curve.openssl_name)
                return curve.algorithm;
        }
    }
    ERR_clear_error();
    return fail(Errc::Invalid, "a key that tokenlet does not sign with; RSA and the curves P-256, P-384, P-521 are");
}

// OpenSSL gives SEQUENCE { r, s } in DER; JWS wants the two numbers side by side.
Result<Secret> to_jws_form(std::span<const unsigned char> der, std::size_t width) {
    const unsigned char* at = der.data();
    const Owned<ECDSA_SIG> signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
    std::array<unsigned char, 2 * 66> raw{};
    const int part = static_cast<int>(width);
    if (!signature || BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), raw.data(), part) < 0 ||
        BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), raw.data() + width, part) < 0)
        return fail_openssl("d2i_ECDSA_SIG");
    Secret bytes(as_text(std::span(raw).first(2 * width)));
    wipe_memory(raw.data(), raw.size());
    return bytes;
}

}  // namespace

void SigningKey::Free::operator()(evp_pkey_st* key) const noexcept {
    EVP_PKEY_free(key);
}

void SigningKey::Free::operator()(evp_pkey_ctx_st* context) const noexcept {
    EVP_PKEY_CTX_free(context);
}

SigningKey::SigningKey(Algorithm algorithm, Key key, Context signer, std::string kid, std::string jwk)
    : algorithm_(algorithm),
      key_(std::move(key)),
      signer_(std::move(signer)),
      kid_(std::move(kid)),
      jwk_(std::move(jwk)) {}

Result<SigningKey> SigningKey::generate(Algorithm algorithm) {
    const Curve* curve = curve_of(algorithm);
    Key key(curve != nullptr ? EVP_EC_gen(curve->openssl_name) : EVP_RSA_gen(kRsaBits));
    if (!key)
        return fail_openssl("EVP_PKEY_Q_keygen");
    return from_key(algorithm, std::move(key));
}

Result<SigningKey> SigningKey::from_pem(const Secret& pem) {
    const Owned<BIO> bio(BIO_new_mem_buf(pem.view().data(), static_cast<int>(pem.size())));
    // The callback refuses passphrases: without it OpenSSL would ask for one on the terminal.
    const auto no_passphrase = [](char*, int, int, void*) { return -1; };
    Key key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr) : nullptr);
    ERR_clear_error();
    if (!key)
        return fail(Errc::Invalid, "no private key in PEM (PKCS#8, not encrypted), or a truncated one");
    const Algorithm algorithm = TRY(algorithm_of(key.get()));
    return from_key(algorithm, std::move(key));
}

Result<SigningKey> SigningKey::from_key(Algorithm algorithm, Key key) {
    std::string kid = TRY(make_kid(key.get()));
    std::string jwk = TRY(make_jwk(key.get(), algorithm, kid));
    Context signer(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
    if (!signer || EVP_PKEY_sign_init(signer.get()) != 1 ||
        EVP_PKEY_CTX_set_signature_md(signer.get(), digest_of(algorithm)) != 1)
        return fail_openssl("EVP_PKEY_sign_init");
    if (algorithm == Algorithm::Rs256 && EVP_PKEY_CTX_set_rsa_padding(signer.get(), RSA_PKCS1_PADDING) != 1)
        return fail_openssl("EVP_PKEY_CTX_set_rsa_padding");
    return SigningKey(algorithm, std::move(key), std::move(signer), std::move(kid), std::move(jwk));
}

Result<Secret> SigningKey::to_pem() const {
    const Owned<BIO> bio(BIO_new(BIO_s_secmem()));  // wiped when it goes
    if (!bio || PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
        return fail_openssl("PEM_write_bio_PKCS8PrivateKey");
    char* text = nullptr;
    const long length = BIO_get_mem_data(bio.get(), &text);
    return Secret({text, static_cast<std::size_t>(length)});
}

Result<Secret> SigningKey::sign(std::string_view input) const {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned digest_size = 0;
    if (EVP_Digest(input.data(), input.size(), digest.data(), &digest_size, digest_of(algorithm_), nullptr) != 1)
        return fail_openssl("EVP_Digest");
    std::array<unsigned char, kMaxRsaBits / 8> signature{};
    std::size_t size = signature.size();
    if (EVP_PKEY_sign(signer_.get(), signature.data(), &size, digest.data(), digest_size) != 1)
        return fail_openssl("EVP_PKEY_sign");
    const std::span<const unsigned char> made = std::span(signature).first(size);
    const Curve* curve = curve_of(algorithm_);
    Result<Secret> bytes = curve != nullptr ? to_jws_form(made, curve->width_bytes) : Secret(as_text(made));
    wipe_memory(signature.data(), size);
    return bytes;
}

}  // namespace tokenlet::authority
