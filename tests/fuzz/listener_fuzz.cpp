// SPDX-License-Identifier: Apache-2.0
// A real listener and the bytes of one connection, against a strict reader of RFC 9112: which requests the bytes hold must
// not be in doubt, for what two readers understand differently is how requests are smuggled.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/listener.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/http/running_listener.h"
#include "tests/http/scratch_directory.h"

namespace tokenlet::fuzz {
namespace {

constexpr http::Limits kLimits{.head_bytes = 1024, .body_bytes = 1024, .request_time = std::chrono::milliseconds(100)};

struct Place {
    http::ScratchDirectory directory;
    http::RunningListener listener{directory.file("s"), kLimits, http::RunningListener::echo};
};

// One line of the head, ended by CRLF; unset: there is none.
std::optional<std::string_view> take_line(std::string_view& bytes) {
    const std::size_t end = bytes.find("\r\n");
    if (end == std::string_view::npos)
        return std::nullopt;
    const std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(end + 2);
    return line;
}

std::string lower(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
    return result;
}

std::string_view trim(std::string_view text) {
    while (text.starts_with(' ') || text.starts_with('\t'))
        text.remove_prefix(1);
    while (text.ends_with(' ') || text.ends_with('\t'))
        text.remove_suffix(1);
    return text;
}

std::optional<std::size_t> number(std::string_view text) {
    std::size_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() && !text.empty() ? std::optional(value)
                                                                                     : std::nullopt;
}

// "GET /livez 0", as RunningListener::echo says it, for each request up to the first doubt. A chunked one is the last, and
// how long it is, is the parser's affair.
struct Expected {
    std::string request;
    bool is_chunked;
};
std::vector<Expected> model_of(std::string_view bytes) {
    std::vector<Expected> requests;
    for (;;) {
        while (bytes.starts_with("\r\n"))
            bytes.remove_prefix(2);
        auto first = take_line(bytes);
        if (!first)
            return requests;
        // As the parser does, and as RFC 9112 section 3 allows.
        first = first->substr(0, first->find_last_not_of(' ') + 1);
        const std::size_t blank = first->find(' ');
        const std::size_t second = first->rfind(' ');
        if (blank == std::string_view::npos || second == blank)
            return requests;
        const std::string request = std::string(first->substr(0, second)) + " ";
        std::size_t length = 0;
        bool is_chunked = false;
        for (;;) {
            const auto line = take_line(bytes);
            if (!line)
                return requests;
            if (line->empty())
                break;
            const std::size_t colon = line->find(':');
            if (colon == std::string_view::npos)
                continue;
            const std::string name = lower(line->substr(0, colon));
            if (name == "content-length")
                length = number(trim(line->substr(colon + 1))).value_or(bytes.size() + 1);
            if (name == "transfer-encoding")
                is_chunked = true;
        }
        if (is_chunked)
            requests.push_back({request, true});
        if (is_chunked || bytes.size() < length)
            return requests;
        bytes.remove_prefix(length);
        requests.push_back({request + std::to_string(length), false});
    }
}

// The bodies of all answers with status 200.
std::vector<std::string> answers_in(std::string_view bytes) {
    std::vector<std::string> bodies;
    while (bytes.starts_with("HTTP/1.")) {
        const bool is_ok = bytes.substr(8).starts_with(" 200 ");
        std::size_t length = bytes.size();  // without a length: all there is
        for (;;) {
            const auto line = take_line(bytes);
            if (!line)
                return bodies;
            if (line->empty())
                break;
            if (lower(*line).starts_with("content-length:"))
                length = number(trim(line->substr(15))).value_or(0);
        }
        length = std::min(length, bytes.size());
        if (is_ok)
            bodies.emplace_back(bytes.substr(0, length));
        bytes.remove_prefix(length);
    }
    return bodies;
}

}  // namespace

void run_input(std::string_view input) {
    static const auto kPlace = std::make_unique<Place>();
    constexpr std::string_view kEnd = "<end>";
    http::RawClient client(kPlace->directory.file("s"));
    must(client.connected(), "a listener listens, whatever came before");
    client.send(input);
    client.shut_down_writing();
    const std::string answer = client.read_all();
    must(answer.ends_with(kEnd), "a connection whose client has nothing more to say comes to an end");
    const std::vector<std::string> heard = answers_in(std::string_view(answer).substr(0, answer.size() - kEnd.size()));
    const std::vector<Expected> model = model_of(input);
    must(heard.size() <= model.size(), "no more requests are heard than a strict reader finds");
    for (std::size_t i = 0; i < heard.size(); ++i)
        must(model[i].is_chunked ? heard[i].starts_with(model[i].request) : heard[i] == model[i].request,
             "no request is heard but those that a strict reader finds");
}

}  // namespace tokenlet::fuzz
