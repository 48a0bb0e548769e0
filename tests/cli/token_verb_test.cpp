// SPDX-License-Identifier: Apache-2.0
#include "cli/token_verb.h"

#include <gtest/gtest.h>

#include "base/base64.h"

namespace tokenlet::cli {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

constexpr char kSignature[] = "c2lnbmF0dXJlLW5vYm9keS1zaG91bGQtc2Vl";
const WallTime kIssued(1'795'498'740s);  // 2026-11-24T05:39:00Z

std::string token_with(const std::string& claims) {
    return encode_base64url(R"({"alg":"ES256","kid":"key-1"})") + "." + encode_base64url(claims) + "." + kSignature;
}

std::string hour_token() {
    return token_with(
        R"({"aud":["vault","api"],"exp":1795502340,"iat":1795498740,"iss":"https://t.example.org","jti":"id-1",)"
        R"("kubernetes.io":{"namespace":"shop","pod":{"name":"web","uid":"u-1"},"serviceaccount":{"name":"frontend","uid":"u-2"}},)"
        R"("nbf":1795498740,"sub":"system:serviceaccount:shop:frontend"})");
}

TEST(DescribeToken, SaysWhatATokenClaimsAndWhenItRotates) {
    const Result<std::string> text = describe_token(hour_token() + "\n", InspectFormat::Table, kIssued + 12min);
    ASSERT_TRUE(text) << text.error().what;
    EXPECT_EQ(*text,
              "issuer            https://t.example.org\n"
              "subject           system:serviceaccount:shop:frontend\n"
              "audience          vault\n"
              "                  api\n"
              "namespace         shop\n"
              "service account   frontend  uid u-2\n"
              "pod               web  uid u-1\n"
              "issued            2026-11-24T05:39:00Z  12m ago\n"
              "rotates           2026-11-24T06:27:00Z  in 36m, at 80 % of its lifetime\n"
              "expires           2026-11-24T06:39:00Z  in 48m\n"
              "token id          id-1\n"
              "algorithm         ES256\n"
              "key id            key-1\n");
}

TEST(DescribeToken, TheTrueExpiryStandsBesideTheOneThatWasGranted) {
    const std::string extended = token_with(
        R"({"aud":["a"],"exp":1827034740,"iat":1795498740,"kubernetes.io":{"namespace":"s","warnafter":1795502347}})");
    const Result<std::string> text = describe_token(extended, InspectFormat::Table, kIssued);
    ASSERT_TRUE(text) << text.error().what;
    EXPECT_THAT(*text, HasSubstr("rotates       2026-11-24T06:27:06Z  in 48m, at 80 % of its lifetime\n"));
    EXPECT_THAT(*text, HasSubstr("warns after   2026-11-24T06:39:07Z"));
    EXPECT_THAT(*text, HasSubstr("expires       2027-11-24T05:39:00Z  in 365d\n"));
}

TEST(DescribeToken, ALongTokenRotatesAfterADay) {
    const Result<std::string> text =
        describe_token(token_with(R"({"aud":["a"],"exp":1796103540,"iat":1795498740})"), InspectFormat::Table, kIssued);
    ASSERT_TRUE(text);
    EXPECT_THAT(*text, HasSubstr("2026-11-25T05:39:00Z  in 24h, 24 h after it was issued"));
}

TEST(DescribeToken, WhatIsOverIsSaidToBe) {
    const Result<std::string> text = describe_token(hour_token(), InspectFormat::Table, kIssued + 63min);
    ASSERT_TRUE(text);
    EXPECT_THAT(*text, HasSubstr("was due 15m ago"));
    EXPECT_THAT(*text, HasSubstr("expired 3m ago"));
}

TEST(DescribeToken, NeverShowsTokenOrSignature) {
    for (const InspectFormat format : {InspectFormat::Table, InspectFormat::Json}) {
        const Result<std::string> text = describe_token(hour_token(), format, kIssued);
        ASSERT_TRUE(text);
        EXPECT_THAT(*text, Not(HasSubstr(kSignature)));
        EXPECT_THAT(*text, Not(HasSubstr(hour_token().substr(0, 20))));
    }
    for (const std::string& bad : {std::string("sup3rs3cret"), std::string("a.sup3rs3cret.c"), hour_token() + "*"}) {
        const Result<std::string> text = describe_token(bad, InspectFormat::Table, kIssued);
        ASSERT_FALSE(text);
        EXPECT_THAT(text.error().what, Not(HasSubstr("sup3rs3cret")));
        EXPECT_THAT(text.error().what, Not(HasSubstr(kSignature)));
    }
}

TEST(DescribeToken, JsonHoldsHeaderAndClaimsAsTheyStand) {
    const Result<std::string> text = describe_token(hour_token(), InspectFormat::Json, kIssued);
    ASSERT_TRUE(text);
    EXPECT_THAT(*text, HasSubstr("\"kid\": \"key-1\""));
    EXPECT_THAT(*text, HasSubstr("\"rotatesAt\": \"2026-11-24T06:27:00Z\""));
    EXPECT_LT(text->find("\"aud\""), text->find("\"sub\""));
}

}  // namespace
}  // namespace tokenlet::cli
