// SPDX-License-Identifier: Apache-2.0
// Builds a tree of nodes from a parser's events, within limits.
//
// Shapes   scalar(), begin() and end() in document order; in a mapping, keys come as scalars before their values, and
//          the value takes the key's line. The first
//          thing that is wrong sticks: later events do nothing, and take() gives the error.
// Owns     the tree until take().     Threads  any, one at a time.
// Errors   Invalid, "line N: ...": limits, duplicate keys, keys that are no scalars, merges of what is no mapping.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "kube/document.h"

namespace tokenlet::kube {

class TreeBuilder {
public:
    using Anchor = std::size_t;  // 0: none

    void scalar(Node::Kind kind, std::string text, int line, Anchor anchor = 0);
    // YAML's `<<`: the mapping, or mappings, that follow lend their keys.
    void merge_key(int line);
    void begin(Node::Kind kind, int line, Anchor anchor = 0);
    void end();
    void alias(Anchor anchor, int line);
    void fail_at(int line, std::string what);

    [[nodiscard]] bool failed() const { return failure_.has_value(); }
    [[nodiscard]] Result<Node> take();

private:
    struct Open {
        Node* node;
        Anchor anchor;
        std::optional<std::string> key;  // read, its value still to come
        int key_line = 0;
        bool merging = false;  // the key was `<<`
        std::vector<Node> lenders;
    };
    struct Anchored {
        Node node;
        std::size_t nodes;
        std::size_t bytes;
    };

    [[nodiscard]] bool is_key_next() const;
    [[nodiscard]] bool count(std::size_t nodes, std::size_t bytes, int line);
    Node* place(Node node);
    void close(Node& node, Anchor anchor);
    void remember(const Node& node, Anchor anchor);
    void merge(Open& open);
    void refuse_duplicates(const Node& mapping);

    Node root_;
    bool has_root_ = false;
    std::vector<Open> open_;
    std::map<Anchor, Anchored> anchors_;
    std::size_t nodes_ = 0;
    std::size_t bytes_ = 0;
    std::size_t anchored_nodes_ = 0;
    std::optional<Error> failure_;
};

}  // namespace tokenlet::kube
