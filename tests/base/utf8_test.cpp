// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include <gtest/gtest.h>

namespace tokenlet {
namespace {

using namespace std::string_view_literals;

TEST(DecodeUtf8, ReadsTheFirstAndTheLastOfEachLength) {
    struct Case {
        std::string_view text;
        char32_t value;
    };
    const Case cases[] = {
        {"\0"sv, 0},
        {"\x7f", 0x7f},
        {"\xc2\x80", 0x80},
        {"\xdf\xbf", 0x7ff},
        {"\xe0\xa0\x80", 0x800},
        {"\xed\x9f\xbf", 0xd7ff},
        {"\xee\x80\x80", 0xe000},
        {"\xef\xbf\xbf", 0xffff},
        {"\xf0\x90\x80\x80", 0x10000},
        {"\xf4\x8f\xbf\xbf", 0x10ffff},
    };
    for (const Case& c : cases) {
        const CodePoint found = decode_utf8(std::string(c.text) + "x");
        EXPECT_EQ(found.value, c.value);
        EXPECT_EQ(found.size, c.text.size()) << std::uint32_t{c.value};
        EXPECT_TRUE(is_utf8(c.text)) << std::uint32_t{c.value};
    }
}

TEST(DecodeUtf8, RefusesWhatIsNone) {
    struct Case {
        std::string_view name, text;
    };
    const Case cases[] = {
        {"a byte that only follows", "\x80"},
        {"overlong in two bytes", "\xc0\x80"},
        {"the largest overlong in two bytes", "\xc1\xbf"},
        {"overlong in three bytes", "\xe0\x9f\xbf"},
        {"overlong in four bytes", "\xf0\x8f\xbf\xbf"},
        {"the first surrogate", "\xed\xa0\x80"},
        {"the last surrogate", "\xed\xbf\xbf"},
        {"beyond the last", "\xf4\x90\x80\x80"},
        {"a lead byte of nothing", "\xf5\x80\x80\x80"},
        {"cut short", "\xe2\x82"},
        {"a letter where a byte should follow", "\xe2\x82x"},
    };
    for (const Case& c : cases) {
        EXPECT_EQ(decode_utf8(c.text).size, 0U) << c.name;
        EXPECT_FALSE(is_utf8("fine " + std::string(c.text))) << c.name;
    }
    EXPECT_TRUE(is_utf8(""));
}

}  // namespace
}  // namespace tokenlet
