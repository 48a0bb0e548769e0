// SPDX-License-Identifier: Apache-2.0
#include "agent/enrollment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kube/document.h"
#include "kube/names.h"

namespace tokenlet::agent {
namespace {

TEST(Enrollment, LabelsObjectsOfAHostWithALongNameAsTheServerTakesThem) {
    const std::string node = std::string(62, 'a') + ".example.org";
    const std::vector<EnrolledObject> objects =
        objects_for({.node = node, .account = {"edge", "agent"}, .secret_name = "tokens", .serves = {{"shop", "web"}}});
    EXPECT_EQ(objects.size(), 8U) << "namespace, account, and role, binding and Secret in both namespaces";
    int labelled = 0;
    for (const EnrolledObject& object : objects) {
        SCOPED_TRACE(object.what);
        kube::Documents documents(object.yaml);
        const std::optional<kube::Document> document = documents.next();
        ASSERT_TRUE(document && document->root);
        const kube::Node* labels = document->root->find("metadata")->find("labels");
        if (labels == nullptr)
            continue;
        ++labelled;
        EXPECT_EQ(kube::check_label_value(labels->find("tokenlet.dev/node")->text), "");
    }
    EXPECT_EQ(labelled, 7) << "all but the namespace";
}

}  // namespace
}  // namespace tokenlet::agent
