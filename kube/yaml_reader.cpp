// SPDX-License-Identifier: Apache-2.0
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <istream>
#include <streambuf>
#include <string>
#include <utility>

#include "kube/readers.h"
#include "kube/tree_builder.h"
#include "kube/yaml_scalar.h"

namespace tokenlet::kube {
namespace {

// A stream over text that stays where it is.
class ViewBuffer : public std::streambuf {
public:
    explicit ViewBuffer(std::string_view text) {
        char* begin = const_cast<char*>(text.data());  // setg() wants it so; nothing writes
        setg(begin, begin, begin + text.size());
    }
};

class Events final : public YAML::EventHandler {
public:
    explicit Events(int first_line) : first_line_(first_line) {}

    [[nodiscard]] TreeBuilder& builder() { return builder_; }
    [[nodiscard]] bool has_content() const { return has_content_; }

    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        has_content_ = true;
        builder_.scalar(Node::Kind::Null, "", line(mark), anchor);
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override { builder_.alias(anchor, line(mark)); }

    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        has_content_ = true;
        const bool is_plain = tag == "?";  // yaml-cpp's own sign for: no tag, no quotes
        if (builder_.failed())
            return;
        if (is_plain && value == "<<")
            return builder_.merge_key(line(mark));
        auto scalar = resolve_scalar(is_plain ? std::string_view() : tag, value);
        if (!scalar)
            return builder_.fail_at(line(mark), std::move(scalar.error().what));
        builder_.scalar(scalar->kind, std::move(scalar->text), line(mark), anchor);
    }

    void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        has_content_ = true;
        builder_.begin(Node::Kind::Sequence, line(mark), anchor);
    }
    void OnSequenceEnd() override { builder_.end(); }

    void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        has_content_ = true;
        builder_.begin(Node::Kind::Mapping, line(mark), anchor);
    }
    void OnMapEnd() override { builder_.end(); }

    [[nodiscard]] int line(const YAML::Mark& mark) const { return first_line_ + mark.line; }

private:
    TreeBuilder builder_;
    int first_line_;
    bool has_content_ = false;
};

}  // namespace

Result<std::optional<Node>> read_yaml(std::string_view text, int first_line) {
    Events events(first_line);
    try {
        ViewBuffer buffer(text);
        std::istream stream(&buffer);
        YAML::Parser parser(stream);
        if (!parser.HandleNextDocument(events))
            return std::nullopt;
    } catch (const YAML::Exception& error) {
        if (!events.builder().failed())
            return fail(Errc::Invalid, "line " + std::to_string(events.line(error.mark)) + ": YAML: " + error.msg);
    }
    if (!events.has_content() && !events.builder().failed())
        return std::nullopt;
    return TRY(events.builder().take());
}

}  // namespace tokenlet::kube
