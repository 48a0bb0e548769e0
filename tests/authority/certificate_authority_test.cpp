// SPDX-License-Identifier: Apache-2.0
#include "authority/certificate_authority.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>

#include "tests/authority/scratch.h"

namespace tokenlet::authority {
namespace {

using namespace std::chrono_literals;

using Certificate = std::unique_ptr<X509, void (*)(X509*)>;

Certificate parse(const std::string& pem) {
    const std::unique_ptr<BIO, void (*)(BIO*)> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                                   BIO_free_all);
    return {PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), X509_free};
}

WallTime to_time(const ASN1_TIME* time) {
    std::tm parts{};
    ASN1_TIME_to_tm(time, &parts);
    return WallTime(std::chrono::seconds(::timegm(&parts)));
}

TEST(CertificateAuthority, IsMadeOnceForTenYears) {
    const Scratch scratch;
    const std::string pem = CertificateAuthority::open(scratch.dir(), kNow)->certificate_pem();
    EXPECT_EQ(CertificateAuthority::open(scratch.dir(), kNow + 1h)->certificate_pem(), pem);
    EXPECT_EQ(scratch.mode("ca.key"), 0600u);
    EXPECT_EQ(scratch.mode("ca.crt"), 0644u);

    const Certificate certificate = parse(pem);
    ASSERT_TRUE(certificate);
    EXPECT_EQ(X509_verify(certificate.get(), X509_get0_pubkey(certificate.get())), 1) << "signs itself";
    EXPECT_EQ(X509_check_ca(certificate.get()), 1);
    EXPECT_EQ(X509_get_key_usage(certificate.get()), KU_KEY_CERT_SIGN | KU_CRL_SIGN | KU_DIGITAL_SIGNATURE);
    EXPECT_EQ(to_time(X509_get0_notBefore(certificate.get())), kNow - 1h);
    EXPECT_EQ(to_time(X509_get0_notAfter(certificate.get())), kNow + 24h * 3653);
}

TEST(CertificateAuthority, ACrashBetweenKeyAndCertificateIsMended) {
    const Scratch scratch;
    ASSERT_TRUE(CertificateAuthority::open(scratch.dir(), kNow));
    const std::string key = scratch.read("ca.key");
    ASSERT_EQ(::unlink(scratch.at("ca.crt").c_str()), 0);
    ASSERT_TRUE(CertificateAuthority::open(scratch.dir(), kNow));
    EXPECT_EQ(scratch.read("ca.key"), key);
}

TEST(CertificateAuthority, HalfAPairIsAnErrorThatSaysWhatToDo) {
    const Scratch scratch;
    const Scratch other;
    ASSERT_TRUE(CertificateAuthority::open(scratch.dir(), kNow));
    ASSERT_TRUE(CertificateAuthority::open(other.dir(), kNow));
    const std::string key = scratch.read("ca.key");
    const std::string certificate = scratch.read("ca.crt");

    scratch.write("ca.crt", other.read("ca.crt"), 0644);
    EXPECT_EQ(CertificateAuthority::open(scratch.dir(), kNow).error().what,
              "ca.crt belongs to another key than ca.key; restore the one that fits, or remove ca.crt");
    scratch.write("ca.crt", certificate.substr(0, 100), 0644);
    EXPECT_EQ(CertificateAuthority::open(scratch.dir(), kNow).error().what,
              "ca.crt holds no certificate in PEM, or a truncated one; restore it, or remove it to have one made for "
              "the same key");
    scratch.write("ca.crt", certificate, 0644);
    scratch.write("ca.key", key.substr(0, 60), 0600);
    EXPECT_EQ(CertificateAuthority::open(scratch.dir(), kNow).error().what,
              "ca.key holds no private key in PEM, or a truncated one");
    ASSERT_EQ(::unlink(scratch.at("ca.key").c_str()), 0);
    EXPECT_EQ(CertificateAuthority::open(scratch.dir(), kNow).error().what,
              "ca.crt is there, but ca.key is gone: restore it, or remove ca.crt to make a new CA");
    EXPECT_FALSE(scratch.has("ca.key")) << "nothing is made in its place";
    ASSERT_EQ(::unlink(scratch.at("ca.crt").c_str()), 0);
    ASSERT_EQ(::mkdir(scratch.at("ca.crt").c_str(), 0755), 0);
    EXPECT_THAT(CertificateAuthority::open(scratch.dir(), kNow).error().what,
                testing::AllOf(testing::HasSubstr("ca.crt"), testing::Not(testing::HasSubstr("ca.key"))))
        << "what cannot be read is not known to be there";
}

}  // namespace
}  // namespace tokenlet::authority
