// SPDX-License-Identifier: Apache-2.0
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <istream>
#include <streambuf>
#include <string>
#include <utility>

#include "base/utf8.h"
#include "kube/readers.h"
#include "kube/tree_builder.h"
#include "kube/yaml_scalar.h"

namespace tokenlet::kube {
namespace {

// yaml-cpp has no limits, and looks ahead for as long as a bracket may still turn out to be part of a key: ten million of
// them cost it gigabytes. So the text is handed out in pieces, and no more of it when something is wrong already, or when
// too much went by without a single event. What really may go by is one long scalar.
class Input : public std::streambuf {
public:
    Input(std::string_view text, TreeBuilder& builder, int line) : rest_(text), builder_(builder), line_(line) {
        // yaml-cpp misses that a quote is open when the text ends right behind a line feed, but not when the next document
        // begins there.
        const std::size_t last = text.find_last_not_of(" \t\r");
        if (last != std::string_view::npos && text[last] == '\n') {
            rest_ = text.substr(0, last + 1);
            end_ = "---\n";
        }
    }

    // An event came: what went by before it is settled.
    void settle() {
        bytes_unsettled_ = 0;
        brackets_open_ = 0;
    }

protected:
    int_type underflow() override {
        constexpr std::size_t kPiece = 2048;
        constexpr std::size_t kMostUnsettledBytes = 2u << 20;
        constexpr int kMostOpenBrackets = 100'000;  // 240 bytes each
        if (rest_.empty())
            rest_ = std::exchange(end_, {});
        if (rest_.empty() || builder_.failed())
            return traits_type::eof();
        if (bytes_unsettled_ > kMostUnsettledBytes)
            builder_.fail_at(line_, "a single value of more than 2 MiB");
        if (brackets_open_ > kMostOpenBrackets)
            builder_.fail_at(line_, "nested deeper than " + std::to_string(kMaxDepth) + " levels");
        if (builder_.failed())
            return traits_type::eof();
        const std::string_view piece = rest_.substr(0, kPiece);
        rest_.remove_prefix(piece.size());
        bytes_unsettled_ += piece.size();
        for (char c : piece) {
            line_ += c == '\n' ? 1 : 0;
            brackets_open_ += c == '[' || c == '{' ? 1 : 0;
            brackets_open_ -= (c == ']' || c == '}') && brackets_open_ > 0 ? 1 : 0;
        }
        char* begin = const_cast<char*>(piece.data());  // setg() wants it so; nothing writes
        setg(begin, begin, begin + piece.size());
        return traits_type::to_int_type(piece.front());
    }

private:
    std::string_view rest_;
    std::string_view end_;
    TreeBuilder& builder_;
    int line_;
    std::size_t bytes_unsettled_ = 0;
    int brackets_open_ = 0;
};

class Events final : public YAML::EventHandler {
public:
    Events(std::string_view text, int first_line) : input_(text, builder_, first_line), first_line_(first_line) {}

    [[nodiscard]] TreeBuilder& builder() { return builder_; }
    [[nodiscard]] Input& input() { return input_; }
    [[nodiscard]] bool has_content() const { return has_content_; }

    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        begin_event();
        builder_.scalar(Node::Kind::Null, "", line(mark), anchor);
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        begin_event();
        builder_.alias(anchor, line(mark));
    }

    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        begin_event();
        const bool is_plain = tag == "?";  // yaml-cpp's own sign for: no tag, no quotes
        if (builder_.failed())
            return;
        if (is_plain && value == "<<")
            return builder_.merge_key(line(mark));
        auto scalar = resolve_scalar(is_plain ? std::string_view() : tag, value);
        if (!scalar)
            return builder_.fail_at(line(mark), std::move(scalar.error().what));
        // yaml-cpp makes a lone byte of "\\N" and "\\_"; !!binary can be anything.
        if (!is_plain && !is_utf8(scalar->text))
            return builder_.fail_at(line(mark), "not UTF-8");
        builder_.scalar(scalar->kind, std::move(scalar->text), line(mark), anchor);
    }

    void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        begin_event();
        builder_.begin(Node::Kind::Sequence, line(mark), anchor);
    }
    void OnSequenceEnd() override { builder_.end(); }

    void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        begin_event();
        builder_.begin(Node::Kind::Mapping, line(mark), anchor);
    }
    void OnMapEnd() override { builder_.end(); }

    [[nodiscard]] int line(const YAML::Mark& mark) const { return first_line_ + mark.line; }

private:
    void begin_event() {
        has_content_ = true;
        input_.settle();
    }

    TreeBuilder builder_;
    Input input_;
    int first_line_;
    bool has_content_ = false;
};

// yaml-cpp's words, where they say little to who does not know it.
std::string plainly(const std::string& message) {
    if (message == YAML::ErrorMsg::MAP_VALUE)
        return "a colon where no key can stand; check the indentation, and put text that holds ': ' in quotes";
    if (message == YAML::ErrorMsg::EOF_IN_SCALAR)
        return "the document ends within quotes";
    return message;
}

}  // namespace

Result<std::optional<Node>> read_yaml(std::string_view text, int first_line) {
    Events events(text, first_line);
    try {
        std::istream stream(&events.input());
        YAML::Parser parser(stream);
        if (!parser.HandleNextDocument(events))
            return std::nullopt;
        // What is indented wrongly (`- a`, then `b: 1`) is to yaml-cpp another document, without any marker.
        Events rest({}, first_line);
        if (!events.builder().failed() && parser.HandleNextDocument(rest) && rest.has_content()) {
            const Node more = TRY(rest.builder().take());
            if (more.kind != Node::Kind::Null)
                return fail(Errc::Invalid,
                            "line " + std::to_string(more.line) + ": not a part of what stands before it");
        }
    } catch (const YAML::Exception& error) {
        if (!events.builder().failed())
            return fail(Errc::Invalid,
                        "line " + std::to_string(events.line(error.mark)) + ": YAML: " + plainly(error.msg));
    }
    if (!events.has_content() && !events.builder().failed())
        return std::nullopt;
    return TRY(events.builder().take());
}

}  // namespace tokenlet::kube
