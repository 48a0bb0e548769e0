// SPDX-License-Identifier: Apache-2.0
#include "authority/certificate_authority.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <chrono>
#include <memory>
#include <string_view>
#include <utility>

#include "authority/durable_file.h"
#include "authority/signing_key.h"

namespace tokenlet::authority {
namespace {

constexpr char kKeyFile[] = "ca.key";
constexpr char kCertificateFile[] = "ca.crt";
constexpr std::chrono::hours kLifetime{24 * 3653};  // ten years
constexpr std::chrono::hours kBackdated{1};         // for readers whose clock is behind ours
constexpr int kSerialBits = 127;                    // RFC 5280: positive, at most 20 octets

struct Free {
    void operator()(BIO* bio) const noexcept { BIO_free(bio); }
    void operator()(BIGNUM* number) const noexcept { BN_free(number); }
    void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
    void operator()(X509* certificate) const noexcept { X509_free(certificate); }
    void operator()(X509_EXTENSION* extension) const noexcept { X509_EXTENSION_free(extension); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

std::unexpected<Error> fail_openssl(std::string_view call) {
    ERR_clear_error();
    return fail(Errc::Internal, std::string(call) + " failed");
}

Owned<BIO> reading(std::string_view text) {
    return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Result<Owned<EVP_PKEY>> parse_key(const Secret& pem) {
    const Owned<BIO> bio = reading(pem.view());
    const auto no_passphrase = [](char*, int, int, void*) { return -1; };
    Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
    ERR_clear_error();
    if (!key)
        return fail(Errc::Invalid, std::string(kKeyFile) + " holds no private key in PEM, or a truncated one");
    return key;
}

Result<> add_extension(X509* certificate, int nid, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
    const Owned<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
    if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1)
        return fail_openssl("X509_add_ext");
    return {};
}

Result<> set_serial(X509* certificate) {
    const Owned<BIGNUM> serial(BN_new());
    if (!serial || BN_rand(serial.get(), kSerialBits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) != 1 ||
        BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate)) == nullptr)
        return fail_openssl("BN_rand");
    return {};
}

Result<> set_validity(X509* certificate, WallTime now) {
    const auto seconds = [](WallTime time) {
        return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
    };
    if (ASN1_TIME_set(X509_getm_notBefore(certificate), seconds(now - kBackdated)) == nullptr ||
        ASN1_TIME_set(X509_getm_notAfter(certificate), seconds(now + kLifetime)) == nullptr)
        return fail_openssl("ASN1_TIME_set");
    return {};
}

Result<std::string> to_pem(X509* certificate) {
    const Owned<BIO> bio(BIO_new(BIO_s_mem()));
    if (!bio || PEM_write_bio_X509(bio.get(), certificate) != 1)
        return fail_openssl("PEM_write_bio_X509");
    char* text = nullptr;
    const long length = BIO_get_mem_data(bio.get(), &text);
    return std::string(text, static_cast<std::size_t>(length));
}

Result<std::string> sign_own_certificate(EVP_PKEY* key, WallTime now) {
    const Owned<X509> certificate(X509_new());
    if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1)
        return fail_openssl("X509_new");
    TRY(set_serial(certificate.get()));
    TRY(set_validity(certificate.get(), now));
    X509_NAME* name = X509_get_subject_name(certificate.get());
    const auto* text = reinterpret_cast<const unsigned char*>("tokenlet-ca");
    if (X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC, text, -1, -1, 0) != 1 ||
        X509_set_issuer_name(certificate.get(), name) != 1 || X509_set_pubkey(certificate.get(), key) != 1)
        return fail_openssl("X509_set_pubkey");
    TRY(add_extension(certificate.get(), NID_basic_constraints, "critical,CA:TRUE"));
    TRY(add_extension(certificate.get(), NID_key_usage, "critical,digitalSignature,keyCertSign,cRLSign"));
    TRY(add_extension(certificate.get(), NID_subject_key_identifier, "hash"));
    if (X509_sign(certificate.get(), key, EVP_sha256()) == 0)
        return fail_openssl("X509_sign");
    return to_pem(certificate.get());
}

// The certificate alone, whatever else stands in the file: this text goes to readers.
Result<std::string> check_pair(EVP_PKEY* key, const Secret& file) {
    const Owned<BIO> bio = reading(file.view());
    const Owned<X509> certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    const bool belongs = certificate && X509_check_private_key(certificate.get(), key) == 1;
    ERR_clear_error();
    if (!certificate)
        return fail(Errc::Invalid, std::string(kCertificateFile) +
                                       " holds no certificate in PEM, or a truncated one; "
                                       "restore it, or remove it to have one made for the same key");
    if (!belongs)
        return fail(Errc::Invalid, std::string(kCertificateFile) + " belongs to another key than " + kKeyFile +
                                       "; restore the one that fits, or remove " + kCertificateFile);
    return to_pem(certificate.get());
}

bool is_absent(const Result<Secret>& file) {
    return !file && file.error().code == Errc::NotFound;
}

}  // namespace

Result<CertificateAuthority> CertificateAuthority::open(const UniqueFd& dir, WallTime now) {
    Result<Secret> key_pem = read_file(dir, kKeyFile, Readers::OwnerOnly);
    const Result<Secret> certificate = read_file(dir, kCertificateFile, Readers::Anyone);
    if (!certificate && !is_absent(certificate))
        return std::unexpected(certificate.error());
    if (is_absent(key_pem) && certificate)
        return fail(Errc::Invalid, std::string(kCertificateFile) + " is there, but " + kKeyFile +
                                       " is gone: restore it, or remove " + kCertificateFile + " to make a new CA");
    if (is_absent(key_pem)) {
        const SigningKey fresh = TRY(SigningKey::generate(Algorithm::Es256));
        key_pem = TRY(fresh.to_pem());
        TRY(write_file(dir, kKeyFile, key_pem->view(), 0600));
    }
    if (!key_pem)
        return std::unexpected(key_pem.error());
    const Owned<EVP_PKEY> key = TRY(parse_key(*key_pem));
    if (certificate)
        return CertificateAuthority(TRY(check_pair(key.get(), *certificate)));
    // The key is on disk first: after a crash in between, the same key gets its certificate here.
    std::string pem = TRY(sign_own_certificate(key.get(), now));
    TRY(write_file(dir, kCertificateFile, pem, 0644));
    return CertificateAuthority(std::move(pem));
}

}  // namespace tokenlet::authority
