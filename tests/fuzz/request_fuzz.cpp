// SPDX-License-Identifier: Apache-2.0
// The status protocol above the HTTP parser: line endings as they come in pieces, what a head may hold, who may do what.
// The input is peer, method and target, a line each, then the head.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/shell/status_server.h"
#include "http/head_check.h"
#include "tests/fuzz/fuzz_target.h"

namespace tokenlet::fuzz {
namespace {

struct Heard {
    int prunes = 0;
    std::vector<std::string> rotations;
};

// Whether a line of the head, up to the first blank line after some content, ends in a bare line feed.
bool model_bare_line_feed(std::string_view text) {
    bool has_content = false;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t feed = text.find('\n', at);
        if (feed == std::string_view::npos)
            return false;
        if (feed == 0 || text[feed - 1] != '\r')
            return true;
        std::string line(text.substr(at, feed - at));
        std::erase(line, '\r');
        if (line.empty() && has_content)
            return false;
        has_content = has_content || !line.empty();
        at = feed + 1;
    }
    return false;
}

void look_at_line_endings(std::string_view head, std::size_t piece) {
    http::LineEndings whole;
    whole.feed(head);
    http::LineEndings pieces;
    for (std::size_t at = 0; at < head.size(); at += piece)
        pieces.feed(head.substr(at, piece));
    must(whole.bare_line_feed() == pieces.bare_line_feed() && whole.head_is_over() == pieces.head_is_over(),
         "it does not matter how the bytes come");
    must(whole.bare_line_feed() == model_bare_line_feed(head), "a bare line feed in the head is seen");
}

std::vector<http::Header> headers_of(std::string_view head) {
    std::vector<http::Header> headers;
    for (Lines lines(head); !lines.empty();) {
        std::string_view line = lines.next();
        if (line.ends_with('\r'))
            line.remove_suffix(1);
        if (line.empty())
            break;
        const std::size_t colon = line.find(':');
        const std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
        headers.push_back({std::string(line.substr(0, colon)),
                           std::string(value.substr(std::min(value.find_first_not_of(' '), value.size())))});
    }
    return headers;
}

void look_at_head(std::string_view target, const std::vector<http::Header>& headers) {
    for (const auto version : {http::Version::Http10, http::Version::Http11}) {
        if (http::refuse_head(version, target, headers))
            continue;
        must(target.starts_with('/') && !has_control(std::string(target) + "\xc2"), "a target is printable");
        int framings = 0;
        for (const http::Header& header : headers) {
            must(!header.name.empty() && !header.name.contains(' ') && !header.name.contains(':'), "a name is a name");
            must(!header.value.contains('\r') && !header.value.contains('\n') && !header.value.contains('\0'),
                 "a value is on one line");
            framings +=
                http::same_name(header.name, "content-length") || http::same_name(header.name, "transfer-encoding");
        }
        must(framings <= 1, "a body has one length");
    }
}

}  // namespace

void run_input(std::string_view input) {
    Lines lines(input);
    const std::string_view peer = lines.next();
    const std::string method(lines.next());
    const std::string target(lines.next());
    const std::string_view head = lines.rest();
    look_at_line_endings(head, peer.size() % 7 + 1);
    look_at_head(target, headers_of(head));

    Heard heard;
    agent::StatusActions actions;
    actions.unready = [&] { return std::string(peer); };
    actions.prune = [&] { ++heard.prunes; };
    actions.rotate = [&](const kube::ObjectKey& pod, const std::string& volume) {
        heard.rotations.push_back(pod.str() + " " + volume);
        return volume == "none" ? Result<>(fail(Errc::NotFound, "no such volume")) : Result<>();
    };
    const bool is_operator = peer == "root" || peer == "us";
    http::Request request{.method = method, .target = target, .headers = headers_of(head)};
    if (!peer.empty())
        request.peer = http::Peer{peer == "root" ? 0u : peer == "us" ? 990u : 1000u, 1000, 1};
    if (method == "GET" && request.path() == "/v1/status")
        return;  // the text of a snapshot, whoever asks
    const http::Response response = agent::answer(request, actions, {.uid = 990, .gid = 990});

    must(response.status >= 200 && response.status < 600, "every request has an answer");
    const bool did_something = heard.prunes > 0 || !heard.rotations.empty();
    must(!did_something || (is_operator && method == "POST"), "only operators change something, and only by POST");
    must(heard.prunes + heard.rotations.size() <= 1, "a request does one thing");
    must(response.status != 200 || method == "GET" || did_something, "what is answered with 200 was done");
}

}  // namespace tokenlet::fuzz
