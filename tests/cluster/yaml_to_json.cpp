// SPDX-License-Identifier: Apache-2.0
// Documents as a JSON list of texts on standard input; on standard output, for each, {"json": ...} or {"error": "..."}: what
// this project makes of it, to be compared with what Kubernetes makes of it (yaml.go).
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kube/document.h"

namespace {

using Json = nlohmann::ordered_json;
using tokenlet::kube::Node;

// A number keeps its spelling: beyond 64 bits a number of nlohmann's would not.
std::string json_of(const Node& node) {
    std::string text;
    const auto join = [&](char open, char close, auto member) {
        for (const Node& child : node.children)
            text += (text.empty() ? "" : ",") + member(child);
        return open + text + close;
    };
    switch (node.kind) {
        case Node::Kind::Null:
            return "null";
        case Node::Kind::Bool:
        case Node::Kind::Int:
        case Node::Kind::Float:
            return node.text;
        case Node::Kind::String:
            return Json(node.text).dump();
        case Node::Kind::Sequence:
            return join('[', ']', [](const Node& child) { return json_of(child); });
        case Node::Kind::Mapping:
            return join('{', '}', [](const Node& child) { return Json(child.key).dump() + ":" + json_of(child); });
    }
    return {};
}

std::string error_of(const std::string& what) {
    return R"({"error":)" + Json(what).dump() + "}";
}

std::string reading_of(const std::string& text) {
    const std::vector<tokenlet::kube::Document> documents = tokenlet::kube::parse_documents(text);
    if (documents.empty())
        return R"({"json":null})";
    const auto& root = documents.front().root;
    if (!root)
        return error_of(root.error().what);
    if (documents.size() > 1)
        return error_of("more than one document");
    const std::string json = json_of(*root);
    return Json::accept(json) ? R"({"json":)" + json + "}" : error_of("an infinity or no number");
}

}  // namespace

int main() {
    const Json texts = Json::parse(std::string(std::istreambuf_iterator<char>(std::cin), {}), nullptr, false);
    if (!texts.is_array()) {
        std::cerr << "yaml_to_json: standard input is no JSON list\n";
        return 1;
    }
    const char* separator = "[";
    for (const Json& text : texts) {
        std::cout << separator << reading_of(text.get<std::string>());
        separator = ",\n";
    }
    std::cout << (texts.empty() ? "[" : "") << "]\n";
}
