// SPDX-License-Identifier: Apache-2.0
#include "kube/manifest_name.h"

#include <algorithm>
#include <cctype>

namespace tokenlet::kube {
namespace {

constexpr std::string_view kLeftoverEndings[] = {
    "~",         ".bak",     ".backup",   ".old",      ".orig",     ".rej",       ".save",
    ".swp",      ".swo",     ".tmp",      ".disabled", ".dpkg-new", ".dpkg-dist", ".dpkg-old",
    ".dpkg-tmp", ".ucf-new", ".ucf-dist", ".ucf-old",  ".rpmnew",   ".rpmsave",   ".rpmorig",
};

// "sed" and mkstemp's six characters.
bool is_sed_temporary(std::string_view name) {
    return name.size() == 9 && name.starts_with("sed") &&
           std::ranges::all_of(name, [](unsigned char c) { return std::isalnum(c) != 0; });
}

}  // namespace

bool is_manifest_name(std::string_view name) {
    if (name.empty() || name.front() == '.')
        return false;
    if (name.front() == '#' && name.back() == '#')
        return false;
    if (name == "4913" || name == "lost+found" || is_sed_temporary(name))
        return false;
    return std::ranges::none_of(kLeftoverEndings, [&](std::string_view ending) { return name.ends_with(ending); });
}

}  // namespace tokenlet::kube
