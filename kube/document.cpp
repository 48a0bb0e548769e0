// SPDX-License-Identifier: Apache-2.0
#include "kube/document.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/secret.h"
#include "base/utf8.h"
#include "kube/readers.h"

namespace tokenlet::kube {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

struct Piece {
    std::string_view text;
    int line;
};

bool is_control(char c) {
    const auto byte = static_cast<std::uint8_t>(c);
    return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7F;
}

// As go-yaml's reader: control characters are refused, be it inside quotes. yaml-cpp would take 0x04 for the end.
Result<> check_text(std::string_view bytes) {
    if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF"))
        return fail(Errc::Invalid,
                    "line 1: not UTF-8 but UTF-16, as some editors and PowerShell write it; save it as UTF-8");
    int line = 1;
    for (std::size_t at = 0; at < bytes.size();) {
        if (bytes[at] >= ' ' && bytes[at] <= '~') {  // nearly all of it
            ++at;
            continue;
        }
        const std::size_t length = decode_utf8(bytes.substr(at, 4)).size;
        if (length == 0)
            return fail(Errc::Invalid, "line " + std::to_string(line) + ": not UTF-8");
        if (is_control(bytes[at]))
            return fail(Errc::Invalid, "line " + std::to_string(line) + ": a control character");
        line += bytes[at] == '\n' ? 1 : 0;
        at += length;
    }
    return {};
}

// A document marker stands at the start of a line and is followed by white space or nothing.
bool is_marker(std::string_view line, std::string_view marker) {
    return line.starts_with(marker) && (line.size() == 3 || line[3] == ' ' || line[3] == '\t' || line[3] == '\r');
}

// Cut where YAML itself always ends a document, before any parsing: what is broken in one cannot reach the next.
std::vector<Piece> split(std::string_view bytes) {
    std::vector<Piece> chunks;
    std::size_t start = 0;
    int start_line = 1;
    int line = 1;
    for (std::size_t at = 0; at < bytes.size(); ++line) {
        const std::size_t feed = bytes.find('\n', at);
        const std::size_t next = feed == std::string_view::npos ? bytes.size() : feed + 1;
        const std::string_view text = bytes.substr(at, (feed == std::string_view::npos ? bytes.size() : feed) - at);
        if (is_marker(text, "---")) {
            chunks.push_back({bytes.substr(start, at - start), start_line});
            start = at;
            start_line = line;
        } else if (is_marker(text, "...")) {
            chunks.push_back({bytes.substr(start, at - start), start_line});
            start = next;
            start_line = line + 1;
        }
        at = next;
    }
    chunks.push_back({bytes.substr(start), start_line});
    return chunks;
}

// Moves the front of a chunk to its first line with content; the marker line stays when something follows on it.
void skip_blank(Piece& chunk) {
    const auto drop_line = [&](std::size_t feed) {
        chunk.text.remove_prefix(feed == std::string_view::npos ? chunk.text.size() : feed + 1);
        ++chunk.line;
    };
    bool marker_may_come = true;
    while (!chunk.text.empty()) {
        const std::size_t feed = chunk.text.find('\n');
        const std::string_view line = chunk.text.substr(0, feed);
        const bool is_mark = marker_may_come && is_marker(line, "---");
        const std::size_t from = line.find_first_not_of(" \t\r", is_mark ? 3 : 0);
        const bool is_directive = marker_may_come && line.starts_with('%');
        if (from != std::string_view::npos && line[from] != '#' && !is_directive)
            return;
        marker_may_come = marker_may_come && !is_mark;
        drop_line(feed);
    }
}

// `{` alone might begin a YAML flow mapping as well; JSON goes on with a key or ends at once.
bool is_json(std::string_view text) {
    constexpr std::string_view kSpace = " \t\r\n";
    if (is_marker(text.substr(0, 4), "---"))
        text.remove_prefix(3);
    const std::size_t brace = text.find_first_not_of(kSpace);
    if (brace == std::string_view::npos || text[brace] != '{')
        return false;
    const std::size_t next = text.find_first_not_of(kSpace, brace + 1);
    return next == std::string_view::npos || text[next] == '"' || text[next] == '}';
}

// What people drop in that no parser can name. Looked for once one has failed.
std::string likely_cause(std::string_view text, int line) {
    if (text.find("{{") != text.npos)
        return "; this looks like a template that was not rendered";
    for (const int first = line; !text.empty(); ++line) {
        const std::string_view row = text.substr(0, text.find('\n'));
        const std::string_view indentation = row.substr(0, std::min(row.find_first_not_of(" \t"), row.size()));
        if (row.starts_with("<<<<<<< "))
            return "; line " + std::to_string(line) + " begins what a merge could not decide";
        if (indentation.contains('\t'))
            return "; line " + std::to_string(line) + " is indented by a tab, and YAML takes blanks only";
        if (row.starts_with('{') && line > first)
            return "; line " + std::to_string(line) + " begins another object: put a line of --- before it";
        if (row.substr(indentation.size()).starts_with("//"))
            return "; line " + std::to_string(line) +
                   " looks like a comment, which begins with # in YAML and is none in JSON";
        text.remove_prefix(std::min(row.size() + 1, text.size()));
    }
    return "";
}

}  // namespace

const Node* Node::find(std::string_view name) const {
    if (kind != Kind::Mapping)
        return nullptr;
    const auto found = std::ranges::find(children, name, &Node::key);
    return found == children.end() ? nullptr : &*found;
}

std::string_view to_string(Node::Kind kind) {
    switch (kind) {
        case Node::Kind::Null:
            return "null";
        case Node::Kind::Bool:
            return "a boolean";
        case Node::Kind::Int:
            return "an integer";
        case Node::Kind::Float:
            return "a number";
        case Node::Kind::String:
            return "a string";
        case Node::Kind::Sequence:
            return "a list";
        case Node::Kind::Mapping:
            return "a mapping";
    }
    return "";
}

Documents::Documents(std::string_view bytes) {
    while (bytes.starts_with(kByteOrderMark))
        bytes.remove_prefix(kByteOrderMark.size());
    text_ = check_text(bytes);
    if (!text_) {
        chunks_.push_back({{}, 1});
        return;
    }
    for (Piece piece : split(bytes)) {
        skip_blank(piece);
        // YAML lets each document begin with one.
        while (piece.text.starts_with(kByteOrderMark)) {
            piece.text.remove_prefix(kByteOrderMark.size());
            skip_blank(piece);
        }
        if (piece.text.empty())
            continue;
        chunks_.push_back({piece.text, piece.line});
        if (chunks_.size() > kMaxDocuments)
            break;
    }
}

std::optional<Document> Documents::next() {
    while (next_ < chunks_.size()) {
        const Chunk& chunk = chunks_[next_++];
        const int number = static_cast<int>(next_);
        if (!text_)
            return Document{number, chunk.line, std::unexpected(text_.error())};
        if (next_ > kMaxDocuments)
            return Document{number, chunk.line,
                            fail(Errc::Invalid, "line " + std::to_string(chunk.line) + ": more than " +
                                                    std::to_string(kMaxDocuments) + " documents in one file")};
        auto root = read(chunk);
        if (!root) {
            root.error().what += likely_cause(chunk.text, chunk.line);
            return Document{number, chunk.line, std::unexpected(std::move(root.error()))};
        }
        if (*root)
            return Document{number, chunk.line, **std::move(root)};
    }
    return std::nullopt;
}

Result<std::optional<Node>> Documents::read(const Chunk& chunk) {
    // Passed over already where it may stand. yaml-cpp passes over one anywhere.
    if (chunk.text.starts_with('%'))
        return fail(Errc::Invalid, "line " + std::to_string(chunk.line) + ": YAML: a directive after the marker ---");
    if (!is_json(chunk.text))
        return read_yaml(chunk.text, chunk.line);
    std::string_view text = chunk.text;
    if (text.starts_with("---"))
        text.remove_prefix(3);
    return TRY(read_json(text, chunk.line));
}

std::vector<Document> parse_documents(std::string_view bytes) {
    std::vector<Document> documents;
    Documents source(bytes);
    while (auto document = source.next())
        documents.push_back(*std::move(document));
    return documents;
}

Result<Node> parse_json(std::string_view bytes) {
    return read_json(bytes, 1);
}

const Node* find_at(const Node& root, std::initializer_list<std::string_view> path) {
    const Node* node = &root;
    for (const std::string_view key : path) {
        node = node->find(key);
        if (node == nullptr)
            return nullptr;
    }
    return node;
}

std::string text_at(const Node& root, std::initializer_list<std::string_view> path) {
    const Node* node = find_at(root, path);
    return node == nullptr ? "" : node->text;
}

void wipe(Node& node) noexcept {
    wipe_memory(node.text.data(), node.text.size());
    for (Node& child : node.children)
        wipe(child);
}

}  // namespace tokenlet::kube
