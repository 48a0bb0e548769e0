// SPDX-License-Identifier: Apache-2.0
#include "projector/go_quote.h"

#include <gtest/gtest.h>

namespace tokenlet::projector {
namespace {

TEST(GoQuote, WritesWhatStrconvQuoteWrites) {
    struct Case {
        std::string_view name, text, want;
    };
    const Case cases[] = {
        {"nothing", "", R"("")"},
        {"plain text", "it's <a> & b", R"("it's <a> & b")"},
        {"quote and backslash", "\"\\", R"("\"\\")"},
        {"controls with a letter", "\a\b\f\n\r\t\v", R"("\a\b\f\n\r\t\v")"},
        {"controls without one", std::string_view("\0\x01\x1f\x7f", 4), R"("\x00\x01\x1f\x7f")"},
        {"a byte that is no UTF-8", "a\xff", R"("a\xff")"},
        {"a lone continuation byte", "\x80", R"("\x80")"},
        {"a sequence cut short at the end", "\xe6\x97", R"("\xe6\x97")"},
        {"a sequence cut short by a letter", "\xe6\x97z", R"("\xe6\x97z")"},
        {"an overlong slash", "\xc0\xaf", R"("\xc0\xaf")"},
        {"an overlong three-byte form", "\xe0\x80\xaf", R"("\xe0\x80\xaf")"},
        {"a surrogate", "\xed\xa0\x80", R"("\xed\xa0\x80")"},
        {"above Unicode", "\xf4\x90\x80\x80", R"("\xf4\x90\x80\x80")"},
        {"a byte that never starts anything", "\xf8\x88\x80\x80\x80", R"("\xf8\x88\x80\x80\x80")"},
        {"letters", "é日本", R"("é日本")"},
        {"a symbol above U+10000", "😀", R"("😀")"},
        {"the replacement character itself", "\ufffd", "\"\ufffd\""},
        {"a control of Latin 1", "\u0085", R"("\u0085")"},
        {"a space that is not ASCII's", "\u00a0", R"("\u00a0")"},
        {"no width", "\u200b", R"("\u200b")"},
        {"a line separator", "\u2028", R"("\u2028")"},
        {"a byte order mark", "\ufeff", R"("\ufeff")"},
        {"a language tag", "\U000e0001", R"("\U000e0001")"},
        {"private use", "\ue000", R"("\ue000")"},
        {"not assigned", "\u0378", R"("\u0378")"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_EQ(go_quote(c.text), c.want);
    }
}

TEST(IsPrintable, AgreesWithGoOnHowManyCodePointsThereAre) {
    int printable = 0;
    for (char32_t c = 0; c <= 0x10ffff; ++c)
        printable += is_printable(c) ? 1 : 0;
    EXPECT_EQ(printable, 148'998);  // counted with unicode.IsPrint, unicode.Version 15.0.0
    EXPECT_FALSE(is_printable(0x110000));
}

TEST(IsPrintable, ChangesExactlyAtTheEdgesOfARange) {
    EXPECT_FALSE(is_printable(0x1f));
    EXPECT_TRUE(is_printable(' '));
    EXPECT_TRUE(is_printable('~'));
    EXPECT_FALSE(is_printable(0x7f));
    EXPECT_FALSE(is_printable(0xad)) << "soft hyphen";
    EXPECT_TRUE(is_printable(0x11f00)) << "Kawi, new in Unicode 15.0";
    EXPECT_TRUE(is_printable(0xe01ef)) << "the last of all";
    EXPECT_FALSE(is_printable(0xe01f0));
}

}  // namespace
}  // namespace tokenlet::projector
