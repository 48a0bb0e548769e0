// SPDX-License-Identifier: Apache-2.0
#include "base/base64.h"

#include <gtest/gtest.h>

namespace tokenlet {
namespace {

TEST(Base64, EncodesTheVectorsOfRfc4648) {
    struct Case {
        std::string_view bytes, base64, base64url;
    };
    const Case cases[] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"\xfb\xff", "+/8=", "-_8"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.base64);
        EXPECT_EQ(encode_base64(c.bytes), c.base64);
        EXPECT_EQ(encode_base64url(c.bytes), c.base64url);
        EXPECT_EQ(decode_base64(c.base64), std::string(c.bytes));
        EXPECT_EQ(decode_base64url(c.base64url), std::string(c.bytes));
    }
}

TEST(Base64, PassesOverLineBreaksInTheStandardAlphabetOnly) {
    EXPECT_EQ(decode_base64("Zm9v\r\nYg==\n"), std::string("foob"));
    EXPECT_FALSE(decode_base64url("Zm9v\nYg"));
}

TEST(Base64, RefusesWhatIsNotBase64AndNamesTheOffset) {
    for (std::string_view text : {"Z", "Zg", "Zg=", "Zg===", "Zm9v=", "Zm!v", "Zg==Zg=="})
        EXPECT_FALSE(decode_base64(text)) << text;
    for (std::string_view text : {"Z", "Zg==", "Zh", "+/8", "Zm 9"})
        EXPECT_FALSE(decode_base64url(text)) << text;
    EXPECT_EQ(decode_base64("Zm!v").error().what, "illegal base64 data at input byte 2");
}

}  // namespace
}  // namespace tokenlet
