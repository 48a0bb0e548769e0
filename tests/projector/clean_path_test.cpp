// SPDX-License-Identifier: Apache-2.0
#include "projector/clean_path.h"

#include <gtest/gtest.h>

namespace tokenlet::projector {
namespace {

TEST(CleanPath, GivesEveryPathOneSpelling) {
    const std::string element(255, 'x');
    struct Case {
        std::string path, want;
    };
    const Case cases[] = {
        {"token", "token"},
        {"a/b/token", "a/b/token"},
        {"a//b", "a/b"},
        {"./a", "a"},
        {"a/", "a"},
        {"a/././b/", "a/b"},
        {".hidden", ".hidden"},
        {".", ""},
        {"foo////bar", "foo/bar"},
        {"a/..b", "a/..b"},
        {"a/...", "a/..."},
        {element, element},
        {element + "/a", element + "/a"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.path);
        if (c.want.empty())
            EXPECT_FALSE(clean_path(c.path));
        else
            EXPECT_EQ(clean_path(c.path), c.want);
    }
}

TEST(CleanPath, RefusesWhatCouldLeaveTheVolumeOrHideInIt) {
    std::string longest(4096, 'x');
    for (std::size_t i = 200; i < longest.size(); i += 200)
        longest[i] = '/';
    ASSERT_TRUE(clean_path(longest)) << "4096 bytes are allowed";
    struct Case {
        std::string path, why;
    };
    const Case cases[] = {
        {"", "path \"\" names no file"},
        {"/etc/passwd", "path \"/etc/passwd\" must be relative"},
        {"..", "path \"..\" must not contain '..'"},
        {"a/../b", "path \"a/../b\" must not contain '..'"},
        {"a/..", "path \"a/..\" must not contain '..'"},
        {"..data", "path \"..data\" must not start with '..'"},
        {"./..data", "path \"./..data\" must not start with '..'"},
        {"...", "path \"...\" must not start with '..'"},
        {std::string("a\0b", 3), std::string("path \"a\0b\" must not contain NUL", 31)},
        {std::string(256, 'x'), "path \"" + std::string(64, 'x') + "…\" has an element longer than 255 bytes"},
        {longest + "x", "path \"" + std::string(64, 'x') + "…\" is longer than 4096 bytes"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.why);
        const Result<std::string> clean = clean_path(c.path);
        ASSERT_FALSE(clean);
        EXPECT_EQ(clean.error().code, Errc::Invalid);
        EXPECT_EQ(clean.error().what, c.why);
    }
}

}  // namespace
}  // namespace tokenlet::projector
