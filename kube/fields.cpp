// SPDX-License-Identifier: Apache-2.0
#include "kube/fields.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <limits>
#include <utility>

#include "base/did_you_mean.h"

namespace tokenlet::kube {
namespace {

using Kind = Node::Kind;

constexpr std::size_t kMostQuoted = 64;
constexpr std::size_t kMostReported = 3;

std::string quoted(std::string_view text) {
    return text.size() <= kMostQuoted ? "\"" + std::string(text) + "\""
                                      : "\"" + std::string(text.substr(0, kMostQuoted)) + "\"...";
}

// "string \"x\"", "list": what a person sees in the file.
std::string describe(const Node& node, Values values) {
    const std::string kind(to_string(node.kind));
    const bool has_text = node.kind != Kind::Null && node.kind < Kind::Sequence;
    if (!has_text || values == Values::Hidden)
        return kind;
    return kind.substr(kind.find(' ') + 1) + " " + (node.kind == Kind::String ? quoted(node.text) : node.text);
}

std::optional<std::int64_t> to_integer(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

std::string octal(std::int64_t mode) {
    char digits[32];
    const auto written = std::to_chars(digits, digits + sizeof digits, mode, 8);
    return "0" + std::string(digits, written.ptr);
}

}  // namespace

std::string FieldPath::str() const {
    std::string text = parent == nullptr ? "" : parent->str();
    if (key.data() == nullptr)
        return parent == nullptr ? text : text + "[" + std::to_string(index) + "]";
    const bool is_plain = !key.empty() && key.find_first_of(".[]/ ") == std::string_view::npos;
    if (!is_plain)
        return text + "[" + std::string(key.substr(0, kMostQuoted)) + "]";
    return text.empty() ? std::string(key.substr(0, kMostQuoted))
                        : text + "." + std::string(key.substr(0, kMostQuoted));
}

void Problems::add(int line, const FieldPath& path, std::string_view what) {
    const std::string where = path.str();
    found_.push_back({line, (where.empty() ? "" : where + ": ") + std::string(what)});
}

std::vector<std::string> Problems::list() const {
    std::vector<const Problem*> sorted;
    for (const Problem& problem : found_)
        sorted.push_back(&problem);
    std::ranges::stable_sort(sorted, {}, [](const Problem* problem) { return problem->line; });
    std::vector<std::string> texts;
    for (const Problem* problem : sorted)
        texts.push_back("line " + std::to_string(problem->line) + ": " + problem->text);
    return texts;
}

Result<> Problems::result() const {
    if (found_.empty())
        return {};
    return fail(Errc::Invalid, first_few(list()));
}

std::string first_few(std::span<const std::string> texts) {
    std::string few;
    for (const std::string& text : texts.first(std::min(texts.size(), kMostReported)))
        few.append(few.empty() ? "" : "; ").append(text);
    if (texts.size() > kMostReported)
        few += "; and " + std::to_string(texts.size() - kMostReported) + " more";
    return few;
}

Fields::Fields(const Node& node, Problems& problems, Values values)
    : line_(node.line), problems_(problems), values_(values) {
    adopt(node);
}

Fields::Fields(Fields& parent, std::string_view key)
    : line_(parent.line_), path_{&parent.path_, key}, problems_(parent.problems_), values_(parent.values_) {
    if (const Node* node = parent.node(key))
        adopt(*node);
}

Fields::Fields(Fields& parent, const FieldPath& list, const Node& node, std::size_t index)
    : line_(node.line), path_{&list, {}, index}, problems_(parent.problems_), values_(parent.values_) {
    adopt(node);
}

void Fields::adopt(const Node& node) {
    line_ = node.line;
    if (node.kind == Kind::Mapping)
        node_ = &node;
    else
        wrong_kind(node, path_, "a mapping");
}

Fields::~Fields() {
    if (node_ == nullptr || others_are_ignored_)
        return;
    for (const Node& child : node_->children) {
        if (std::ranges::find(known_, std::string_view(child.key)) != known_.end())
            continue;
        problems_.add(child.line, FieldPath{&path_, child.key}, "unknown field" + did_you_mean(child.key, known_));
    }
}

const Node* Fields::node(std::string_view key) {
    known_.push_back(key);
    const Node* found = node_ == nullptr ? nullptr : node_->find(key);
    return found == nullptr || found->kind == Kind::Null ? nullptr : found;
}

const Node* Fields::of_kind(std::string_view key, Kind kind) {
    const Node* found = node(key);
    if (found == nullptr || found->kind == kind)
        return found;
    wrong_kind(*found, FieldPath{&path_, key}, to_string(kind));
    return nullptr;
}

void Fields::wrong_kind(const Node& node, const FieldPath& path, std::string_view expected) {
    const bool is_quoted_number =
        node.kind == Kind::String && expected == to_string(Kind::Int) && to_integer(node.text);
    const bool is_quoted_bool =
        node.kind == Kind::String && expected == to_string(Kind::Bool) && (node.text == "true" || node.text == "false");
    const bool is_unquoted =
        expected == to_string(Kind::String) && node.kind != Kind::String && node.kind < Kind::Sequence;
    problems_.add(node.line, path,
                  "expected " + std::string(expected) + ", found " + describe(node, values_) +
                      (is_quoted_number || is_quoted_bool ? "; take the quotes away"
                       : is_unquoted                      ? "; put it in quotes"
                                                          : ""));
}

std::optional<std::string> Fields::string(std::string_view key) {
    const Node* found = of_kind(key, Kind::String);
    return found == nullptr ? std::nullopt : std::optional(found->text);
}

std::optional<std::int64_t> Fields::integer(std::string_view key) {
    const Node* found = of_kind(key, Kind::Int);
    if (found == nullptr)
        return std::nullopt;
    const auto value = to_integer(found->text);
    if (!value)
        fail(key, found->text + " does not fit into 64 bits");
    return value;
}

std::optional<double> Fields::number(std::string_view key) {
    const Node* found = node(key);
    if (found == nullptr)
        return std::nullopt;
    double value = 0;
    const bool is_number = found->kind == Kind::Int || found->kind == Kind::Float;
    const std::string& text = found->text;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    if (!is_number || read.ec != std::errc() || read.ptr != text.data() + text.size()) {
        wrong_kind(*found, FieldPath{&path_, key}, "a number");
        return std::nullopt;
    }
    return value;
}

std::optional<bool> Fields::boolean(std::string_view key) {
    const Node* found = of_kind(key, Kind::Bool);
    return found == nullptr ? std::nullopt : std::optional(found->text == "true");
}

std::optional<Duration> Fields::duration(std::string_view key) {
    const Node* found = node(key);
    if (found == nullptr)
        return std::nullopt;
    auto value = found->kind == Kind::String || found->text == "0" ? parse_duration(found->text)
                                                                   : tokenlet::fail(Errc::Invalid, "");
    if (value)
        return *value;
    wrong_kind(*found, FieldPath{&path_, key}, "a duration such as 90s, 10m or 1h30m");
    return std::nullopt;
}

std::optional<mode_t> Fields::mode(std::string_view key) {
    const Node* found = node(key);
    if (found != nullptr && found->kind == Kind::String) {
        wrong_kind(*found, FieldPath{&path_, key}, "an integer such as 0644, without quotes");
        return std::nullopt;
    }
    const auto value = integer(key);
    if (!value)
        return std::nullopt;
    if (*value < 0 || *value > 0777) {
        const std::string shown =
            *value > 0777 ? octal(*value) + " (decimal " + std::to_string(*value) + ")" : std::to_string(*value);
        const std::string digits = std::to_string(*value);
        const bool is_octal = *value > 0777 && digits.size() == 3 && digits.find_first_of("89") == digits.npos;
        fail(key, shown + " is no file mode, which lies between 0 and 0777 octal" +
                      (is_octal ? ", did you mean 0" + digits + "?" : ""));
        return std::nullopt;
    }
    return static_cast<mode_t>(*value);
}

std::optional<std::string> Fields::one_of(std::string_view key, std::initializer_list<std::string_view> choices) {
    auto value = string(key);
    if (!value || std::ranges::find(choices, std::string_view(*value)) != choices.end())
        return value;
    std::string list;
    for (std::size_t i = 0; std::string_view choice : choices) {
        list += i == 0 ? "" : i + 1 == choices.size() ? " or " : ", ";
        list += choice;
        ++i;
    }
    fail(key,
         quoted(*value) + " is not one of " + list + did_you_mean(*value, std::span(choices.begin(), choices.size())));
    return std::nullopt;
}

std::string Fields::required(std::string_view key) {
    const std::size_t before = problems_.size();
    std::string value = string(key).value_or("");
    if (value.empty() && problems_.size() == before)
        fail(key, "required");
    return value;
}

template <class Value, class Read>
std::vector<Value> Fields::list_of(std::string_view key, std::string_view expected, Read read) {
    std::vector<Value> values;
    const Node* list = of_kind(key, Kind::Sequence);
    if (list == nullptr)
        return values;
    const FieldPath list_path{&path_, key};
    for (std::size_t i = 0; i < list->children.size(); ++i) {
        const Node& element = list->children[i];
        if (std::optional<Value> value = read(element))
            values.push_back(std::move(*value));
        else
            wrong_kind(element, FieldPath{&list_path, {}, i}, expected);
    }
    return values;
}

std::vector<std::string> Fields::strings(std::string_view key) {
    return list_of<std::string>(key, "a string", [](const Node& element) {
        return element.kind == Kind::String ? std::optional(element.text) : std::nullopt;
    });
}

std::vector<std::int64_t> Fields::integers(std::string_view key) {
    return list_of<std::int64_t>(key, "an integer", [](const Node& element) {
        return element.kind == Kind::Int ? to_integer(element.text) : std::nullopt;
    });
}

std::map<std::string, std::string> Fields::string_map(std::string_view key) {
    std::map<std::string, std::string> values;
    const Node* mapping = of_kind(key, Kind::Mapping);
    if (mapping == nullptr)
        return values;
    const FieldPath mapping_path{&path_, key};
    for (const Node& child : mapping->children) {
        if (child.kind == Kind::String)
            values.emplace(child.key, child.text);
        else if (child.kind == Kind::Null)
            values.emplace(child.key, "");  // as Go reads a null into a string
        else
            wrong_kind(child, FieldPath{&mapping_path, child.key}, to_string(Kind::String));
    }
    return values;
}

void Fields::ignore(std::span<const std::string_view> keys) {
    known_.insert(known_.end(), keys.begin(), keys.end());
}

void Fields::fail(std::string_view what) {
    problems_.add(line_, path_, what);
}

void Fields::fail(std::string_view key, std::string_view what) {
    const Node* found = node_ == nullptr ? nullptr : node_->find(key);
    problems_.add(found == nullptr ? line_ : found->line, FieldPath{&path_, key}, what);
}

Result<Duration> parse_duration(std::string_view text) {
    struct Unit {
        std::string_view name;
        std::int64_t ns;
    };
    // Longer names first: "ms" is no "m".
    constexpr Unit kUnits[] = {{"ns", 1},
                               {"us", 1'000},
                               {"µs", 1'000},
                               {"ms", 1'000'000},
                               {"s", 1'000'000'000},
                               {"m", 60'000'000'000},
                               {"h", 3'600'000'000'000}};
    const auto refuse = [&] {
        return tokenlet::fail(Errc::Invalid, quoted(text) + " is no duration such as 90s, 10m or 1h30m");
    };

    std::string_view rest = text;
    const bool negative = rest.starts_with('-');
    if (negative || rest.starts_with('+'))
        rest.remove_prefix(1);
    if (rest == "0")
        return Duration::zero();
    if (rest.empty())
        return refuse();
    __extension__ using Wide = __int128;
    constexpr Wide kMost = std::numeric_limits<std::int64_t>::max();
    Wide total = 0;
    while (!rest.empty()) {
        std::size_t digits = 0;
        std::size_t at = 0;
        Wide whole = 0;
        for (; at < rest.size() && rest[at] >= '0' && rest[at] <= '9'; ++at, ++digits)
            if (whole = whole * 10 + (rest[at] - '0'); whole > kMost)
                return refuse();
        Wide fraction = 0;
        Wide scale = 1;
        if (at < rest.size() && rest[at] == '.') {
            for (++at; at < rest.size() && rest[at] >= '0' && rest[at] <= '9'; ++at, ++digits) {
                if (scale < kMost / 10) {  // what is finer than that is nothing
                    fraction = fraction * 10 + (rest[at] - '0');
                    scale *= 10;
                }
            }
        }
        rest.remove_prefix(at);
        const auto unit = std::ranges::find_if(kUnits, [&](const Unit& u) { return rest.starts_with(u.name); });
        if (digits == 0 || unit == std::end(kUnits))
            return refuse();
        rest.remove_prefix(unit->name.size());
        total += whole * unit->ns + fraction * unit->ns / scale;
        if (total > kMost)
            return refuse();
    }
    return Duration(static_cast<std::int64_t>(negative ? -total : total));
}

}  // namespace tokenlet::kube
