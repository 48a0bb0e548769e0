// SPDX-License-Identifier: Apache-2.0
#include "fsatomic/path.h"

#include <gtest/gtest.h>

namespace tokenlet::fsatomic {
namespace {

std::string repeat(std::string_view part, std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i)
        text += part;
    return text;
}

TEST(CleanPath, TakesWhatAVolumeMayHold) {
    struct Case {
        std::string_view name;
        std::string path, want;
    };
    const Case cases[] = {
        {"plain", "token", "token"},
        {"nested", "a/b/c", "a/b/c"},
        {"doubled slashes", "foo////bar", "foo/bar"},
        {"dots in between", "./a/./b", "a/b"},
        {"slash at the end", "a/", "a"},
        {"dot file", ".x", ".x"},
        {"dot file with another dot", ".x.y", ".x.y"},
        {"two dots deeper down are a name", "a/..b", "a/..b"},
        {"three dots deeper down", "a/...", "a/..."},
        {"255 bytes in an element", std::string(255, 'n'), std::string(255, 'n')},
        {"4096 bytes in all", repeat(std::string(255, 'n').append("/"), 15) + std::string(256 - 2, 'm') + "/x",
         repeat(std::string(255, 'n').append("/"), 15) + std::string(256 - 2, 'm') + "/x"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const auto clean = clean_path(c.path);
        ASSERT_TRUE(clean) << clean.error().what;
        EXPECT_EQ(*clean, c.want);
    }
    EXPECT_EQ(cases[10].path.size(), kMaxPathBytes);
}

TEST(CleanPath, RefusesWhatWouldLeaveOrDisturbTheVolume) {
    struct Case {
        std::string_view name;
        std::string path;
        std::string_view why;
    };
    const Case cases[] = {
        {"empty", "", "is empty"},
        {"absolute", "/etc/passwd", "is absolute"},
        {"4097 bytes", repeat("a/", 2048) + "b", "4096 bytes"},
        {"an element of 256 bytes", "a/" + std::string(256, 'n'), "255 bytes"},
        {"parent first", "../x", "'..'"},
        {"parent in the middle", "a/../b", "'..'"},
        {"parent last", "a/..", "'..'"},
        {"the data link", "..data", "reserved"},
        {"the data link, unclean (upstream lets it by)", "./..data", "reserved"},
        {"any name with two dots in front", "..sneaky.txt", "reserved"},
        {"three dots", "...", "reserved"},
        {"cleans to nothing", ".", "names no file"},
        {"cleans to nothing, longer", ".//./", "names no file"},
        {"NUL", std::string("a\0b", 3), "NUL"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const auto clean = clean_path(c.path);
        ASSERT_FALSE(clean);
        EXPECT_EQ(clean.error().code, Errc::Invalid);
        EXPECT_NE(clean.error().what.find(c.why), std::string::npos) << clean.error().what;
    }
}

TEST(CleanPath, KeepsItsMessageShortAndPrintable) {
    const auto clean = clean_path("a\n" + std::string(5000, 'x'));
    ASSERT_FALSE(clean);
    EXPECT_LT(clean.error().what.size(), 200u);
    EXPECT_EQ(clean.error().what.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace tokenlet::fsatomic
