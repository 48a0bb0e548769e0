// SPDX-License-Identifier: Apache-2.0
#include "projector/label_selector.h"

#include <gtest/gtest.h>

namespace tokenlet::projector {
namespace {

using Operator = Requirement::Operator;

TEST(LabelSelector, SelectsAsKubernetesDoes) {
    const kube::StringMap labels{{"app", "web"}, {"tier", "front"}, {"empty", ""}};
    struct Case {
        std::string_view name;
        kube::LabelSelector selector;
        bool want;
    };
    const Case cases[] = {
        {"an empty selector selects everything", {}, true},
        {"a label with that value", {{{"app", "web"}}, {}}, true},
        {"a label with another value", {{{"app", "api"}}, {}}, false},
        {"a label that is not there", {{{"zone", "a"}}, {}}, false},
        {"an empty value is a value", {{{"empty", ""}}, {}}, true},
        {"an absent label has no empty value", {{{"zone", ""}}, {}}, false},
        {"all labels must match", {{{"app", "web"}, {"tier", "back"}}, {}}, false},
        {"In: one of them", {{}, {{"app", Operator::In, {"api", "web"}}}}, true},
        {"In: none of them", {{}, {{"app", Operator::In, {"api"}}}}, false},
        {"In: an absent key", {{}, {{"zone", Operator::In, {"a"}}}}, false},
        {"NotIn: another value", {{}, {{"app", Operator::NotIn, {"api"}}}}, true},
        {"NotIn: that value", {{}, {{"app", Operator::NotIn, {"api", "web"}}}}, false},
        {"NotIn: an absent key satisfies it", {{}, {{"zone", Operator::NotIn, {"a"}}}}, true},
        {"Exists", {{}, {{"app", Operator::Exists, {}}}}, true},
        {"Exists: an absent key", {{}, {{"zone", Operator::Exists, {}}}}, false},
        {"DoesNotExist", {{}, {{"app", Operator::DoesNotExist, {}}}}, false},
        {"DoesNotExist: an absent key", {{}, {{"zone", Operator::DoesNotExist, {}}}}, true},
        {"labels and expressions must both match", {{{"app", "web"}}, {{"tier", Operator::NotIn, {"front"}}}}, false},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_EQ(matches(requirements_of(c.selector), labels), c.want);
    }
}

}  // namespace
}  // namespace tokenlet::projector
