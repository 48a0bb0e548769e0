// SPDX-License-Identifier: Apache-2.0
// What a YAML scalar means (kube/yaml_scalar.h). The input is a tag and, from the second line on, the scalar.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>

#include "kube/yaml_scalar.h"
#include "tests/fuzz/fuzz_target.h"

namespace tokenlet::fuzz {
namespace {

using kube::Node;
using kube::Scalar;

bool is_decimal(std::string_view text) {
    if (text.starts_with('-'))
        text.remove_prefix(1);
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; }) &&
           (text == "0" || text.front() != '0');
}

void look_at(const Scalar& scalar, std::string_view text) {
    switch (scalar.kind) {
        case Node::Kind::Null:
            must(scalar.text.empty(), "null has no text");
            return;
        case Node::Kind::Bool:
            must(scalar.text == "true" || scalar.text == "false", "a boolean is true or false");
            return;
        case Node::Kind::Int:
            must(is_decimal(scalar.text), "an integer is decimal, without a zero in front");
            must(scalar.text != "-0", "there is one zero");
            return;
        case Node::Kind::Float: {
            if (scalar.text == ".inf" || scalar.text == "-.inf" || scalar.text == ".nan")
                return;
            double value = 0;
            const auto read = std::from_chars(scalar.text.data(), scalar.text.data() + scalar.text.size(), value);
            must(read.ec == std::errc() && read.ptr == scalar.text.data() + scalar.text.size() && std::isfinite(value),
                 "a float is JSON's");
            must(scalar.text.find_first_of(".e") != std::string::npos, "a float does not look like an integer");
            return;
        }
        case Node::Kind::String:
            must(scalar.text == text, "a string is what stands there");
            return;
        case Node::Kind::Sequence:
        case Node::Kind::Mapping:
            must(false, "a scalar is no collection");
    }
}

}  // namespace

void run_input(std::string_view input) {
    Lines lines(input);
    const std::string_view tag = lines.next();
    const std::string_view text = lines.rest();

    const auto plain = kube::resolve_scalar("", text);
    must(plain.has_value(), "a plain scalar always means something");
    look_at(*plain, text);
    if (plain->kind != Node::Kind::Null) {
        const auto again = kube::resolve_scalar("", plain->text);
        must(again == *plain, "a canonical spelling means what it says");
    }
    must(kube::resolve_scalar("!", text) == Scalar{Node::Kind::String, std::string(text)}, "in quotes all is text");

    const auto tagged = kube::resolve_scalar(tag, text);
    if (tagged && !tag.ends_with("binary"))
        look_at(*tagged, text);
    if (!tagged)
        must(text.size() < 8 || !tagged.error().what.contains(text), "a message does not quote the scalar");
}

}  // namespace tokenlet::fuzz
