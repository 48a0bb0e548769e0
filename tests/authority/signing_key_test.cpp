// SPDX-License-Identifier: Apache-2.0
#include "authority/signing_key.h"

#include <gtest/gtest.h>

namespace tokenlet::authority {
namespace {

// A P-256 key whose x coordinate begins with a zero byte: drawn once, kept here, because one in 128 keys has such a
// coordinate and a JWK without the zero is refused by verifiers.
constexpr std::string_view kKeyWithLeadingZero =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgNeu9Ry5wSNMHwnS1\n"
    "/5YuqTcbBc/tl6K0l7SWmhZNzQKhRANCAAQABBwIyjQ/ZwnLocvy6rylzhLWfS7C\n"
    "Ol2BDCeZOmomDojCaDu0aoHLJbLZ0uZ93ShXJHhJneGVxCEXrjmay+f9\n"
    "-----END PRIVATE KEY-----\n";

std::string_view member(std::string_view jwk, std::string_view name) {
    const std::string opening = "\"" + std::string(name) + "\":\"";
    const std::size_t start = jwk.find(opening) + opening.size();
    return jwk.substr(start, jwk.find('"', start) - start);
}

TEST(SigningKey, ComesBackFromItsPemAsItWas) {
    for (const Algorithm algorithm : kAlgorithms) {
        SCOPED_TRACE(to_string(algorithm));
        const SigningKey key = SigningKey::generate(algorithm).value();
        const Secret pem = key.to_pem().value();
        EXPECT_TRUE(pem.view().starts_with("-----BEGIN PRIVATE KEY-----\n")) << "PKCS#8";
        const SigningKey again = SigningKey::from_pem(pem).value();
        EXPECT_EQ(again.algorithm(), algorithm);
        EXPECT_EQ(again.kid(), key.kid());
        EXPECT_EQ(again.jwk(), key.jwk());
    }
}

TEST(SigningKey, SignsInTheFixedWidthOfItsAlgorithm) {
    struct Case {
        Algorithm algorithm;
        std::size_t size;
    };
    for (const Case c :
         {Case{Algorithm::Es256, 64}, {Algorithm::Es384, 96}, {Algorithm::Es512, 132}, {Algorithm::Rs256, 256}}) {
        SCOPED_TRACE(to_string(c.algorithm));
        const SigningKey key = SigningKey::generate(c.algorithm).value();
        // Often enough that r or s begins with a zero byte: one in 128 does, for P-521 every other.
        for (int i = 0; i < (c.algorithm == Algorithm::Rs256 ? 5 : 400); ++i)
            ASSERT_EQ(key.sign(std::to_string(i))->size(), c.size);
    }
}

TEST(SigningKey, WritesCoordinatesWithTheirLeadingZeros) {
    const SigningKey key = SigningKey::from_pem(Secret(kKeyWithLeadingZero)).value();
    EXPECT_EQ(member(key.jwk(), "x"), "AAQcCMo0P2cJy6HL8uq8pc4S1n0uwjpdgQwnmTpqJg4");
    EXPECT_EQ(member(key.jwk(), "x").size(), 43u) << "32 bytes";
    EXPECT_EQ(key.kid(), "90HrxTC37flFPXQqocFZINKzAE5HuP9GgW-pnlIaLuc");
}

TEST(SigningKey, JwkHasItsMembersInOrderAndNoPrivateOnes) {
    const SigningKey ec = SigningKey::generate(Algorithm::Es384).value();
    EXPECT_TRUE(ec.jwk().starts_with(R"({"use":"sig","kty":"EC","kid":")" + ec.kid() +
                                     R"(","alg":"ES384","crv":"P-384","x":")"));
    EXPECT_EQ(member(ec.jwk(), "x").size(), 64u);
    const SigningKey rsa = SigningKey::generate(Algorithm::Rs256).value();
    EXPECT_TRUE(rsa.jwk().starts_with(R"({"use":"sig","kty":"RSA","kid":")" + rsa.kid() + R"(","alg":"RS256","n":")"));
    EXPECT_TRUE(rsa.jwk().ends_with(R"(","e":"AQAB"})"));
    for (const std::string_view secret : {"\"d\"", "\"p\"", "\"q\""}) {
        EXPECT_EQ(ec.jwk().find(secret), std::string::npos);
        EXPECT_EQ(rsa.jwk().find(secret), std::string::npos);
    }
}

TEST(SigningKey, RefusesWhatIsNoKeyOfOurs) {
    struct Case {
        std::string_view name, pem;
    };
    const std::string truncated(SigningKey::generate(Algorithm::Es256)->to_pem()->view().substr(0, 120));
    const Case cases[] = {
        {"empty", ""},
        {"junk", "not a key"},
        {"truncated", truncated},
        {"Ed25519",
         "-----BEGIN PRIVATE KEY-----\n"
         "MC4CAQAwBQYDK2VwBCIEIHdzu/IjHug6XLYRJy7/TldYwnLD9HlxA9FSw2orEh/D\n"
         "-----END PRIVATE KEY-----\n"},
        {"a curve of Bitcoin",
         "-----BEGIN PRIVATE KEY-----\n"
         "MIGEAgEAMBAGByqGSM49AgEGBSuBBAAKBG0wawIBAQQgZK3UafkRQAcL2kYvRWmP\n"
         "RECf7J50OOIFeGudG/9BJQihRANCAASHsqhULf1gAO1Mcp4Fx/B2Lyw9cCOIH+9f\n"
         "hf91/gGuQvHSUye3M4WiknLnK6myV42/i3SnHC2MNlkQpVLuDUE+\n"
         "-----END PRIVATE KEY-----\n"},
        {"RSA, too short",
         "-----BEGIN PRIVATE KEY-----\n"
         "MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBAN7n7NFKV0c+TSbl\n"
         "sVBkhkQIuUMKe8HS+uix33RBu8Z0+TfJYKbjE5Wf3p21XxkClwLcSSrj6vCnN8em\n"
         "2Vcm8gD7bSnHOUdWQzgi9WaeOFkBdGFhpcJzZrUrMNtg2NT0B2X+3nHkUzA9YBk1\n"
         "LJCJdcs2uJYqxr5R0UGv6tco4z/TAgMBAAECgYAHzkldvuO1i/n5rbt63DpTcZbD\n"
         "QT+6NuAwe+IeWRrxRTFhAb1Pus35xGJwVWSiJJQTNpGdXePhT4nFhRNBWQzKaUKx\n"
         "yxiR74IfDOHHo79Kj51xiH/oUtT48Km6pta5zUnJDaCjo/zb/+S5B35TffzZpb9s\n"
         "/EKg34aycIEA7P3cUQJBAPuvFwDqagyrz9+vyS46RCmlANzjq5lS+AxcTl/0JUNV\n"
         "Uj9wOKwT7Ovz02mwSJZwQtWtixKqbdKBU49FZD+UhbkCQQDiun9x05oEF2aW1ub/\n"
         "5Uicd3YqPphjBgs+b1e7eBRqWwhS7ga7CSoGRXaER2jSE71onsLYy4omWIXrnLNG\n"
         "P/frAkEAgn+VoN7q3+kSHrypxrNldmZc3SubZSOVA+u0o6IW1CPgQo5whCDMvsct\n"
         "PmauLHrG3L5gFuyRhw2Rgv8K7MCY2QJBAKfRvVWGd4DBxWiu5srQbr+J2QgJzwe0\n"
         "yIvNJFYZ2pqiiPXBQ3Abp2R+8+uTY63jeJZAtR59AePCMFYmZbgAz0MCQG5I4mgF\n"
         "+SoaqypMRxOo4557nGjQFKfE7PD31ws6lRVrw/kAT5gFU85ZoeIngmZjyxZ+MEzh\n"
         "Zxgc0grCAautd0k=\n"
         "-----END PRIVATE KEY-----\n"},
        {"encrypted, and no terminal is asked",
         "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
         "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgJOc3NRa1c2wICCAAw\n"
         "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEF9A2mWhlZUZp3Te7DimRAcEgZC1\n"
         "4s+/eMGdi47r64vP7WSGCPoYfk2R0OS6DbWwLTHQEvYlsHUB3l/wg/+BZgHcognI\n"
         "+CbneKBxmtPXdz5FCn0TmzpbD9q3J1FN+V9lI7gwHdvxUlRnwALSZDuVFjOoLlOy\n"
         "YOqGXZt43vvpBK/Fxam1YOZQ0eJtCghVi7qcCb4zcQeHrZkOFghf4gUlBVvYmtQ=\n"
         "-----END ENCRYPTED PRIVATE KEY-----\n"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const Result<SigningKey> key = SigningKey::from_pem(Secret(c.pem));
        ASSERT_FALSE(key);
        EXPECT_EQ(key.error().code, Errc::Invalid);
        EXPECT_EQ(key.error().what.find(c.pem.substr(0, 8)), c.pem.empty() ? 0 : std::string::npos)
            << "never quotes it";
    }
}

}  // namespace
}  // namespace tokenlet::authority
