// SPDX-License-Identifier: Apache-2.0
// Typed reading of mappings, with errors that name line and field path.
//
//     Problems problems;
//     {
//         Fields top(document, problems);
//         config.node_name = top.string("nodeName").value_or(host_name);
//         Fields manifests = top.mapping("manifests");  // absent: every field of it is absent too
//         config.resync = manifests.duration("resync").value_or(10min);
//         top.for_each("notifications", [&](Fields& item, std::size_t) { names.push_back(item.required("name")); });
//     }  // here the fields that nobody asked for are reported
//     TRY(problems.result());  // "line 7: manifests.resnyc: unknown field, did you mean 'resync'?"
//
// Shapes   Fields reads one mapping; asking for a field makes its name known. What is absent, null or of a wrong type
//          reads as nothing, so that reading goes on and one run finds every problem.
// Owns     nothing: node, keys and problems must outlive it. Not movable: the fields below it point at it for their
//          path.
// Threads  any, one at a time.
// Errors   collected in Problems, in order of lines; result() is Invalid and holds the first few, "; " between them. At
//          most 64 bytes of a value are quoted.
// Differs  Kubernetes drops unknown fields in silence; here only ignore_others() does.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "kube/document.h"

namespace tokenlet::kube {

// A place in a document: "spec.volumes[0].projected". Links to its parent; spelled out only when something is wrong.
struct FieldPath {
    const FieldPath* parent = nullptr;
    std::string_view key;  // empty: an element of a list
    std::size_t index = 0;
    [[nodiscard]] std::string str() const;
};

class Problems {
public:
    void add(int line, const FieldPath& path, std::string_view what);
    [[nodiscard]] bool empty() const { return found_.empty(); }
    [[nodiscard]] std::size_t size() const { return found_.size(); }
    // Each as "line N: path: what", in order of lines.
    [[nodiscard]] std::vector<std::string> list() const;
    [[nodiscard]] Result<> result() const;

private:
    struct Problem {
        int line;
        std::string text;
    };
    std::vector<Problem> found_;
};

// The first three, "; " between them, and how many more there are.
[[nodiscard]] std::string first_few(std::span<const std::string> texts);

enum class Values { Quoted, Hidden };  // Hidden: of a document that holds secrets

class Fields {
public:
    // The top of a document, which must be a mapping.
    Fields(const Node& node, Problems& problems, Values values = Values::Quoted);
    Fields(const Fields&) = delete;
    Fields& operator=(const Fields&) = delete;
    // Reports the fields that nobody asked for.
    ~Fields();

    // Scalars.
    [[nodiscard]] std::optional<std::string> string(std::string_view key);
    [[nodiscard]] std::optional<std::int64_t> integer(std::string_view key);
    [[nodiscard]] std::optional<double> number(std::string_view key);  // an integer will do
    [[nodiscard]] std::optional<bool> boolean(std::string_view key);
    [[nodiscard]] std::optional<Duration> duration(std::string_view key);  // "10m", "1h30m", "1.5s", as Go spells it
    [[nodiscard]] std::optional<mode_t> mode(std::string_view key);        // an integer between 0 and 0777 octal
    // A string that is one of these; the message lists them.
    [[nodiscard]] std::optional<std::string> one_of(std::string_view key,
                                                    std::initializer_list<std::string_view> choices);
    // A string that must be there and not be empty; "" otherwise.
    [[nodiscard]] std::string required(std::string_view key);

    // Collections; absent ones are empty.
    [[nodiscard]] std::vector<std::string> strings(std::string_view key);
    [[nodiscard]] std::vector<std::int64_t> integers(std::string_view key);
    [[nodiscard]] std::map<std::string, std::string> string_map(std::string_view key);
    [[nodiscard]] Fields mapping(std::string_view key) { return Fields(*this, key); }
    // Calls use(Fields&, std::size_t index) for each mapping of a list.
    template <class Use>
    void for_each(std::string_view key, Use&& use);

    // Present, and not null. Makes the name known.
    [[nodiscard]] bool has(std::string_view key) { return node(key) != nullptr; }
    // The value as it stands, of whatever kind; null when absent or null.
    [[nodiscard]] const Node* node(std::string_view key);

    // Fields that exist but are of no use here; nothing below them is looked at.
    void ignore(std::span<const std::string_view> keys);
    void ignore(std::initializer_list<std::string_view> keys) { ignore(std::span(keys.begin(), keys.size())); }
    void ignore_others() { others_are_ignored_ = true; }

    // Reports a problem of this mapping, or of one of its fields.
    void fail(std::string_view what);
    void fail(std::string_view key, std::string_view what);

    [[nodiscard]] bool exists() const { return node_ != nullptr; }
    [[nodiscard]] int line() const { return line_; }
    [[nodiscard]] const FieldPath& path() const { return path_; }
    [[nodiscard]] Problems& problems() { return problems_; }

private:
    Fields(Fields& parent, std::string_view key);                                        // a field of a mapping
    Fields(Fields& parent, const FieldPath& list, const Node& node, std::size_t index);  // an element of a list

    void adopt(const Node& node);
    [[nodiscard]] const Node* of_kind(std::string_view key, Node::Kind kind);
    void wrong_kind(const Node& node, const FieldPath& path, std::string_view expected);
    // What `read` makes of each element of a list; nothing is a wrong kind.
    template <class Value, class Read>
    [[nodiscard]] std::vector<Value> list_of(std::string_view key, std::string_view expected, Read read);

    const Node* node_ = nullptr;  // the mapping; null when absent
    int line_ = 0;
    FieldPath path_;
    Problems& problems_;
    Values values_ = Values::Quoted;
    std::vector<std::string_view> known_;
    bool others_are_ignored_ = false;
};

// "1h30m", "1.5s", "250ms", "0"; Invalid for anything else.
[[nodiscard]] Result<Duration> parse_duration(std::string_view text);

template <class Use>
void Fields::for_each(std::string_view key, Use&& use) {
    const Node* list = of_kind(key, Node::Kind::Sequence);
    if (list == nullptr)
        return;
    const FieldPath list_path{&path_, key};
    for (std::size_t i = 0; i < list->children.size(); ++i) {
        Fields item(*this, list_path, list->children[i], i);
        use(item, i);
    }
}

}  // namespace tokenlet::kube
