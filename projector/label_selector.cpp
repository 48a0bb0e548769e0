// SPDX-License-Identifier: Apache-2.0
#include "projector/label_selector.h"

#include <algorithm>

namespace tokenlet::projector {
namespace {

bool is_met(const Requirement& requirement, const kube::StringMap& labels) {
    using Operator = Requirement::Operator;
    const auto label = labels.find(requirement.key);
    const bool present = label != labels.end();
    const bool listed = present && std::ranges::find(requirement.values, label->second) != requirement.values.end();
    switch (requirement.op) {
        case Operator::In:
            return listed;
        case Operator::NotIn:
            return !listed;
        case Operator::Exists:
            return present;
        case Operator::DoesNotExist:
            return !present;
    }
    return false;
}

}  // namespace

std::vector<Requirement> requirements_of(const kube::LabelSelector& selector) {
    std::vector<Requirement> requirements;
    requirements.reserve(selector.match_labels.size() + selector.match_expressions.size());
    for (const auto& [key, value] : selector.match_labels)
        requirements.push_back({.key = key, .op = Requirement::Operator::In, .values = {value}});
    requirements.insert(requirements.end(), selector.match_expressions.begin(), selector.match_expressions.end());
    return requirements;
}

bool matches(std::span<const Requirement> requirements, const kube::StringMap& labels) {
    return std::ranges::all_of(requirements, [&](const Requirement& each) { return is_met(each, labels); });
}

}  // namespace tokenlet::projector
