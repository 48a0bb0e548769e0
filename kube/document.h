// SPDX-License-Identifier: Apache-2.0
// YAML and JSON text as a tree of plain nodes that know their lines.
//
// Shapes   Documents(bytes), parse_documents(bytes): each document of the file, in order; those without content are
//          left out. A document that starts as a JSON object does is JSON; everything else is YAML.
// Units    lines count from 1, within the file.
// Owns     its text. Nodes are values; an alias becomes a copy of what it names.
// Threads  any.
// Errors   Invalid, "line N: ...", and only for the document that is broken, unless the bytes are not text at all.
//          Values are never quoted: the file may hold Secrets. Refused: duplicate keys, more than kMaxNodes nodes after
//          aliases, more than kMaxDepth levels, control characters, bytes that are not UTF-8, keys that are no scalars.
// Source   scalars resolve as sigs.k8s.io/yaml has it (kube/yaml_scalar.h): 0644 is an octal integer, yes and on are
//          booleans, a quoted scalar is a string, a timestamp stays a string.
// Differs  upstream reads only the first document of a manifest file, and lets JSON repeat a key.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tokenlet::kube {

inline constexpr std::size_t kMaxNodes = 100'000;
inline constexpr std::size_t kMaxDepth = 100;
inline constexpr std::size_t kMaxDocuments = 20'000;

struct Node {
    enum class Kind { Null, Bool, Int, Float, String, Sequence, Mapping };

    Kind kind = Kind::Null;
    int line = 0;
    std::string key;   // in a mapping: the key under which this node stands
    std::string text;  // Bool: "true" or "false". Int: decimal, may exceed 64 bits. Float: JSON's spelling, or .inf,
                       // -.inf, .nan. String: the text. Otherwise empty.
    std::vector<Node> children;  // Sequence, Mapping: in the order of the file

    // The child with that key, or null.
    [[nodiscard]] const Node* find(std::string_view name) const;
};

// With its article, for messages: "a string", "an integer", "a list", "a mapping", "nothing".
[[nodiscard]] std::string_view to_string(Node::Kind kind);

struct Document {
    int number = 1;  // from 1, within the file
    int line = 1;    // on which its content starts
    Result<Node> root;
};

// The documents of a file one by one, so that no more than one tree stands in memory. Refers to the bytes.
class Documents {
public:
    explicit Documents(std::string_view bytes);
    [[nodiscard]] std::optional<Document> next();
    [[nodiscard]] std::size_t size() const { return chunks_.size(); }

private:
    struct Chunk {
        std::string_view text;
        int line;
    };
    [[nodiscard]] static Result<std::optional<Node>> read(const Chunk& chunk);

    Result<> text_;  // whether the bytes are text at all
    std::vector<Chunk> chunks_;
    std::size_t next_ = 0;
};

[[nodiscard]] std::vector<Document> parse_documents(std::string_view bytes);

// One JSON value and nothing else: the parts of a token, the answers of a server.
[[nodiscard]] Result<Node> parse_json(std::string_view bytes);

// What stands at the end of a way of keys; null and "" where it leads nowhere.
[[nodiscard]] const Node* find_at(const Node& root, std::initializer_list<std::string_view> path);
[[nodiscard]] std::string text_at(const Node& root, std::initializer_list<std::string_view> path);

// Overwrites all text below a node: for documents that hold Secrets.
void wipe(Node& node) noexcept;

// For a tree that holds keys or tokens: it is wiped however reading ends.
class WipedAtTheEnd {
public:
    explicit WipedAtTheEnd(Node& node) : node_(node) {}
    WipedAtTheEnd(const WipedAtTheEnd&) = delete;
    WipedAtTheEnd& operator=(const WipedAtTheEnd&) = delete;
    ~WipedAtTheEnd() { wipe(node_); }

private:
    Node& node_;
};

}  // namespace tokenlet::kube
