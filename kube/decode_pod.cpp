// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <set>
#include <utility>
#include <variant>

#include "base/did_you_mean.h"
#include "kube/decode_parts.h"
#include "kube/known_fields.h"
#include "kube/names.h"

namespace tokenlet::kube {
namespace {

constexpr std::int64_t kMaxId = std::numeric_limits<std::int32_t>::max();

std::string check_id(std::int64_t id) {
    return id >= 0 && id <= kMaxId ? "" : std::to_string(id) + " is not between 0 and 2147483647";
}

std::optional<std::int64_t> read_id(Fields& fields, std::string_view key) {
    const auto id = fields.integer(key);
    if (id)
        expect_ok(fields, key, "", check_id(*id));
    return id;
}

std::map<std::string, Quantity> read_quantities(Fields& resources, std::string_view key) {
    std::map<std::string, Quantity> result;
    Fields list = resources.mapping(key);
    list.ignore_others();
    const Node* node = resources.node(key);
    if (node == nullptr || node->kind != Node::Kind::Mapping)
        return result;
    for (const Node& child : node->children) {
        const auto quantity = parse_quantity(child.text);
        if (!quantity)
            list.fail(child.key, quantity.error().what);
        else if (quantity->nano < 0)
            list.fail(child.key, "must be greater than or equal to 0");
        else
            result.emplace(child.key, *quantity);
    }
    return result;
}

void read_resources(Fields& container, Container& result) {
    Fields resources = container.mapping("resources");
    resources.ignore({"claims"});
    result.limits = read_quantities(resources, "limits");
    result.requests = read_quantities(resources, "requests");
    result.requests.insert(result.limits.begin(), result.limits.end());  // the API's default, resource by resource
}

std::vector<VolumeMount> read_mounts(Fields& container, const std::vector<Volume>& volumes) {
    std::vector<VolumeMount> mounts;
    std::set<std::string> paths;
    std::vector<std::string_view> names;
    for (const Volume& volume : volumes)
        names.push_back(volume.name);
    container.for_each("volumeMounts", [&](Fields& fields, std::size_t) {
        fields.ignore({"mountPropagation", "recursiveReadOnly"});
        VolumeMount& mount = mounts.emplace_back();
        mount.name = fields.required("name");
        if (!mount.name.empty() && std::ranges::find(names, std::string_view(mount.name)) == names.end())
            expect_ok(fields, "name", mount.name, "no volume has this name" + did_you_mean(mount.name, names));
        mount.mount_path = fields.required("mountPath");
        if (!mount.mount_path.empty() && !paths.insert(mount.mount_path).second)
            expect_ok(fields, "mountPath", mount.mount_path, "must be unique");
        mount.read_only = fields.boolean("readOnly").value_or(false);
        const std::string sub_path = fields.string("subPath").value_or("");
        const std::string expression = fields.string("subPathExpr").value_or("");
        if (!sub_path.empty() && !expression.empty())
            fields.fail("subPathExpr", "subPathExpr and subPath are mutually exclusive");
        mount.sub_path = sub_path.empty() ? expression : sub_path;
        if (mount.sub_path.starts_with('/'))
            fields.fail(sub_path.empty() ? "subPathExpr" : "subPath", "must be a relative path");
        if (("/" + mount.sub_path + "/").find("/../") != std::string::npos)
            fields.fail(sub_path.empty() ? "subPathExpr" : "subPath", "must not contain '..'");
    });
    return mounts;
}

std::vector<Container> read_containers(Fields& spec, std::string_view key, const std::vector<Volume>& volumes,
                                       std::set<std::string>& names) {
    std::vector<Container> containers;
    spec.for_each(key, [&](Fields& fields, std::size_t) {
        fields.ignore(kUnusedContainerFields);
        if (key == "ephemeralContainers")
            fields.ignore({"targetContainerName"});
        Container& container = containers.emplace_back();
        container.name = fields.required("name");
        if (!container.name.empty()) {
            expect_ok(fields, "name", container.name, check_dns1123_label(container.name));
            if (!names.insert(container.name).second)
                expect_ok(fields, "name", container.name, "another container has this name");
        }
        container.volume_mounts = read_mounts(fields, volumes);
        read_resources(fields, container);
        Fields security = fields.mapping("securityContext");
        security.ignore(kUnusedContainerSecurityFields);
        container.run_as_user = read_id(security, "runAsUser");
    });
    return containers;
}

void read_pod_security(Fields& spec, Pod& pod) {
    Fields security = spec.mapping("securityContext");
    security.ignore(kUnusedPodSecurityFields);
    pod.run_as_user = read_id(security, "runAsUser");
    pod.fs_group = read_id(security, "fsGroup");
    pod.supplemental_groups = security.integers("supplementalGroups");
    for (std::int64_t id : pod.supplemental_groups)
        expect_ok(security, "supplementalGroups", "", check_id(id));
}

// A resourceFieldRef asks about one of the Pod's containers: known only when all of them are read.
void check_container_references(Fields& spec, const Pod& pod, const std::set<std::string>& names) {
    const std::vector<std::string_view> known(names.begin(), names.end());
    for (const Volume& volume : pod.volumes) {
        for (const VolumeProjection& source : volume.sources) {
            const auto* downward = std::get_if<DownwardApiProjection>(&source);
            if (downward == nullptr)
                continue;
            for (const DownwardApiFile& file : downward->items) {
                const auto* resource = std::get_if<ResourceFieldSelector>(&file.field);
                if (resource == nullptr || resource->container_name.empty() || names.contains(resource->container_name))
                    continue;
                spec.fail("volumes", "volume \"" + volume.name + "\", file \"" + file.path +
                                         "\": no container is named \"" + resource->container_name + "\"" +
                                         did_you_mean(resource->container_name, known));
            }
        }
    }
}

}  // namespace

Pod read_pod(Fields& object) {
    Pod pod;
    object.ignore({"status"});
    pod.meta = read_meta(object);

    Fields spec = object.mapping("spec");
    if (!object.has("spec"))
        object.fail("spec", "required");
    spec.ignore(kUnusedPodFields);
    // The old name of the field; the new one wins.
    const std::string old_name = spec.string("serviceAccount").value_or("");
    pod.service_account_name = spec.string("serviceAccountName").value_or("");
    const std::string_view name_key = pod.service_account_name.empty() ? "serviceAccount" : "serviceAccountName";
    if (pod.service_account_name.empty())
        pod.service_account_name = old_name;
    if (!pod.service_account_name.empty())
        expect_ok(spec, name_key, pod.service_account_name, check_dns1123_subdomain(pod.service_account_name));
    pod.automount_service_account_token = spec.boolean("automountServiceAccountToken");
    read_pod_security(spec, pod);

    pod.volumes = read_volumes(spec);
    std::set<std::string> names;
    pod.init_containers = read_containers(spec, "initContainers", pod.volumes, names);
    pod.containers = read_containers(spec, "containers", pod.volumes, names);
    if (spec.exists() && !spec.has("containers"))
        spec.fail("containers",
                  "required: tokenlet mounts nothing, but a Pod says through its containers who reads what");
    else if (spec.exists() && pod.containers.empty() && spec.node("containers")->kind == Node::Kind::Sequence)
        spec.fail("containers", "must hold at least one container");
    check_container_references(spec, pod, names);
    pod.ephemeral_containers = read_containers(spec, "ephemeralContainers", pod.volumes, names);
    return pod;
}

}  // namespace tokenlet::kube
