// SPDX-License-Identifier: Apache-2.0
// Paths of projected files: the three places that judge them agree, and what they let through stays in the volume.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "fsatomic/path.h"
#include "kube/names.h"
#include "projector/clean_path.h"
#include "tests/fuzz/fuzz_target.h"

namespace tokenlet::fuzz {
namespace {

std::vector<std::string> elements_of(std::string_view path) {
    std::vector<std::string> elements(1);
    for (const char c : path) {
        if (c == '/')
            elements.emplace_back();
        else
            elements.back() += c;
    }
    return elements;
}

}  // namespace

void run_input(std::string_view input) {
    const auto clean = fsatomic::clean_path(input);
    must(projector::clean_path(input).has_value() == clean.has_value(), "projector and fsatomic take the same paths");
    must(kube::check_relative_path(input).empty() == clean.has_value(), "manifests may name what can be published");
    if (!clean)
        return;
    must(projector::clean_path(input) == *clean, "projector and fsatomic clean alike");
    must(fsatomic::clean_path(*clean) == *clean, "a clean path is clean");

    std::vector<std::string> model = elements_of(input);
    std::erase_if(model, [](const std::string& element) { return element.empty() || element == "."; });
    const std::vector<std::string> elements = elements_of(*clean);
    must(elements == model, "cleaning only drops '' and '.'");
    must(std::ranges::none_of(elements, [](const std::string& e) { return e == ".."; }), "nothing leads upwards");
    must(std::ranges::all_of(elements, [](const std::string& e) { return e.size() <= fsatomic::kMaxNameBytes; }),
         "each element is a file name");
    must(!elements.front().starts_with(".."), "the publishing protocol's own names are not taken");
    must(fsatomic::first_component(*clean) == elements.front(), "the first component is the first element");
    must(clean->size() <= fsatomic::kMaxPathBytes && !clean->contains('\0'), "the kernel takes it");
}

}  // namespace tokenlet::fuzz
