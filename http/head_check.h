// SPDX-License-Identifier: Apache-2.0
// What a request's head may not contain, although the parser below us lets it through.
//
// Shapes   LineEndings is fed the bytes as they come and says whether a line of the head ended in a bare line feed, or
//          held a NUL: the parser takes a line that starts with one for the end of the head. refuse_head() looks at
//          the parsed fields; nothing means: fine.
// Owns     nothing.     Threads  any, one at a time.     Errors  the text is for the client, with status 400.
// Source   RFC 9112 sections 2.2, 3.2, 5.1, 6.1, 6.3. What two readers of one byte stream understand differently is how
//          requests are smuggled past a proxy.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace tokenlet::http {

class LineEndings {
public:
    void feed(std::string_view bytes);
    void restart() { *this = {}; }
    [[nodiscard]] bool bare_line_feed() const { return bare_line_feed_; }
    [[nodiscard]] bool has_nul() const { return has_nul_; }
    [[nodiscard]] bool head_is_over() const { return head_is_over_; }

private:
    char previous_ = '\n';
    bool line_is_empty_ = true;
    bool started_ = false;  // blank lines before the request line are allowed
    bool bare_line_feed_ = false;
    bool has_nul_ = false;
    bool head_is_over_ = false;
};

enum class Version { Http10, Http11 };

[[nodiscard]] std::optional<std::string_view> refuse_head(Version version, std::string_view target,
                                                          const std::vector<Header>& headers);

}  // namespace tokenlet::http
