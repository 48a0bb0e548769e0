// SPDX-License-Identifier: Apache-2.0
#include "projector/plan.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/is_within.h"
#include "projector/admission.h"
#include "projector/annotations.h"
#include "projector/clean_path.h"

namespace tokenlet::projector {
namespace {

using kube::VolumeKind;

bool is_projecting(const kube::Volume& volume) {
    return volume.kind != VolumeKind::Other;
}

std::set<std::string_view> mounted_volumes(const kube::Pod& pod) {
    std::set<std::string_view> names;
    for (const auto* containers : {&pod.init_containers, &pod.containers, &pod.ephemeral_containers})
        for (const kube::Container& container : *containers)
            for (const kube::VolumeMount& mount : container.volume_mounts)
                names.insert(mount.name);
    return names;
}

// Compiles one source of a volume; the Error it may return becomes a BrokenSource.
struct SourceCompiler {
    const kube::Pod& pod;
    const Host& host;
    mode_t default_mode;

    Result<Source> operator()(std::monostate) const { return std::monostate(); }

    Result<Source> operator()(const kube::ServiceAccountTokenProjection& token) const {
        std::string path = TRY(clean_path(token.path));
        return TokenSource{std::move(path), token.audience, token.expiration_seconds};
    }

    Result<Source> operator()(const kube::ConfigMapProjection& source) const {
        return objects(ObjectKind::ConfigMap, source.name, source.items, source.optional);
    }

    Result<Source> operator()(const kube::SecretProjection& source) const {
        return objects(ObjectKind::Secret, source.name, source.items, source.optional);
    }

    Result<Source> operator()(const kube::ClusterTrustBundleProjection& source) const {
        std::string path = TRY(clean_path(source.path));
        return BundleSource{std::move(path), selection_of(source), source.optional};
    }

    Result<Source> operator()(const kube::DownwardApiProjection& source) const {
        DownwardSource compiled;
        compiled.files.reserve(source.items.size());
        for (const kube::DownwardApiFile& item : source.items) {
            std::string path = TRY(clean_path(item.path));
            std::string bytes = TRY(value(item), "file \"" + path + '"');
            compiled.files.push_back({std::move(path), std::move(bytes), item.mode.value_or(default_mode)});
        }
        return compiled;
    }

private:
    Result<std::string> value(const kube::DownwardApiFile& item) const {
        if (const auto* field = std::get_if<kube::ObjectFieldSelector>(&item.field))
            return field_value(pod, field->field_path);
        return resource_value(pod, std::get<kube::ResourceFieldSelector>(item.field), host.allocatable);
    }

    Result<Source> objects(ObjectKind kind, const std::string& name, const std::vector<kube::KeyToPath>& items,
                           bool optional) const {
        ObjectSource compiled{.kind = kind, .optional = optional, .name = name, .files = {}};
        compiled.files.reserve(items.size());
        for (const kube::KeyToPath& item : items) {
            std::string path = TRY(clean_path(item.path));
            compiled.files.push_back({item.key, std::move(path), item.mode.value_or(default_mode)});
        }
        return compiled;
    }
};

// The name of a source's kind in a manifest.
std::string_view kind_name(const kube::VolumeProjection& source) {
    constexpr std::string_view kNames[] = {"",       "serviceAccountToken", "configMap",
                                           "secret", "downwardAPI",         "clusterTrustBundle"};
    return kNames[source.index()];
}

VolumePlan compile_volume(const kube::Pod& pod, const Host& host, const kube::Volume& volume) {
    VolumePlan plan{
        .name = volume.name, .kind = volume.kind, .default_mode = volume.default_mode, .direct = {}, .sources = {}};
    plan.sources.reserve(volume.sources.size());
    for (const kube::VolumeProjection& source : volume.sources) {
        Result<Source> compiled = std::visit(SourceCompiler{pod, host, volume.default_mode}, source);
        plan.sources.push_back(compiled ? *std::move(compiled)
                                        : BrokenSource{std::move(compiled.error()).with(kind_name(source)).what});
    }
    return plan;
}

Result<> check_allowed(const std::string& path, const std::vector<std::string>* allowed) {
    if (allowed == nullptr ||
        std::ranges::any_of(*allowed, [&](const std::string& directory) { return is_within(path, directory); }))
        return {};
    std::string known;
    for (const std::string& directory : *allowed)
        known += (known.empty() ? "" : ", ") + directory;
    return fail(Errc::Denied, "'" + path +
                                  "' lies in none of the directories that the agent's configuration allows in "
                                  "volumes.direct (" +
                                  (known.empty() ? "there are none" : known) + ")");
}

// Which of the Pod's volumes an entry of tokenlet.dev/path means.
Result<std::string> named_volume(const kube::Pod& pod, const std::string& name) {
    for (const kube::Volume& volume : pod.volumes)
        if (is_projecting(volume) &&
            (volume.name == name || (name == kInjectedVolume && is_injected_name(volume.name))))
            return volume.name;
    return fail(Errc::Invalid, "the Pod has no volume '" + name + "' that projects files");
}

// By volume: the directories of tokenlet.dev/path.
Result<std::map<std::string, std::string>> places(const kube::Pod& pod, const std::vector<DirectPath>& paths,
                                                  const Host& host) {
    std::map<std::string, std::string> found;
    for (const DirectPath& direct : paths) {
        TRY(check_allowed(direct.path, host.direct));
        std::string volume = TRY(named_volume(pod, direct.volume));
        if (!found.try_emplace(std::move(volume), direct.path).second)
            return fail(Errc::Invalid, "volume " + direct.volume + " is there twice");
    }
    return found;
}

}  // namespace

Result<Plan> compile(const kube::Pod& pod, const Host& host) {
    const Annotations annotations = TRY(read_annotations(pod.meta.annotations));
    std::optional<IdMap> ids;
    if (annotations.rootless_user && host.rootless_ids != nullptr)
        ids = TRY((*host.rootless_ids)(*annotations.rootless_user),
                  std::string("metadata.annotations['") + kUidMapAnnotation + "']");
    Readership who = TRY(readership(pod, ids ? &*ids : nullptr));
    Plan plan{.ns = pod.meta.ns,
              .name = pod.meta.name,
              .uid = pod.meta.uid,
              .service_account = pod.service_account_name,
              .readership = std::move(who),
              .ownership = host.ownership,
              .grace = annotations.grace,
              .volumes = {},
              .unmounted = {}};
    const std::set<std::string_view> mounted = mounted_volumes(pod);
    const std::map<std::string, std::string> direct =
        TRY(places(pod, annotations.paths, host), std::string("metadata.annotations['") + kPathAnnotation + "']");
    for (const kube::Volume& volume : pod.volumes) {
        if (!is_projecting(volume))
            continue;
        const auto place = direct.find(volume.name);
        if (place == direct.end() && !mounted.contains(volume.name)) {
            plan.unmounted.push_back(volume.name);
            continue;
        }
        plan.volumes.push_back(compile_volume(pod, host, volume));
        if (place != direct.end())
            plan.volumes.back().direct = place->second;
    }
    plan.volumes.shrink_to_fit();
    plan.unmounted.shrink_to_fit();
    return plan;
}

kube::TokenRequest token_request(const Plan& plan, const TokenSource& source) {
    kube::TokenRequest request{.ns = plan.ns,
                               .service_account = plan.service_account,
                               .audiences = {},
                               .expiration_seconds = source.expiration_seconds,
                               .bound_object_ref = kube::BoundObjectRef{"Pod", plan.name, plan.uid}};
    if (!source.audience.empty())
        request.audiences.push_back(source.audience);
    return request;
}

std::vector<const TokenSource*> token_sources(const VolumePlan& volume) {
    std::vector<const TokenSource*> tokens;
    for (const Source& source : volume.sources)
        if (const auto* token = std::get_if<TokenSource>(&source))
            tokens.push_back(token);
    return tokens;
}

std::string_view plugin_directory(VolumeKind kind) {
    switch (kind) {
        case VolumeKind::Projected:
            return "kubernetes.io~projected";
        case VolumeKind::Secret:
            return "kubernetes.io~secret";
        case VolumeKind::ConfigMap:
            return "kubernetes.io~configmap";
        case VolumeKind::DownwardApi:
            return "kubernetes.io~downward-api";
        case VolumeKind::Other:
            break;
    }
    return "";
}

}  // namespace tokenlet::projector
