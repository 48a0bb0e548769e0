// SPDX-License-Identifier: Apache-2.0
#include "cli/validate_verb.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <vector>

#include "agent/config.h"
#include "cli/input.h"
#include "cli/manifests.h"
#include "cli/text.h"
#include "kube/manifest_set.h"
#include "kube/path_trail.h"
#include "projector/admission.h"
#include "projector/payload.h"
#include "projector/plan.h"

namespace tokenlet::cli {

namespace {

constexpr std::size_t kMostComplaints = 100;

// The objects of the manifests, for what the projector asks of them.
class FoundObjects : public projector::Objects {
public:
    explicit FoundObjects(const kube::ManifestSet& set) : set_(set) {}
    Result<const kube::ConfigMap*> config_map(const kube::ObjectKey& key) const override {
        return found(set_.config_map(key));
    }
    Result<const kube::Secret*> secret(const kube::ObjectKey& key) const override { return found(set_.secret(key)); }
    Result<std::vector<const kube::ClusterTrustBundle*>> trust_bundles() const override { return set_.trust_bundles(); }

private:
    template <class Object>
    static Result<const Object*> found(const Object* object) {
        if (object == nullptr)
            return fail(Errc::NotFound, "");
        return object;
    }

    const kube::ManifestSet& set_;
};

// The run, step by step: files are sorted into configurations and manifests, directories follow, then the manifests are
// looked at together.
class Validation {
public:
    void add_file(const std::string& path);
    void add_directory(const std::string& path);
    Outcome finish() &&;

private:
    void add_configuration(const std::string& path, const std::vector<kube::Document>& documents);
    void add_manifests(const std::string& path, Result<std::vector<kube::Decoded>> documents);
    void check_modes(const std::string& directory, const kube::Listing& listing);
    void check_manifests();
    void check_pod(const kube::ManifestSet& set, kube::Pod pod);
    void check_volume(const kube::ManifestSet& set, const projector::Plan& plan, projector::VolumePlan volume,
                      const std::string& where);

    void problem(const std::string& where, std::string_view what);
    void remark(const std::string& where, std::string_view what);
    void unreadable(const Error& error);

    Outcome outcome_;
    kube::Listing manifests_{.directory = {}, .complete = true, .whole = true, .updates = {}, .vanished = {}};
    std::optional<agent::AgentConfiguration> configuration_;
};

std::string name_of(const std::string& path) {
    return path == "-" ? "stdin" : path;
}

bool is_configuration(const kube::Document& document) {
    return document.root && agent::is_configuration(*document.root);
}

bool is_same_directory(const std::string& one, const std::string& other) {
    std::error_code trouble;
    return std::filesystem::equivalent(one, other, trouble);
}

// An object that is in none of the files may be in place already: all that it is known by are its paths.
projector::Source with_empty_files(const projector::ObjectSource& source) {
    projector::DownwardSource empty;
    for (const projector::KeyFile& file : source.files)
        empty.files.push_back({.path = file.path, .bytes = {}, .mode = file.mode});
    return empty;
}

// "3 Pods, 1 ServiceAccount"
std::string contents(const std::vector<kube::Decoded>& documents) {
    std::map<std::string, std::size_t> counts;
    for (const kube::Decoded& document : documents)
        ++counts[document.identity->kind];
    std::string text;
    for (const auto& [kind, count] : counts)
        text += (text.empty() ? "" : ", ") + counted(count, kind);
    return text.empty() ? "nothing" : text;
}

void Validation::problem(const std::string& where, std::string_view what) {
    outcome_.code = ExitCode::Configuration;
    outcome_.complaints.push_back(where + ": " + std::string(what));
}

void Validation::remark(const std::string& where, std::string_view what) {
    outcome_.complaints.push_back(where + ": warning: " + std::string(what));
}

void Validation::unreadable(const Error& error) {
    if (outcome_.code == ExitCode::Done)
        outcome_.code = ExitCode::Failed;
    outcome_.complaints.push_back(error.what);
}

void Validation::add_file(const std::string& path) {
    Result<Secret> bytes = read_input(path, kLongestManifest);
    if (!bytes) {
        unreadable(bytes.error());
        return;
    }
    std::vector<kube::Document> documents = kube::parse_documents(bytes->view());
    if (std::ranges::any_of(documents, is_configuration))
        add_configuration(name_of(path), documents);
    else
        add_manifests(name_of(path), kube::decode_manifests(bytes->view(), name_of(path)));
    for (kube::Document& document : documents) {
        if (document.root)
            kube::wipe(*document.root);  // it may hold Secrets
    }
}

void Validation::add_directory(const std::string& path) {
    Result<kube::Listing> listing = list_directory(path);
    if (!listing) {
        unreadable(listing.error());
        return;
    }
    if (listing->updates.empty())
        remark(path, "holds no files");
    check_modes(path, *listing);
    for (kube::FileUpdate& update : listing->updates)
        add_manifests(update.file, std::move(update.documents));
}

// The directory that the configuration names is the agent's. Any other may be a draft: its modes are only remarked on.
void Validation::check_modes(const std::string& directory, const kube::Listing& listing) {
    const bool is_the_agents = configuration_ && is_same_directory(directory, configuration_->manifests.path);
    if (is_the_agents && !configuration_->manifests.strict_modes)
        return;
    const auto check = [&](const std::string& path) {
        const Result<> safe = kube::check_strict_modes(kube::walk(path), ::geteuid());
        if (safe)
            return true;
        if (is_the_agents)
            problem(path, "the agent refuses it: " + safe.error().what);
        else
            remark(path, "an agent of this user would refuse it there: " + safe.error().what);
        return false;
    };
    // Where the directory will not do, neither will anything in it.
    if (!check(std::filesystem::absolute(directory)))
        return;
    for (const kube::FileUpdate& update : listing.updates) {
        if (update.documents)
            check(update.file);
    }
}

void Validation::add_configuration(const std::string& path, const std::vector<kube::Document>& documents) {
    agent::ConfigurationFile file = agent::read_configuration_file(documents, agent::default_node_name());
    for (const std::string& line : file.problems)
        problem(path, line);
    if (!file.problems.empty())
        return;
    if (file.agent) {
        if (const Result<> supported = agent::check_supported(*file.agent); !supported) {
            problem(path, supported.error().what);
            return;
        }
        for (const std::string& warning : agent::warnings_about(*file.agent))
            remark(path, warning);
        configuration_ = std::move(*file.agent);
    }
    std::string kinds;
    for (const std::string& kind : file.kinds)
        kinds.append(kinds.empty() ? "" : ", ").append(kind);
    outcome_.out += path + ": " + kinds + "\n";
}

void Validation::add_manifests(const std::string& path, Result<std::vector<kube::Decoded>> documents) {
    if (documents && documents->empty())
        remark(path, "holds no objects");
    else if (documents && std::ranges::all_of(*documents, [](const kube::Decoded& d) { return d.object.has_value(); }))
        outcome_.out += path + ": " + contents(*documents) + "\n";
    manifests_.updates.push_back({path, std::move(documents)});
}

void Validation::check_manifests() {
    kube::ManifestSet set;
    (void)set.apply(std::move(manifests_));  // the changes are everything; the problems stay in the set
    for (const kube::Problem& found : set.problems()) {
        outcome_.code = ExitCode::Configuration;
        outcome_.complaints.push_back(found.str());
    }
    for (const kube::Pod* pod : set.pods())
        check_pod(set, *pod);
}

// What comes after reading: admission, the policy, and the plan with its annotations and paths.
void Validation::check_pod(const kube::ManifestSet& set, kube::Pod pod) {
    const std::string where = pod.origin.file + ": Pod " + pod.meta.key().str();
    const kube::ObjectKey key = projector::account_of(pod);
    if (set.service_account(key) == nullptr && key.name != kube::kDefaultServiceAccount)
        remark(where, "its service account " + key.str() + " is in none of these files");

    const Result<kube::Pod> admitted = admit_draft(std::move(pod), set);
    if (!admitted) {
        problem(where, admitted.error().what);
        return;
    }
    if (configuration_) {
        if (const Result<> allowed = kube::check(*admitted, configuration_->policy); !allowed)
            problem(where, allowed.error().what);
    }
    const Result<projector::Plan> plan = projector::compile(
        *admitted,
        {.ownership = {}, .allocatable = {}, .direct = configuration_ ? &configuration_->volumes.direct : nullptr});
    if (!plan) {
        problem(where, plan.error().what);
        return;
    }
    for (const projector::VolumePlan& volume : plan->volumes)
        check_volume(set, *plan, volume, where);
    for (const std::string& volume : plan->unmounted)
        remark(where, "no container mounts volume " + volume + ", so it is not projected");
}

// As the agent will build it, with tokens that say nothing.
void Validation::check_volume(const kube::ManifestSet& set, const projector::Plan& plan, projector::VolumePlan volume,
                              const std::string& where) {
    for (projector::Source& source : volume.sources) {
        if (auto* bundle = std::get_if<projector::BundleSource>(&source))
            bundle->optional = true;
        const auto* object = std::get_if<projector::ObjectSource>(&source);
        if (object == nullptr)
            continue;
        const kube::ObjectKey key{plan.ns, object->name};
        const bool is_here =
            object->kind == projector::ObjectKind::Secret ? set.secret(key) != nullptr : set.config_map(key) != nullptr;
        if (!is_here)
            source = with_empty_files(*object);
    }
    const std::vector<projector::TokenBytes> tokens(projector::token_sources(volume).size(), "token");
    if (const auto built = projector::build(plan, volume, tokens, FoundObjects(set)); !built)
        problem(where, "volume " + volume.name + ": " + built.error().what);
}

Outcome Validation::finish() && {
    if (!manifests_.updates.empty())
        check_manifests();
    std::vector<std::string>& complaints = outcome_.complaints;
    if (complaints.size() > kMostComplaints) {
        const std::size_t more = complaints.size() - kMostComplaints;
        complaints.resize(kMostComplaints);
        complaints.push_back("and " + std::to_string(more) + " more");
    }
    return std::move(outcome_);
}

}  // namespace

Outcome run(const ValidateOptions& options) {
    if (std::ranges::find(options.paths, "") != options.paths.end())
        return {.code = ExitCode::Usage, .complaints = {"PATH must not be empty (see tokenlet validate --help)"}};
    Validation validation;
    std::vector<std::string> directories;
    for (const std::string& path : options.paths) {
        std::error_code trouble;
        if (path != "-" && std::filesystem::is_directory(path, trouble))
            directories.push_back(path);
        else
            validation.add_file(path);
    }
    // Last, because a configuration among the files may say which of them is the agent's.
    for (const std::string& path : directories)
        validation.add_directory(path);
    return std::move(validation).finish();
}

}  // namespace tokenlet::cli
