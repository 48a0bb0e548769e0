// SPDX-License-Identifier: Apache-2.0
#include "cli/manifests.h"

#include <unistd.h>

#include <filesystem>

#include "cli/input.h"
#include "kube/manifest_directory.h"
#include "projector/admission.h"

namespace tokenlet::cli {

namespace {

constexpr char kAnyUid[] = "00000000-0000-0000-0000-000000000000";

}  // namespace

Result<kube::Listing> list_directory(const std::string& path) {
    kube::ManifestDirectory directory =
        TRY(kube::ManifestDirectory::open(path, {.modes = kube::Modes::Any, .agent_uid = ::geteuid()}));
    return directory.list();
}

Result<kube::Listing> read_manifests(const std::string& path) {
    std::error_code trouble;
    if (path != "-" && std::filesystem::is_directory(path, trouble))
        return list_directory(path);
    const Secret bytes = TRY(read_input(path, kLongestManifest));
    const std::string name = path == "-" ? "stdin" : path;
    kube::Listing listing{.directory = {}, .complete = true, .whole = true, .updates = {}, .vanished = {}};
    listing.updates.push_back({name, kube::decode_manifests(bytes.view(), name)});
    return listing;
}

Result<kube::Pod> admit_draft(kube::Pod pod, const kube::ManifestSet& set) {
    const kube::ObjectKey key = projector::account_of(pod);
    kube::ServiceAccount stand_in;
    stand_in.meta.ns = key.ns;
    stand_in.meta.name = key.name;
    const kube::ServiceAccount* account = set.service_account(key);
    if (pod.meta.uid.empty())
        pod.meta.uid = kAnyUid;
    return projector::admit(std::move(pod), account != nullptr ? account : &stand_in);
}

}  // namespace tokenlet::cli
