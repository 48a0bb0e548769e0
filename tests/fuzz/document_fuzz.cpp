// SPDX-License-Identifier: Apache-2.0
// Trees of YAML and JSON (kube/document.h): within their limits, and the same when written as JSON and read again by
// either parser.
#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "kube/document.h"
#include "kube/readers.h"
#include "tests/fuzz/fuzz_target.h"

namespace tokenlet::fuzz {
namespace {

using kube::Node;

bool is_number(const Node& node) {
    return node.kind == Node::Kind::Int || node.kind == Node::Kind::Float;
}

bool is_collection(const Node& node) {
    return node.kind == Node::Kind::Sequence || node.kind == Node::Kind::Mapping;
}

double value_of(const Node& node) {
    double value = 0;
    std::from_chars(node.text.data(), node.text.data() + node.text.size(), value);
    return value;
}

// Numbers by value: JSON keeps the spelling that YAML makes canonical.
bool same(const Node& a, const Node& b) {
    if (is_number(a) && is_number(b))
        return a.key == b.key && value_of(a) == value_of(b);
    return a.kind == b.kind && a.key == b.key && a.text == b.text &&
           std::ranges::equal(a.children, b.children, [](const Node& x, const Node& y) { return same(x, y); });
}

struct Tally {
    std::size_t nodes = 0;
    bool has_json = true;  // JSON knows no infinities
};

void look_at(const Node& node, std::size_t depth, Tally& tally) {
    ++tally.nodes;
    must(depth <= kube::kMaxDepth, "no tree is deeper than kMaxDepth");
    must(node.line >= 1, "every node has its line");
    must(is_utf8(node.text) && is_utf8(node.key), "text is UTF-8");
    must(is_collection(node) || node.children.empty(), "only collections have children");
    if (node.kind == Node::Kind::Float && (node.text.ends_with("inf") || node.text.ends_with("nan")))
        tally.has_json = false;
    std::vector<std::string_view> keys;
    for (const Node& child : node.children) {
        look_at(child, depth + (is_collection(child) ? 1 : 0), tally);
        keys.push_back(child.key);
    }
    std::ranges::sort(keys);
    must(node.kind != Node::Kind::Mapping || std::ranges::adjacent_find(keys) == keys.end(), "no key is there twice");
    for (const Node& child : node.children)
        must(node.kind != Node::Kind::Mapping || node.find(child.key) == &child, "a key finds its value");
}

void write_string(std::string& json, std::string_view text) {
    json += '"';
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f)
            json.append("\\u00") += {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
        else
            json.append(c == '"' || c == '\\' ? "\\" : "") += c;
    }
    json += '"';
}

void write(std::string& json, const Node& node) {
    const bool is_mapping = node.kind == Node::Kind::Mapping;
    if (node.kind == Node::Kind::Null)
        json += "null";
    else if (node.kind == Node::Kind::String)
        write_string(json, node.text);
    else if (!is_collection(node))
        json += node.text;
    if (!is_collection(node))
        return;
    json += is_mapping ? '{' : '[';
    for (const Node& child : node.children) {
        json += &child == &node.children.front() ? "" : ", ";
        if (is_mapping) {
            write_string(json, child.key);
            json += ": ";
        }
        write(json, child);
    }
    json += is_mapping ? '}' : ']';
}

void come_back(const Node& root) {
    std::string json;
    write(json, root);
    const auto from_json = kube::parse_json(json);
    must(from_json && same(*from_json, root), "a tree written as JSON is read as the same tree");
    if (json.contains("\\u"))
        return;  // yaml-cpp's own notion of control characters
    const auto from_yaml = kube::read_yaml(json, 1);
    must(from_yaml && *from_yaml && same(**from_yaml, root), "JSON is YAML, and means the same");
}

}  // namespace

void run_input(std::string_view input) {
    int line = 0;
    int number = 0;
    for (const kube::Document& document : kube::parse_documents(input)) {
        must(document.line > line && document.number > number, "documents come in order");
        line = document.line;
        number = document.number;
        if (!document.root)
            continue;
        Tally tally;
        look_at(*document.root, is_collection(*document.root) ? 1 : 0, tally);
        must(tally.nodes <= kube::kMaxNodes, "no tree has more than kMaxNodes nodes");
        if (tally.has_json)
            come_back(*document.root);
    }
    if (const auto json = kube::parse_json(input)) {
        Tally tally;
        look_at(*json, is_collection(*json) ? 1 : 0, tally);
        come_back(*json);
    }
}

}  // namespace tokenlet::fuzz
