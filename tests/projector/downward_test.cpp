// SPDX-License-Identifier: Apache-2.0
#include "projector/downward.h"

#include <gtest/gtest.h>

namespace tokenlet::projector {
namespace {

kube::Quantity quantity(std::string_view text) {
    return kube::parse_quantity(text).value();
}

kube::Pod web() {
    kube::Pod pod;
    pod.meta = {.ns = "shop", .name = "web-0", .uid = "0c5d", .labels = {}, .annotations = {}};
    pod.meta.labels = {{"tier", "front"}, {"app", "web"}, {"example.com/Zone", "b"}};
    pod.meta.annotations = {{"note", "say \"hi\"\nbye"}, {"odd['key']", "x"}};
    return pod;
}

TEST(FieldValue, SaysWhatVolumesMayAsk) {
    struct Case {
        std::string_view field, want;
    };
    const Case cases[] = {
        {"metadata.name", "web-0"},
        {"metadata.namespace", "shop"},
        {"metadata.uid", "0c5d"},
        {"metadata.labels", "app=\"web\"\nexample.com/Zone=\"b\"\ntier=\"front\""},
        {"metadata.annotations", "note=\"say \\\"hi\\\"\\nbye\"\nodd['key']=\"x\""},
        {"metadata.labels['app']", "web"},
        {"metadata.labels['example.com/Zone']", "b"},
        {"metadata.labels['absent']", ""},
        {"metadata.annotations['note']", "say \"hi\"\nbye"},
        {"metadata.annotations['odd['key']']", "x"},
        {"metadata.annotations['absent']", ""},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.field);
        EXPECT_EQ(field_value(web(), c.field), std::string(c.want));
    }
    EXPECT_EQ(field_value(kube::Pod(), "metadata.labels"), "") << "an empty map is an empty file";
}

TEST(FieldValue, RefusesEverythingElse) {
    for (std::string_view field :
         {"", "metadata", "metadata.name['x']", "metadata.uid['x']", "spec.nodeName", "status.podIP",
          "metadata.labels[app]", "metadata.labels['app'", "metadata.labels[']", "metadata.labelsx"}) {
        const Result<std::string> value = field_value(web(), field);
        ASSERT_FALSE(value) << field;
        EXPECT_EQ(value.error().code, Errc::Invalid);
        EXPECT_EQ(value.error().what, "unsupported fieldPath: " + std::string(field));
    }
}

kube::Pod with_resources() {
    kube::Pod pod;
    pod.containers.resize(2);
    pod.containers[0].name = "app";
    pod.containers[0].limits = {
        {"cpu", quantity("250m")}, {"memory", quantity("100M")}, {"hugepages-2Mi", quantity("4Mi")}};
    pod.containers[0].requests = {
        {"cpu", quantity("1m")}, {"memory", quantity("64Mi")}, {"ephemeral-storage", quantity("1")}};
    pod.containers[1].name = "bare";
    pod.init_containers.resize(2);
    pod.init_containers[0].name = "setup";
    pod.init_containers[0].limits = {{"cpu", quantity("3")}};
    pod.init_containers[1].name = "app";
    pod.init_containers[1].limits = {{"cpu", quantity("9")}};
    return pod;
}

Allocatable host() {
    return {.cpu = quantity("4"), .memory = quantity("8Gi"), .ephemeral_storage = quantity("1k")};
}

TEST(ResourceValue, IsTheCeilingOfTheQuotient) {
    struct Case {
        std::string_view container, resource;
        kube::Quantity divisor;
        std::string_view want, name;
    };
    const Case cases[] = {
        {"app", "limits.cpu", {}, "1", "no divisor is 1"},
        {"app", "limits.cpu", quantity("1"), "1", "a quarter is rounded up"},
        {"app", "limits.cpu", quantity("1m"), "250", "in thousandths"},
        {"app", "requests.cpu", quantity("1"), "1", "a thousandth is rounded up"},
        {"app", "limits.memory", quantity("1Mi"), "96", "100M in Mi"},
        {"app", "limits.memory", quantity("1M"), "100", "100M in M"},
        {"app", "limits.memory", {}, "100000000", "bytes"},
        {"app", "requests.memory", quantity("1Mi"), "64", "exact"},
        {"app", "requests.ephemeral-storage", quantity("1k"), "1", "one byte of 1k"},
        {"app", "limits.hugepages-2Mi", quantity("1Mi"), "4", "huge pages"},
        {"app", "requests.hugepages-2Mi", {}, "0", "an unset request is 0"},
        {"bare", "requests.cpu", {}, "0", "an unset request is never the node's"},
        {"bare", "limits.cpu", {}, "4", "an unset limit is the node's cpu"},
        {"bare", "limits.cpu", quantity("1m"), "4000", "the node's cpu in thousandths"},
        {"bare", "limits.memory", quantity("1Gi"), "8", "an unset limit is the node's memory"},
        {"bare", "limits.ephemeral-storage", {}, "1000", "an unset limit is the node's storage"},
        {"bare", "limits.hugepages-2Mi", {}, "0", "the node's huge pages stand in for nothing"},
        {"setup", "limits.cpu", {}, "3", "init containers count"},
        {"app", "limits.cpu", {}, "1", "a regular container goes before an init container of that name"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_EQ(
            resource_value(with_resources(), {std::string(c.container), std::string(c.resource), c.divisor}, host()),
            std::string(c.want));
    }
}

TEST(ResourceValue, TakesALimitOfZeroForNone) {
    kube::Pod pod = with_resources();
    pod.containers[0].limits["cpu"] = {};
    EXPECT_EQ(resource_value(pod, {"app", "limits.cpu", {}}, host()), "4");
}

TEST(ResourceValue, NamesWhatItDoesNotKnow) {
    struct Case {
        std::string_view container, resource, why;
    };
    const Case cases[] = {
        {"ghost", "limits.cpu", "container \"ghost\" not found"},  {"", "limits.cpu", "container \"\" not found"},
        {"app", "limits.gpu", "unsupported resource: limits.gpu"}, {"app", "cpu", "unsupported resource: cpu"},
        {"app", "limits.", "unsupported resource: limits."},       {"app", "max.cpu", "unsupported resource: max.cpu"},
    };
    for (const Case& c : cases) {
        const Result<std::string> value =
            resource_value(with_resources(), {std::string(c.container), std::string(c.resource), {}}, host());
        ASSERT_FALSE(value) << c.why;
        EXPECT_EQ(value.error().code, Errc::Invalid);
        EXPECT_EQ(value.error().what, c.why);
    }
}

}  // namespace
}  // namespace tokenlet::projector
