// SPDX-License-Identifier: Apache-2.0
#include "cli/mounts_verb.h"

#include <algorithm>

#include "cli/daemon.h"
#include "cli/manifests.h"
#include "projector/admission.h"
#include "projector/plan.h"

namespace tokenlet::cli {

namespace {

Result<const kube::Pod*> find_pod(const kube::ManifestSet& set, const std::string& wanted, const std::string& where) {
    std::vector<const kube::Pod*> found;
    std::string names;
    for (const kube::Pod* pod : set.pods()) {
        if (pod->meta.key().str() == wanted || pod->meta.name == wanted)
            found.push_back(pod);
        names.append(names.empty() ? "" : ", ").append(pod->meta.key().str());
    }
    if (found.empty())
        return fail(Errc::NotFound,
                    where + ": no Pod '" + wanted + "' there" + (names.empty() ? ", nor any other" : ", but " + names));
    if (found.size() > 1)
        return fail(Errc::Invalid, "'" + wanted + "' may be " + found[0]->meta.key().str() + " or " +
                                       found[1]->meta.key().str() + ": say which");
    return found.front();
}

std::vector<const kube::Container*> containers_of(const kube::Pod& pod) {
    std::vector<const kube::Container*> all;
    for (const auto* containers : {&pod.init_containers, &pod.containers, &pod.ephemeral_containers}) {
        for (const kube::Container& container : *containers)
            all.push_back(&container);
    }
    return all;
}

// Of one Pod, what is pasted and what is remarked on.
struct Mounts {
    std::vector<MountingContainer> containers;
    std::vector<std::string> remarks;
};

Mounts mounts_of(const kube::Pod& pod, const projector::Plan& plan, const std::string& by_name) {
    Mounts mounts;
    for (const kube::Container* container : containers_of(pod)) {
        MountingContainer mounting{container->name, {}};
        const auto remark = [&](const kube::VolumeMount& mount, const std::string& what) {
            mounts.remarks.push_back("container " + container->name + ": " + mount.mount_path + ": " + what);
        };
        for (const kube::VolumeMount& mount : container->volume_mounts) {
            const bool is_injected = projector::is_injected_name(mount.name);
            const auto planned = std::ranges::find(plan.volumes, mount.name, &projector::VolumePlan::name);
            const std::string source = planned != plan.volumes.end() && planned->direct
                                           ? *planned->direct
                                           : by_name + "/" + plan.ns + "/" + plan.name + "/" +
                                                 (is_injected ? std::string(projector::kInjectedVolume) : mount.name);
            if (planned == plan.volumes.end())
                remark(mount, "volume " + mount.name + " is not projected by tokenlet");
            else if (!mount.sub_path.empty())
                remark(mount, "a mount by subPath never sees a rotation; mount " + source +
                                  " in another place and read " + mount.sub_path + " there");
            else
                mounting.mounts.push_back({source, (mount.mount_path.starts_with('/') ? "" : "/") + mount.mount_path});
        }
        if (!mounting.mounts.empty())
            mounts.containers.push_back(std::move(mounting));
    }
    return mounts;
}

std::string all_styles(const std::vector<MountingContainer>& containers) {
    return "# podman run, docker run\n" + mount_text(MountStyle::Podman, containers) + "\n# compose.yaml\n" +
           mount_text(MountStyle::Compose, containers) + "\n# systemd units\n" +
           mount_text(MountStyle::Systemd, containers);
}

}  // namespace

Outcome run(const MountsOptions& options) {
    const Result<std::optional<agent::AgentConfiguration>> read = read_usual_configuration(options.config);
    if (!read)
        return misconfigured(read.error());
    // Without one, its defaults are where an agent would put things.
    const agent::AgentConfiguration config = read->value_or(agent::AgentConfiguration{});
    const std::string where = options.manifests.empty() ? config.manifests.path : options.manifests;
    Result<kube::Listing> listing = read_manifests(where);
    if (!listing)
        return failed(listing.error());
    kube::ManifestSet set;
    (void)set.apply(std::move(*listing));  // the changes are everything; the problems stay in the set

    const Result<const kube::Pod*> found = find_pod(set, options.pod, where);
    if (!found) {
        Outcome outcome = failed(found.error());
        // It may be in the document that cannot be read.
        for (const kube::Problem& problem : set.problems())
            outcome.complaints.push_back(problem.str());
        return outcome;
    }
    const std::string pod = (*found)->origin.file + ": Pod " + (*found)->meta.key().str();
    const Result<kube::Pod> admitted = admit_draft(**found, set);
    const Result<projector::Plan> plan =
        admitted ? projector::compile(*admitted, {.ownership = {}, .allocatable = {}, .direct = &config.volumes.direct})
                 : std::unexpected(admitted.error());
    if (!plan)
        return misconfigured({plan.error().code, pod + ": " + plan.error().what});

    const Mounts mounts = mounts_of(*admitted, *plan, config.volumes.by_name);
    Outcome outcome;
    for (const std::string& remark : mounts.remarks)
        outcome.complaints.push_back(pod + ": " + remark);
    if (mounts.containers.empty()) {
        outcome.code = ExitCode::Failed;
        outcome.complaints.push_back(pod + ": no container mounts anything that tokenlet projects");
        return outcome;
    }
    outcome.out = options.style ? mount_text(*options.style, mounts.containers) : all_styles(mounts.containers);
    return outcome;
}

}  // namespace tokenlet::cli
