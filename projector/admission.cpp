// SPDX-License-Identifier: Apache-2.0
#include "projector/admission.h"

#include <algorithm>
#include <cstdint>

namespace tokenlet::projector {
namespace {

// No vowels and no look-alikes: generated names spell no words. Source: apimachinery pkg/util/rand/rand.go.
constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
constexpr std::size_t kSuffixSize = 5;

// FNV-1a, 64 bits: stable for ever, unlike std::hash. Paths on disk come from it.
std::uint64_t hash(std::string_view ns, std::string_view name) {
    std::uint64_t value = 0xcbf29ce484222325;
    for (const std::string_view part : {ns, std::string_view("/"), name})
        for (const char byte : part)
            value = (value ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
    return value;
}

kube::Volume injected_volume(std::string name) {
    return {
        .name = std::move(name),
        .kind = kube::VolumeKind::Projected,
        .sources = {kube::ServiceAccountTokenProjection{
                        .audience = {}, .expiration_seconds = kube::kInjectedExpirationSeconds, .path = "token"},
                    kube::ConfigMapProjection{.name = kube::kRootCaConfigMap,
                                              .items = {{.key = "ca.crt", .path = "ca.crt", .mode = {}}}},
                    kube::DownwardApiProjection{
                        {{.path = "namespace", .field = kube::ObjectFieldSelector{"metadata.namespace"}, .mode = {}}}}},
        .default_mode = kube::kDefaultMode};
}

bool automounts(const kube::Pod& pod, const kube::ServiceAccount& account) {
    return pod.automount_service_account_token.value_or(account.automount_service_account_token.value_or(true));
}

// Adds the mount where nothing is mounted at its path; whether it did anywhere.
bool mount(std::vector<kube::Container>& containers, const std::string& volume) {
    bool added = false;
    for (kube::Container& container : containers) {
        if (std::ranges::find(container.volume_mounts, kube::kServiceAccountMountPath,
                              &kube::VolumeMount::mount_path) != container.volume_mounts.end())
            continue;
        container.volume_mounts.push_back(
            {.name = volume, .mount_path = kube::kServiceAccountMountPath, .sub_path = {}, .read_only = true});
        added = true;
    }
    return added;
}

bool has_injected_prefix(std::string_view volume) {
    return volume.starts_with(kInjectedVolume) && volume.substr(kInjectedVolume.size()).starts_with('-');
}

}  // namespace

kube::ObjectKey account_of(const kube::Pod& pod) {
    return {pod.meta.ns, pod.service_account_name.empty() ? kube::kDefaultServiceAccount : pod.service_account_name};
}

Result<kube::Pod> admit(kube::Pod pod, const kube::ServiceAccount* account) {
    kube::ObjectKey wanted = account_of(pod);
    if (account == nullptr)
        return fail(Errc::NotFound, "error looking up service account " + wanted.str() + ": serviceaccount \"" +
                                        wanted.name + "\" not found");
    pod.service_account_name = std::move(wanted.name);
    if (!automounts(pod, *account))
        return pod;

    const auto brought = std::ranges::find_if(pod.volumes, has_injected_prefix, &kube::Volume::name);
    const bool injects = brought == pod.volumes.end();
    std::string name = injects ? injected_volume_name(pod.meta.ns, pod.meta.name) : brought->name;
    const bool in_init = mount(pod.init_containers, name);
    const bool in_main = mount(pod.containers, name);
    if (injects && (in_init || in_main))
        pod.volumes.push_back(injected_volume(std::move(name)));
    return pod;
}

std::string injected_volume_name(std::string_view ns, std::string_view pod) {
    std::string name = std::string(kInjectedVolume) + '-';
    std::uint64_t rest = hash(ns, pod);
    for (std::size_t i = 0; i < kSuffixSize; ++i, rest /= kAlphabet.size())
        name += kAlphabet[rest % kAlphabet.size()];
    return name;
}

bool is_injected_name(std::string_view volume) {
    if (!has_injected_prefix(volume))
        return false;
    const std::string_view suffix = volume.substr(kInjectedVolume.size() + 1);
    return suffix.size() == kSuffixSize && suffix.find_first_not_of(kAlphabet) == suffix.npos;
}

}  // namespace tokenlet::projector
