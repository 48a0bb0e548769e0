// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>

#include "kube/decode_parts.h"
#include "kube/known_fields.h"
#include "kube/names.h"

namespace tokenlet::kube {
namespace {

constexpr std::size_t kMaxAnnotationBytes = 256 * 1024;

std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

void check_labels(Fields& meta, const StringMap& labels) {
    Fields fields = meta.mapping("labels");
    fields.ignore_others();
    for (const auto& [key, value] : labels) {
        expect_ok(fields, key, key, check_qualified_name(key));
        expect_ok(fields, key, value, check_label_value(value));
    }
}

void check_annotations(Fields& meta, const StringMap& annotations) {
    Fields fields = meta.mapping("annotations");
    fields.ignore_others();
    std::size_t bytes = 0;
    for (const auto& [key, value] : annotations) {
        expect_ok(fields, key, key, check_qualified_name(lower(key)));
        bytes += key.size() + value.size();
    }
    if (bytes > kMaxAnnotationBytes)
        fields.fail("must have at most " + std::to_string(kMaxAnnotationBytes) + " bytes");
}

// Names of bundles that belong to a signer carry its name in front: "example.com:issuer:name". It is looked at in
// read_cluster_trust_bundle().
std::string check_trust_bundle_name(std::string_view name) {
    return check_dns1123_subdomain(name.substr(name.rfind(':') + 1));
}

}  // namespace

void expect_ok(Fields& fields, std::string_view key, std::string_view value, std::string_view problem) {
    if (problem.empty())
        return;
    constexpr std::size_t kMostQuoted = 64;
    const std::string shown = value.empty() ? "" : "\"" + std::string(value.substr(0, kMostQuoted)) + "\": ";
    fields.fail(key, shown + std::string(problem));
}

ObjectMeta read_meta(Fields& object, Scope scope, NameRule rule) {
    ObjectMeta result;
    Fields meta = object.mapping("metadata");
    meta.ignore(kUnusedMetaFields);

    const std::size_t before = meta.problems().size();
    result.name = meta.string("name").value_or("");
    if (result.name.empty() && meta.problems().size() == before)
        meta.fail("name", meta.has("generateName") ? "name is needed; nobody here makes one from generateName"
                                                   : "name is needed");
    else if (!result.name.empty())
        expect_ok(meta, "name", result.name,
                  rule == NameRule::TrustBundle ? check_trust_bundle_name(result.name)
                                                : check_dns1123_subdomain(result.name));

    const std::string ns = meta.string("namespace").value_or("");
    if (scope == Scope::Namespaced) {
        result.ns = ns.empty() ? kDefaultNamespace : ns;
        expect_ok(meta, "namespace", result.ns, check_dns1123_label(result.ns));
    } else if (!ns.empty()) {
        meta.fail("namespace", "this kind belongs to no namespace");
    }

    result.uid = meta.string("uid").value_or("");
    if (!result.uid.empty())
        expect_ok(meta, "uid", result.uid, check_uid(result.uid));
    result.labels = meta.string_map("labels");
    check_labels(meta, result.labels);
    result.annotations = meta.string_map("annotations");
    check_annotations(meta, result.annotations);
    return result;
}

}  // namespace tokenlet::kube
