// SPDX-License-Identifier: Apache-2.0
#include "kube/node_json.h"

#include <nlohmann/json.hpp>

namespace tokenlet::kube {
namespace {

using Kind = Node::Kind;

void write(const Node& node, std::string& json) {
    switch (node.kind) {
        case Kind::Null:
            json += "null";
            return;
        case Kind::Float:
            json += node.text.starts_with('.') || node.text.starts_with("-.") ? "null" : node.text;
            return;
        case Kind::Bool:
        case Kind::Int:
            json += node.text;
            return;
        case Kind::String:
            json += json_string(node.text);
            return;
        case Kind::Sequence:
        case Kind::Mapping:
            break;
    }
    const bool is_mapping = node.kind == Kind::Mapping;
    json += is_mapping ? '{' : '[';
    for (const Node& child : node.children) {
        if (&child != &node.children.front())
            json += ',';
        if (is_mapping)
            json.append(json_string(child.key)).append(":");
        write(child, json);
    }
    json += is_mapping ? '}' : ']';
}

}  // namespace

std::string to_json(const Node& node) {
    std::string json;
    write(node, json);
    return json;
}

std::string json_string(std::string_view text) {
    // Bytes that are not UTF-8 would make dump() throw; they are replaced.
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace tokenlet::kube
