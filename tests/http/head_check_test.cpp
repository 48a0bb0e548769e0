// SPDX-License-Identifier: Apache-2.0
#include "http/head_check.h"

#include <gtest/gtest.h>

namespace tokenlet::http {
namespace {

TEST(LineEndings, ABareLineFeedIsSeenWhereverItStandsInTheHead) {
    struct Case {
        std::string_view name, bytes;
        bool bare, over;
    };
    const Case cases[] = {
        {"a proper head", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", false, true},
        {"unfinished", "GET / HTTP/1.1\r\nHost: a\r\n", false, false},
        {"after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", true, true},
        {"after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", true, true},
        {"as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n", true, true},
        {"in the body, where it is nobody's business", "POST / HTTP/1.1\r\nHost: a\r\n\r\nx\ny", false, true},
        {"empty lines before the request line are skipped", "\r\n\r\nGET / HTTP/1.1\r\n\r\n", false, true},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        LineEndings whole;
        whole.feed(c.bytes);
        EXPECT_EQ(whole.bare_line_feed(), c.bare);
        EXPECT_EQ(whole.head_is_over(), c.over);
        LineEndings split;
        for (const char byte : c.bytes)
            split.feed({&byte, 1});
        EXPECT_EQ(split.bare_line_feed(), c.bare) << "the same, byte by byte";
        EXPECT_EQ(split.head_is_over(), c.over);
    }
}

TEST(LineEndings, ANulIsSeenInTheHeadOnly) {
    LineEndings lines;
    lines.feed(std::string_view("GET / HTTP/1.1\r\n\r\n\0", 19));
    EXPECT_FALSE(lines.has_nul());
    lines.restart();
    lines.feed(std::string_view("GET / HTTP/1.1\r\n\0\r\n", 19));
    EXPECT_TRUE(lines.has_nul());
}

TEST(RefuseHead, WhatTwoReadersCouldUnderstandDifferentlyIsRefused) {
    struct Case {
        std::string_view name;
        Version version;
        std::string_view target;
        std::vector<Header> headers;
        bool fine;
    };
    const Header host{"Host", "a"};
    const Case cases[] = {
        {"plain", Version::Http11, "/v1/status?watch=1", {host}, true},
        {"1.0 needs no Host", Version::Http10, "/", {}, true},
        {"1.1 does", Version::Http11, "/", {}, false},
        {"two Hosts", Version::Http10, "/", {host, {"hOST", "b"}}, false},
        {"one length", Version::Http11, "/", {host, {"Content-Length", "5"}}, true},
        {"two lengths, even the same",
         Version::Http11,
         "/",
         {host, {"Content-Length", "5"}, {"content-length", "5"}},
         false},
        {"a signed length", Version::Http11, "/", {host, {"Content-Length", "+5"}}, false},
        {"an empty length", Version::Http11, "/", {host, {"Content-Length", ""}}, false},
        {"a list of lengths", Version::Http11, "/", {host, {"Content-Length", "5, 5"}}, false},
        {"chunked", Version::Http11, "/", {host, {"Transfer-Encoding", "Chunked"}}, true},
        {"another encoding", Version::Http11, "/", {host, {"Transfer-Encoding", "gzip, chunked"}}, false},
        {"both", Version::Http11, "/", {host, {"Transfer-Encoding", "chunked"}, {"Content-Length", "5"}}, false},
        {"a blank before the colon", Version::Http11, "/", {{"Host ", "a"}}, false},
        {"no name", Version::Http11, "/", {host, {"", "a"}}, false},
        {"a control character in a value", Version::Http11, "/", {host, {"X", "a\rb"}}, false},
        {"a tab in a value", Version::Http11, "/", {host, {"X", "a\tb"}}, true},
        {"absolute form", Version::Http11, "http://a/", {host}, false},
        {"a blank in the target", Version::Http11, "/a b", {host}, false},
        {"a byte beyond ASCII in the target", Version::Http11, "/a\xc2\x85", {host}, false},
    };
    for (const Case& c : cases)
        EXPECT_EQ(!refuse_head(c.version, c.target, c.headers).has_value(), c.fine) << c.name;
}

TEST(Request, SplitsItsTargetAndFindsHeadersWithoutCase) {
    const Request request{.method = "GET", .target = "/v1/status?a=b?c", .headers = {{"Accept", "x"}}};
    EXPECT_EQ(request.path(), "/v1/status");
    EXPECT_EQ(request.query(), "a=b?c");
    EXPECT_EQ(request.header("aCCEPT"), "x");
    EXPECT_EQ(request.header("Accep"), std::nullopt);
    EXPECT_EQ(Request{.target = "/"}.query(), "");
}

}  // namespace
}  // namespace tokenlet::http
