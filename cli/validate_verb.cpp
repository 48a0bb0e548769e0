// SPDX-License-Identifier: Apache-2.0
#include "cli/validate_verb.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "agent/config.h"
#include "cli/input.h"
#include "cli/text.h"
#include "kube/manifest_name.h"
#include "kube/manifest_set.h"
#include "projector/admission.h"
#include "projector/plan.h"

namespace tokenlet::cli {

namespace {

constexpr std::size_t kLongestFile = std::size_t{10} << 20;  // as the agent has it
constexpr char kAnyUid[] = "00000000-0000-0000-0000-000000000000";

// The run, step by step: files are sorted into configurations and manifests, then the manifests are looked at together.
class Validation {
public:
    void add_path(const std::string& path);
    Outcome finish() &&;

private:
    void add_file(const std::string& path);
    void add_configuration(const std::string& path, std::string_view text,
                           const std::vector<kube::Document>& documents);
    void add_manifests(const std::string& path, std::string_view text);
    void check_manifests();
    void check_pod(const kube::ManifestSet& set, kube::Pod pod);

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
    if (!document.root)
        return false;
    const std::string_view kind = agent::kind_of(*document.root);
    return kind == agent::kAgentKind || kind == agent::kAuthorityKind;
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

void Validation::add_path(const std::string& path) {
    std::error_code trouble;
    if (path == "-" || !std::filesystem::is_directory(path, trouble)) {
        add_file(path);
        return;
    }
    std::set<std::string> files;
    auto entry = std::filesystem::directory_iterator(path, trouble);
    for (; !trouble && entry != std::filesystem::directory_iterator(); entry.increment(trouble)) {
        // As the agent reads it: not what lies deeper, and not what editors leave behind.
        std::error_code unknown;
        if (kube::is_manifest_name(entry->path().filename().native()) && entry->is_regular_file(unknown))
            files.insert(entry->path());
    }
    if (trouble)
        unreadable(fail_errno(trouble.value(), "list", path).error());
    else if (files.empty())
        remark(path, "holds no files");
    for (const std::string& file : files)
        add_file(file);
}

void Validation::add_file(const std::string& path) {
    Result<Secret> bytes = read_input(path, kLongestFile);
    if (!bytes) {
        unreadable(bytes.error());
        return;
    }
    std::vector<kube::Document> documents = kube::parse_documents(bytes->view());
    if (std::ranges::any_of(documents, is_configuration))
        add_configuration(name_of(path), bytes->view(), documents);
    else
        add_manifests(name_of(path), bytes->view());
    for (kube::Document& document : documents) {
        if (document.root)
            kube::wipe(*document.root);  // it may hold Secrets
    }
}

void Validation::add_configuration(const std::string& path, std::string_view text,
                                   const std::vector<kube::Document>& documents) {
    kube::Problems problems;
    std::string kinds;
    bool has_agent = false;
    bool is_broken = false;
    for (const kube::Document& document : documents) {
        if (!document.root) {
            problem(path, document.root.error().what);
            is_broken = true;
            continue;
        }
        const bool is_authority = agent::kind_of(*document.root) == agent::kAuthorityKind;
        if (is_authority)
            agent::check_authority_document(*document.root, problems);
        else
            (void)agent::read_agent_document(*document.root, agent::default_node_name(), problems);
        has_agent = has_agent || !is_authority;
        kinds += (kinds.empty() ? "" : ", ") + std::string(is_authority ? agent::kAuthorityKind : agent::kAgentKind);
    }
    for (const std::string& line : problems.list())
        problem(path, line);
    if (!problems.empty() || is_broken)
        return;
    outcome_.out += path + ": " + kinds + "\n";
    if (!has_agent)
        return;

    Result<agent::AgentConfiguration> config = agent::parse_agent_configuration(text, path, agent::default_node_name());
    if (!config) {
        outcome_.code = ExitCode::Configuration;
        outcome_.complaints.push_back(config.error().what);
        return;
    }
    if (const Result<> supported = agent::check_supported(*config); !supported)
        problem(path, supported.error().what);
    for (const std::string& warning : agent::warnings_about(*config))
        remark(path, warning);
    configuration_ = std::move(*config);
}

void Validation::add_manifests(const std::string& path, std::string_view text) {
    std::vector<kube::Decoded> documents = kube::decode_manifests(text, path);
    if (documents.empty())
        remark(path, "holds no objects");
    else if (std::ranges::all_of(documents, [](const kube::Decoded& d) { return d.object.has_value(); }))
        outcome_.out += path + ": " + contents(documents) + "\n";
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
    kube::ServiceAccount stand_in;
    stand_in.meta.ns = key.ns;
    stand_in.meta.name = key.name;
    const kube::ServiceAccount* account = set.service_account(key);
    if (account == nullptr && key.name != kube::kDefaultServiceAccount)
        remark(where, "its service account " + key.str() + " is in none of these files");
    if (pod.meta.uid.empty())
        pod.meta.uid = kAnyUid;

    const Result<kube::Pod> admitted = projector::admit(std::move(pod), account != nullptr ? account : &stand_in);
    if (!admitted) {
        problem(where, admitted.error().what);
        return;
    }
    if (configuration_) {
        if (const Result<> allowed = kube::check(*admitted, configuration_->policy); !allowed)
            problem(where, allowed.error().what);
    }
    const Result<projector::Plan> plan = projector::compile(*admitted, {});
    if (!plan) {
        problem(where, plan.error().what);
        return;
    }
    for (const projector::VolumePlan& volume : plan->volumes) {
        for (const projector::Source& source : volume.sources) {
            if (const auto* broken = std::get_if<projector::BrokenSource>(&source))
                problem(where, "volume " + volume.name + ": " + broken->why);
        }
    }
    for (const std::string& volume : plan->unmounted)
        remark(where, "no container mounts volume " + volume + ", so it is not projected");
}

Outcome Validation::finish() && {
    if (!manifests_.updates.empty())
        check_manifests();
    return std::move(outcome_);
}

}  // namespace

Outcome run(const ValidateOptions& options) {
    Validation validation;
    for (const std::string& path : options.paths)
        validation.add_path(path);
    return std::move(validation).finish();
}

}  // namespace tokenlet::cli
