// SPDX-License-Identifier: Apache-2.0
#include "tests/kube/test_certificates.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <atomic>

namespace tokenlet::kube {
namespace {

struct KeyFreer {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct CertificateFreer {
    void operator()(X509* certificate) const { X509_free(certificate); }
};
using Key = std::unique_ptr<EVP_PKEY, KeyFreer>;
using Certificate = std::unique_ptr<X509, CertificateFreer>;

constexpr long kDaySeconds = 24 * 3600;

std::string text_of(BIO* bio) {
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(bio, &bytes);
    std::string text(bytes, static_cast<std::size_t>(size));
    BIO_free(bio);
    return text;
}

void extend(X509* certificate, X509* issuer, int extension, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* made = X509V3_EXT_conf_nid(nullptr, &context, extension, value.c_str());
    X509_add_ext(certificate, made, -1);
    X509_EXTENSION_free(made);
}

Certificate blank_certificate(EVP_PKEY* key, const TestSubject& subject) {
    static std::atomic<long> serial{1};
    Certificate certificate(X509_new());
    X509_set_version(certificate.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), subject.from_day * kDaySeconds);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), subject.to_day * kDaySeconds);
    X509_set_pubkey(certificate.get(), key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(subject.name.c_str()), -1, -1, 0);
    return certificate;
}

TestPair pem_of(X509* certificate, EVP_PKEY* key) {
    BIO* certificate_bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(certificate_bio, certificate);
    BIO* key_bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(key_bio, key, nullptr, nullptr, 0, nullptr, nullptr);
    return {text_of(certificate_bio), text_of(key_bio)};
}

}  // namespace

struct TestAuthority::Parts {
    Key key;
    Certificate certificate;
};

TestAuthority::TestAuthority(const std::string& name) : parts_(std::make_unique<Parts>()) {
    parts_->key.reset(EVP_EC_gen("P-256"));
    parts_->certificate =
        blank_certificate(parts_->key.get(), {.name = name, .alternative_names = {}, .from_day = -2, .to_day = 2});
    X509* certificate = parts_->certificate.get();
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    extend(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
    X509_sign(certificate, parts_->key.get(), EVP_sha256());
    own_ = pem_of(certificate, parts_->key.get());
}

TestAuthority::~TestAuthority() = default;

TestPair TestAuthority::issue(const TestSubject& subject) const {
    const Key key(EVP_EC_gen("P-256"));
    const Certificate certificate = blank_certificate(key.get(), subject);
    X509_set_issuer_name(certificate.get(), X509_get_subject_name(parts_->certificate.get()));
    if (!subject.alternative_names.empty())
        extend(certificate.get(), parts_->certificate.get(), NID_subject_alt_name, subject.alternative_names);
    X509_sign(certificate.get(), parts_->key.get(), EVP_sha256());
    return pem_of(certificate.get(), key.get());
}

}  // namespace tokenlet::kube
