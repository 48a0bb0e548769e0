// SPDX-License-Identifier: Apache-2.0
#include "authority/claims.h"

#include <gtest/gtest.h>

#include "authority/json_text.h"

namespace tokenlet::authority {
namespace {

Claims minimal() {
    return {.audiences = {"vault"},
            .issuer = "https://issuer.example",
            .jti = "00000000-0000-4000-8000-000000000001",
            .issued_at_seconds = 1000,
            .expires_at_seconds = 4600,
            .ns = "shop",
            .service_account = {"frontend", "sa-uid"},
            .node = {},
            .pod = {},
            .secret = {},
            .warn_after_seconds = {}};
}

TEST(Claims, StandInTheOrderOfTheirNamesWithoutWhiteSpace) {
    EXPECT_EQ(to_json(minimal()), R"({"aud":["vault"],"exp":4600,"iat":1000,"iss":"https://issuer.example",)"
                                  R"("jti":"00000000-0000-4000-8000-000000000001","kubernetes.io":{"namespace":"shop",)"
                                  R"("serviceaccount":{"name":"frontend","uid":"sa-uid"}},"nbf":1000,)"
                                  R"("sub":"system:serviceaccount:shop:frontend"})");
}

TEST(Claims, NameWhatTheTokenIsBoundToInOrder) {
    Claims claims = minimal();
    claims.audiences = {"a", "b"};
    claims.pod = {"web", "pod-uid"};
    claims.node = {"edge-7", "node-uid"};
    claims.secret = {"host", "secret-uid"};
    claims.warn_after_seconds = 4607;
    EXPECT_EQ(to_json(claims), R"({"aud":["a","b"],"exp":4600,"iat":1000,"iss":"https://issuer.example",)"
                               R"("jti":"00000000-0000-4000-8000-000000000001","kubernetes.io":{"namespace":"shop",)"
                               R"("node":{"name":"edge-7","uid":"node-uid"},"pod":{"name":"web","uid":"pod-uid"},)"
                               R"("secret":{"name":"host","uid":"secret-uid"},)"
                               R"("serviceaccount":{"name":"frontend","uid":"sa-uid"},"warnafter":4607},"nbf":1000,)"
                               R"("sub":"system:serviceaccount:shop:frontend"})");
}

TEST(Claims, HeaderIsAlgorithmAndKeyAndNothingElse) {
    EXPECT_EQ(header_json(Algorithm::Es384, "abc"), R"({"alg":"ES384","kid":"abc"})");
}

TEST(JsonText, QuotesWhatWouldEndOrBreakAString) {
    struct Case {
        std::string_view name, value, want;
    };
    const Case cases[] = {
        {"plain", "vault", R"("vault")"},
        {"empty", "", R"("")"},
        {"quotes cannot add a member", R"(x","sub":"root)", R"("x\",\"sub\":\"root")"},
        {"backslash", R"(a\)", R"("a\\")"},
        {"controls", std::string_view("\0\x1f\n\r\t", 5), R"("\u0000\u001f\n\r\t")"},
        {"UTF-8 passes", "grüße €😀", R"("grüße €😀")"},
        {"stray continuation byte", "a\x80z", R"("a\ufffdz")"},
        {"cut sequence", "a\xe2\x82", R"("a\ufffd\ufffd")"},
        {"overlong slash", "\xc0\xaf", R"("\ufffd\ufffd")"},
        {"overlong in three bytes", "\xe0\x80\xaf", R"("\ufffd\ufffd\ufffd")"},
        {"surrogate", "\xed\xa0\x80", R"("\ufffd\ufffd\ufffd")"},
        {"beyond Unicode", "\xf4\x90\x80\x80", R"("\ufffd\ufffd\ufffd\ufffd")"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        std::string text;
        append_json_string(text, c.value);
        EXPECT_EQ(text, c.want);
    }
}

}  // namespace
}  // namespace tokenlet::authority
