// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <utility>

#include "kube/decode_parts.h"
#include "kube/known_fields.h"
#include "kube/names.h"

namespace tokenlet::kube {
namespace {

// Paths of one volume. Those of tokens are not among them: Kubernetes lets a token and another file meet; the later
// wins.
using Paths = std::set<std::string>;

std::string read_path(Fields& fields, Paths* paths) {
    const std::size_t before = fields.problems().size();
    std::string path = fields.string("path").value_or("");
    if (fields.problems().size() != before)
        return path;
    if (const std::string problem = check_relative_path(path); !problem.empty())
        expect_ok(fields, "path", path, problem);
    else if (paths != nullptr && !paths->insert(path).second)
        expect_ok(fields, "path", path, "conflicting duplicate paths");
    return path;
}

std::vector<KeyToPath> read_items(Fields& source, Paths& paths) {
    std::vector<KeyToPath> items;
    source.for_each("items", [&](Fields& item, std::size_t) {
        KeyToPath& result = items.emplace_back();
        result.key = item.required("key");
        result.path = read_path(item, &paths);
        result.mode = item.mode("mode");
    });
    return items;
}

// A config map or secret, named under that key.
template <class Projection>
Projection read_named(Fields& source, std::string_view name_key, Paths& paths) {
    Projection result;
    result.name = source.required(name_key);
    if (!result.name.empty())
        expect_ok(source, name_key, result.name, check_dns1123_subdomain(result.name));
    result.items = read_items(source, paths);
    result.optional = source.boolean("optional").value_or(false);
    return result;
}

ServiceAccountTokenProjection read_token(Fields& source) {
    ServiceAccountTokenProjection result;
    result.audience = source.string("audience").value_or("");
    result.expiration_seconds = source.integer("expirationSeconds").value_or(kDefaultExpirationSeconds);
    if (result.expiration_seconds < kMinExpirationSeconds)
        source.fail("expirationSeconds",
                    std::to_string(result.expiration_seconds) + " is below " + std::to_string(kMinExpirationSeconds));
    if (result.expiration_seconds > kMaxExpirationSeconds)
        source.fail("expirationSeconds", std::to_string(result.expiration_seconds) + " is above " +
                                             std::to_string(kMaxExpirationSeconds) + " (2^32)");
    result.path = read_path(source, nullptr);
    return result;
}

// The key in metadata.labels['key']; unset where there is no subscript.
struct Subscript {
    std::string_view path;
    std::optional<std::string_view> key;
};

// Source: pkg/fieldpath/fieldpath.go, SplitMaybeSubscriptedPath: split at the first "['", so a key may hold brackets.
Subscript split_subscript(std::string_view path) {
    if (!path.ends_with("']"))
        return {path, std::nullopt};
    const std::size_t at = path.find("['");
    if (at == std::string_view::npos || at == 0 || at + 2 > path.size() - 2)
        return {path, std::nullopt};
    return {path.substr(0, at), path.substr(at + 2, path.size() - at - 4)};
}

std::string check_field_path(std::string_view path) {
    constexpr std::string_view kWhole[] = {"metadata.annotations", "metadata.labels", "metadata.name",
                                           "metadata.namespace", "metadata.uid"};
    const auto [field, key] = split_subscript(path);
    if (!key) {
        return std::ranges::find(kWhole, path) != std::end(kWhole)
                   ? ""
                   : "not available in a volume; metadata.name, .namespace, .uid, .labels, .annotations and "
                     "metadata.labels['KEY'], metadata.annotations['KEY'] are";
    }
    if (field != "metadata.labels" && field != "metadata.annotations")
        return "does not take a subscript; metadata.labels and metadata.annotations do";
    std::string name(*key);
    if (field == "metadata.annotations")  // any case will do, for the check only
        std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return check_qualified_name(name);
}

ObjectFieldSelector read_field_ref(Fields& item) {
    Fields ref = item.mapping("fieldRef");
    if (const auto version = ref.string("apiVersion"); version && !version->empty() && *version != "v1")
        expect_ok(ref, "apiVersion", *version, "must be v1");
    ObjectFieldSelector result{ref.required("fieldPath")};
    if (!result.field_path.empty())
        expect_ok(ref, "fieldPath", result.field_path, check_field_path(result.field_path));
    return result;
}

bool is_hugepages(std::string_view resource) {
    constexpr std::string_view kPrefix = "hugepages-";
    return resource.starts_with(kPrefix) && parse_quantity(resource.substr(kPrefix.size())).has_value();
}

std::string check_resource(std::string_view resource) {
    std::string_view what;
    for (std::string_view prefix : {std::string_view("limits."), std::string_view("requests.")})
        if (resource.starts_with(prefix))
            what = resource.substr(prefix.size());
    const bool fits = what == "cpu" || what == "memory" || what == "ephemeral-storage" || is_hugepages(what);
    return fits ? "" : "must be limits. or requests. with cpu, memory, ephemeral-storage or hugepages-SIZE";
}

std::string check_divisor(std::string_view resource, Quantity divisor) {
    constexpr std::string_view kCpu[] = {"1m", "1"};
    constexpr std::string_view kBytes[] = {"1",   "1k",  "1M",  "1G",  "1T",  "1P", "1E",
                                           "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"};
    const auto is_one_of = [&](std::span<const std::string_view> allowed) {
        return std::ranges::any_of(allowed, [&](std::string_view text) { return parse_quantity(text) == divisor; });
    };
    if (divisor.is_zero())
        return "";
    if (resource.ends_with(".cpu"))
        return is_one_of(kCpu) ? "" : "only 1m and 1 divide cpu";
    return is_one_of(kBytes) ? ""
                             : "only 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi and 1Ei divide this resource";
}

ResourceFieldSelector read_resource_field_ref(Fields& item) {
    Fields ref = item.mapping("resourceFieldRef");
    ResourceFieldSelector result;
    result.container_name = ref.required("containerName");
    result.resource = ref.required("resource");
    if (!result.resource.empty())
        expect_ok(ref, "resource", result.resource, check_resource(result.resource));
    if (const Node* node = ref.node("divisor")) {
        const auto divisor = parse_quantity(node->text);
        if (!divisor) {
            ref.fail("divisor", divisor.error().what);
        } else {
            result.divisor = *divisor;
            expect_ok(ref, "divisor", node->text, check_divisor(result.resource, result.divisor));
        }
    }
    return result;
}

DownwardApiProjection read_downward_api(Fields& source, Paths& paths) {
    DownwardApiProjection result;
    source.for_each("items", [&](Fields& item, std::size_t) {
        DownwardApiFile& file = result.items.emplace_back();
        file.path = read_path(item, &paths);
        file.mode = item.mode("mode");
        const bool has_field = item.has("fieldRef");
        const bool has_resource = item.has("resourceFieldRef");
        if (has_field && has_resource)
            item.fail("fieldRef and resourceFieldRef can not be specified simultaneously");
        else if (!has_field && !has_resource && item.exists())
            item.fail("one of fieldRef and resourceFieldRef is required");
        else if (has_field)
            file.field = read_field_ref(item);
        else if (has_resource)
            file.field = read_resource_field_ref(item);
    });
    return result;
}

ClusterTrustBundleProjection read_trust_bundle(Fields& source, Paths& paths) {
    ClusterTrustBundleProjection result;
    result.name = source.string("name").value_or("");
    result.signer_name = source.string("signerName").value_or("");
    if (result.name.empty() == result.signer_name.empty())
        source.fail("exactly one of name and signerName must be set");
    result.optional = source.boolean("optional").value_or(false);
    result.path = read_path(source, &paths);
    if (source.has("labelSelector")) {
        Fields selector = source.mapping("labelSelector");
        result.label_selector = read_label_selector(selector);
        if (result.signer_name.empty())
            selector.fail("goes with signerName only");
    }
    return result;
}

VolumeProjection read_source(Fields& source, Paths& paths) {
    constexpr std::array<std::string_view, 6> kKinds = {
        "secret", "downwardAPI", "configMap", "serviceAccountToken", "clusterTrustBundle", "podCertificate"};
    std::string_view kind;
    std::size_t kinds = 0;
    for (std::string_view candidate : kKinds) {
        if (source.has(candidate)) {
            kind = candidate;
            ++kinds;
        }
    }
    if (kinds > 1) {
        source.fail("may not specify more than 1 volume type per source");
        return {};
    }
    if (kinds == 0)
        return {};
    if (kind == "podCertificate") {
        source.fail(kind, "tokenlet makes no pod certificates");
        return {};
    }
    Fields fields = source.mapping(kind);
    if (kind == "serviceAccountToken")
        return read_token(fields);
    if (kind == "configMap")
        return read_named<ConfigMapProjection>(fields, "name", paths);
    if (kind == "secret")
        return read_named<SecretProjection>(fields, "name", paths);
    if (kind == "downwardAPI")
        return read_downward_api(fields, paths);
    return read_trust_bundle(fields, paths);
}

Volume read_volume(Fields& fields) {
    Volume volume;
    volume.name = fields.required("name");
    if (!volume.name.empty())
        expect_ok(fields, "name", volume.name, check_dns1123_label(volume.name));

    struct Kind {
        std::string_view field;
        VolumeKind kind;
    };
    constexpr Kind kKinds[] = {{"projected", VolumeKind::Projected},
                               {"secret", VolumeKind::Secret},
                               {"configMap", VolumeKind::ConfigMap},
                               {"downwardAPI", VolumeKind::DownwardApi}};
    std::string_view field;
    std::size_t kinds = 0;
    for (const Kind& kind : kKinds) {
        if (fields.has(kind.field)) {
            field = kind.field;
            volume.kind = kind.kind;
            ++kinds;
        }
    }
    for (std::string_view other : kOtherVolumeKinds)
        kinds += fields.has(other) ? 1 : 0;
    if (fields.has("serviceAccountToken"))
        fields.fail("serviceAccountToken",
                    "is no volume, but a source of one: projected: {sources: [{serviceAccountToken: ...}]}");
    if (kinds > 1)
        fields.fail("may not specify more than 1 volume type");
    if (kinds != 1 || volume.kind == VolumeKind::Other)
        return volume;  // without any kind it is an emptyDir, says the API

    Paths paths;
    Fields source = fields.mapping(field);
    volume.default_mode = source.mode("defaultMode").value_or(kDefaultMode);
    switch (volume.kind) {
        case VolumeKind::Projected:
            source.for_each("sources",
                            [&](Fields& entry, std::size_t) { volume.sources.push_back(read_source(entry, paths)); });
            break;
        case VolumeKind::Secret:
            volume.sources.push_back(read_named<SecretProjection>(source, "secretName", paths));
            break;
        case VolumeKind::ConfigMap:
            volume.sources.push_back(read_named<ConfigMapProjection>(source, "name", paths));
            break;
        case VolumeKind::DownwardApi:
            volume.sources.push_back(read_downward_api(source, paths));
            break;
        case VolumeKind::Other:
            break;
    }
    return volume;
}

}  // namespace

LabelSelector read_label_selector(Fields& selector) {
    LabelSelector result;
    result.match_labels = selector.string_map("matchLabels");
    selector.for_each("matchExpressions", [&](Fields& fields, std::size_t) {
        using Operator = LabelSelectorRequirement::Operator;
        LabelSelectorRequirement& requirement = result.match_expressions.emplace_back();
        requirement.key = fields.required("key");
        if (!requirement.key.empty())
            expect_ok(fields, "key", requirement.key, check_qualified_name(requirement.key));
        const auto op = fields.one_of("operator", {"In", "NotIn", "Exists", "DoesNotExist"});
        if (!fields.has("operator"))
            fields.fail("operator", "required");
        requirement.values = fields.strings("values");
        if (!op)
            return;
        requirement.op = *op == "In"       ? Operator::In
                         : *op == "NotIn"  ? Operator::NotIn
                         : *op == "Exists" ? Operator::Exists
                                           : Operator::DoesNotExist;
        const bool takes_values = requirement.op == Operator::In || requirement.op == Operator::NotIn;
        if (takes_values && requirement.values.empty())
            fields.fail("values", "must be specified when `operator` is 'In' or 'NotIn'");
        if (!takes_values && !requirement.values.empty())
            fields.fail("values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    });
    return result;
}

std::vector<Volume> read_volumes(Fields& pod_spec) {
    std::vector<Volume> volumes;
    std::set<std::string> names;
    pod_spec.for_each("volumes", [&](Fields& fields, std::size_t) {
        Volume volume = read_volume(fields);
        if (!volume.name.empty() && !names.insert(volume.name).second)
            expect_ok(fields, "name", volume.name, "another volume has this name");
        volumes.push_back(std::move(volume));
    });
    return volumes;
}

}  // namespace tokenlet::kube
