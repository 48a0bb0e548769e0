// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "kube/readers.h"
#include "kube/tree_builder.h"

namespace tokenlet::kube {
namespace {

// nlohmann tells its SAX handlers no positions, so the lines are counted where it takes its bytes from. It reads one byte
// beyond a number: a line feed counts when the byte after it is taken.
struct Lines {
    int line = 1;
    bool last_was_feed = false;
    void take(char c) {
        line += last_was_feed ? 1 : 0;
        last_was_feed = c == '\n';
    }
};

class CountingIterator {
public:
    using iterator_category = std::input_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char*;
    using reference = const char&;

    CountingIterator(const char* at, Lines* lines) : at_(at), lines_(lines) {}
    reference operator*() const { return *at_; }
    CountingIterator& operator++() {
        lines_->take(*at_++);
        return *this;
    }
    CountingIterator operator++(int) {
        CountingIterator before = *this;
        ++*this;
        return before;
    }
    bool operator==(const CountingIterator& other) const { return at_ == other.at_; }

private:
    const char* at_;
    Lines* lines_;
};

// What the parser says, without the bytes it read: they may be a Secret's.
std::string without_input(std::string what) {
    if (const std::size_t at = what.find("syntax error"); at != std::string::npos)
        what.erase(0, at);
    if (const std::size_t at = what.find("; last read:"); at != std::string::npos) {
        const std::size_t expected = what.rfind("; expected");
        what.erase(at, expected != std::string::npos && expected > at ? expected - at : std::string::npos);
    }
    return what;
}

class Events final : public nlohmann::json_sax<nlohmann::json> {
public:
    explicit Events(const Lines& lines) : lines_(lines) {}

    [[nodiscard]] TreeBuilder& builder() { return builder_; }

    bool null() override { return scalar(Node::Kind::Null, ""); }
    bool boolean(bool value) override { return scalar(Node::Kind::Bool, value ? "true" : "false"); }
    bool number_integer(number_integer_t value) override { return scalar(Node::Kind::Int, std::to_string(value)); }
    bool number_unsigned(number_unsigned_t value) override { return scalar(Node::Kind::Int, std::to_string(value)); }
    bool number_float(number_float_t, const string_t& spelling) override { return scalar(Node::Kind::Float, spelling); }
    bool string(string_t& value) override { return scalar(Node::Kind::String, std::move(value)); }
    bool binary(binary_t&) override { return false; }
    bool start_object(std::size_t) override { return begin(Node::Kind::Mapping); }
    bool key(string_t& name) override { return scalar(Node::Kind::String, std::move(name)); }
    bool end_object() override { return end(); }
    bool start_array(std::size_t) override { return begin(Node::Kind::Sequence); }
    bool end_array() override { return end(); }
    bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) override {
        builder_.fail_at(lines_.line, "JSON: " + without_input(error.what()));
        return false;
    }

private:
    bool scalar(Node::Kind kind, std::string text) {
        builder_.scalar(kind, std::move(text), lines_.line);
        return !builder_.failed();
    }
    bool begin(Node::Kind kind) {
        builder_.begin(kind, lines_.line);
        return !builder_.failed();
    }
    bool end() {
        builder_.end();
        return !builder_.failed();
    }

    TreeBuilder builder_;
    const Lines& lines_;
};

}  // namespace

Result<Node> read_json(std::string_view text, int first_line) {
    Lines lines{.line = first_line};
    Events events(lines);
    const CountingIterator begin(text.data(), &lines);
    const CountingIterator end(text.data() + text.size(), &lines);
    (void)nlohmann::json::sax_parse(begin, end, &events);  // what it returns, the builder knows too
    return events.builder().take();
}

}  // namespace tokenlet::kube
