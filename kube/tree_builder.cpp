// SPDX-License-Identifier: Apache-2.0
#include "kube/tree_builder.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace tokenlet::kube {
namespace {

using Kind = Node::Kind;

// Above any file that is read; an alias bomb made of long scalars ends here.
constexpr std::size_t kMaxTextBytes = 32u << 20;

struct Size {
    std::size_t nodes = 0;
    std::size_t bytes = 0;
};

Size size_of(const Node& node) {
    Size size{1, node.text.size() + node.key.size()};
    for (const Node& child : node.children) {
        const Size below = size_of(child);
        size.nodes += below.nodes;
        size.bytes += below.bytes;
    }
    return size;
}

// As sigs.k8s.io/yaml turns a float into a key of JSON.
std::string float_key(const std::string& text) {
    float value = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    if (read.ec != std::errc())
        return text;  // .inf, .nan
    char buffer[64];
    const auto written = std::to_chars(buffer, buffer + sizeof buffer, value);
    return std::string(buffer, written.ptr);
}

}  // namespace

bool TreeBuilder::is_key_next() const {
    return !open_.empty() && open_.back().node->kind == Kind::Mapping && !open_.back().key;
}

bool TreeBuilder::count(std::size_t nodes, std::size_t bytes, int line) {
    nodes_ += nodes;
    bytes_ += bytes;
    if (nodes_ > kMaxNodes)
        fail_at(line, "more than " + std::to_string(kMaxNodes) + " values, aliases counted as often as they are used");
    else if (bytes_ > kMaxTextBytes)
        fail_at(line, "more than 32 MiB of text, aliases counted as often as they are used");
    return !failed();
}

// Puts a node where the next one belongs; a pointer to it stays good until its parent gets another child.
Node* TreeBuilder::place(Node node) {
    if (open_.empty()) {
        root_ = std::move(node);
        has_root_ = true;
        return &root_;
    }
    Open& parent = open_.back();
    std::vector<Node>& siblings = std::exchange(parent.merging, false) ? parent.lenders : parent.node->children;
    if (parent.key) {
        node.key = *std::exchange(parent.key, std::nullopt);
        node.line = parent.key_line;
    }
    return &siblings.emplace_back(std::move(node));
}

void TreeBuilder::scalar(Kind kind, std::string text, int line, Anchor anchor) {
    if (failed() || !count(1, text.size(), line))
        return;
    if (is_key_next()) {
        if (kind == Kind::Null)
            return fail_at(line, "a key must be text, not null");
        if (anchor != 0)
            remember(Node{kind, line, "", text, {}}, anchor);
        open_.back().key = kind == Kind::Float ? float_key(text) : std::move(text);
        open_.back().key_line = line;
        return;
    }
    Node* node = place(Node{kind, line, "", std::move(text), {}});
    close(*node, anchor);
}

void TreeBuilder::merge_key(int line) {
    if (failed())
        return;
    if (!is_key_next())
        return scalar(Kind::String, "<<", line);
    open_.back().key = "<<";
    open_.back().key_line = line;
    open_.back().merging = true;
}

void TreeBuilder::begin(Kind kind, int line, Anchor anchor) {
    if (failed() || !count(1, 0, line))
        return;
    if (is_key_next())
        return fail_at(line, "a key must be a scalar, not " + std::string(to_string(kind)));
    if (open_.size() >= kMaxDepth)
        return fail_at(line, "nested deeper than " + std::to_string(kMaxDepth) + " levels");
    Node* node = place(Node{kind, line, "", "", {}});
    open_.push_back(Open{node, anchor, std::nullopt, 0, false, {}});
}

void TreeBuilder::end() {
    if (failed())
        return;
    Open open = std::move(open_.back());
    open_.pop_back();
    if (open.node->kind == Kind::Mapping) {
        refuse_duplicates(*open.node);
        if (!open.lenders.empty())
            merge(open);
    }
    if (!failed())
        close(*open.node, open.anchor);
}

void TreeBuilder::close(Node& node, Anchor anchor) {
    if (anchor != 0)
        remember(node, anchor);
}

void TreeBuilder::remember(const Node& node, Anchor anchor) {
    const Size size = size_of(node);
    // Anchors within anchors are kept once each: they count as well.
    anchored_nodes_ += size.nodes;
    if (anchored_nodes_ > kMaxNodes)
        return fail_at(node.line, "more than " + std::to_string(kMaxNodes) + " values below anchors");
    anchors_.insert_or_assign(anchor, Anchored{node, size.nodes, size.bytes});
}

void TreeBuilder::alias(Anchor anchor, int line) {
    if (failed())
        return;
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end())
        return fail_at(line, "an alias to a value that contains it");
    const Anchored& anchored = found->second;
    if (is_key_next() && anchored.node.children.empty() && anchored.node.kind < Kind::Sequence)
        return scalar(anchored.node.kind, anchored.node.text, line);
    if (is_key_next())
        return fail_at(line, "a key must be a scalar, not " + std::string(to_string(anchored.node.kind)));
    if (!count(anchored.nodes, anchored.bytes, line))
        return;
    Node copy = anchored.node;
    copy.key.clear();
    place(std::move(copy));
}

// Keys of its own win over lent ones, earlier lenders over later ones.
void TreeBuilder::merge(Open& open) {
    std::vector<const Node*> mappings;
    for (const Node& lender : open.lenders) {
        if (lender.kind == Kind::Sequence)
            for (const Node& element : lender.children)
                mappings.push_back(&element);
        else
            mappings.push_back(&lender);
    }
    std::vector<std::string> own;
    for (const Node& child : open.node->children)
        own.push_back(child.key);
    std::ranges::sort(own);
    for (const Node* mapping : mappings) {
        if (mapping->kind != Kind::Mapping)
            return fail_at(mapping->line, "<< takes a mapping, or a list of mappings");
        const std::size_t before = open.node->children.size();
        for (const Node& lent : mapping->children) {
            if (std::ranges::binary_search(own, lent.key))
                continue;
            const Size size = size_of(lent);
            if (!count(size.nodes, size.bytes, lent.line))
                return;
            open.node->children.push_back(lent);
        }
        for (std::size_t i = before; i < open.node->children.size(); ++i)
            own.push_back(open.node->children[i].key);
        std::ranges::sort(own);
    }
}

void TreeBuilder::refuse_duplicates(const Node& mapping) {
    const Node* second = nullptr;
    const std::vector<Node>& children = mapping.children;
    constexpr std::size_t kFew = 16;
    if (children.size() <= kFew) {
        for (std::size_t i = 1; i < children.size() && second == nullptr; ++i)
            for (std::size_t j = 0; j < i && second == nullptr; ++j)
                if (children[i].key == children[j].key)
                    second = &children[i];
    } else {
        std::vector<const Node*> sorted;
        sorted.reserve(children.size());
        for (const Node& child : children)
            sorted.push_back(&child);
        std::ranges::stable_sort(sorted, {}, [](const Node* child) -> std::string_view { return child->key; });
        const auto pair =
            std::ranges::adjacent_find(sorted, [](const Node* a, const Node* b) { return a->key == b->key; });
        if (pair != sorted.end())
            second = *std::next(pair);
    }
    if (second != nullptr)
        fail_at(second->line, "the key '" + second->key.substr(0, 64) + "' is there already");
}

void TreeBuilder::fail_at(int line, std::string what) {
    if (!failure_)
        failure_ = Error{Errc::Invalid, "line " + std::to_string(line) + ": " + std::move(what), 0};
}

Result<Node> TreeBuilder::take() {
    if (failure_)
        return std::unexpected(*std::move(failure_));
    return std::move(root_);
}

}  // namespace tokenlet::kube
