// SPDX-License-Identifier: Apache-2.0
#include "cli/enroll_verb.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "agent/config.h"
#include "agent/enrollment.h"
#include "agent/shell/api_caller.h"
#include "agent/shell/make_directory.h"
#include "agent/shell/self_credential.h"
#include "base/file_bytes.h"
#include "base/unique_fd.h"
#include "cli/daemon.h"
#include "kube/names.h"
#include "kube/token_request_json.h"

namespace tokenlet::cli {
namespace {

constexpr char kAgentKubeconfig[] = "kubeconfig";  // in stateDir
constexpr char kDefaultNamespace[] = "tokenlet";
constexpr std::size_t kMostCaBytes = 1024 * 1024;

// What the agent's configuration says, or would by default: enrolling may come before there is one.
Result<agent::AgentConfiguration> read_configuration(const std::string& path) {
    std::optional<agent::AgentConfiguration> read = TRY(read_usual_configuration(path));
    if (read)
        return std::move(*read);
    agent::AgentConfiguration made;
    made.node_name = agent::default_node_name();
    made.bound_object.secret_name = "tokenlet-" + made.node_name;
    made.issuer = agent::KubernetesIssuer{};
    return made;
}

Result<kube::ObjectKey> parse_account(const std::string& text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string::npos)
        return fail(Errc::Invalid, "--serve: '" + text + "' must be NAMESPACE/NAME of a service account");
    kube::ObjectKey key{text.substr(0, slash), text.substr(slash + 1)};
    for (const std::string& trouble : {kube::check_dns1123_label(key.ns), kube::check_dns1123_subdomain(key.name)})
        if (!trouble.empty())
            return fail(Errc::Invalid, "--serve: '" + text + "': " + trouble);
    return key;
}

Result<agent::Enrollment> enrollment_of(const agent::AgentConfiguration& config, const EnrollOptions& options) {
    agent::Enrollment enrollment{.node = config.node_name,
                                 .account = {kDefaultNamespace, config.node_name},
                                 .secret_name = config.bound_object.secret_name,
                                 .serves = {}};
    if (const auto* cluster = std::get_if<agent::KubernetesIssuer>(&config.issuer);
        cluster != nullptr && !cluster->self.service_account.empty())
        enrollment.account = {cluster->self.ns, cluster->self.service_account};
    for (const std::string& account : options.serves)
        enrollment.serves.push_back(TRY(parse_account(account)));
    return enrollment;
}

// As kubectl finds it.
Result<kube::ClusterAccess> admin_access(const EnrollOptions& options) {
    if (!options.kubeconfig.empty())
        return kube::read_kubeconfig(options.kubeconfig, options.context);
    if (const char* named = std::getenv("KUBECONFIG"); named != nullptr && *named != '\0')
        return kube::read_kubeconfigs(named, options.context);
    if (const char* home = std::getenv("HOME"); home != nullptr)
        return kube::read_kubeconfig(std::string(home) + "/.kube/config", options.context);
    return fail(Errc::NotFound, "an administrator's kubeconfig is needed: --kubeconfig FILE");
}

Result<Secret> ca_of(const kube::Cluster& cluster) {
    if (cluster.certificate_authority.file.empty())
        return cluster.certificate_authority.bytes.copy();
    const std::string& path = cluster.certificate_authority.file;
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file)
        return fail_errno(errno, "open", path);
    return read_all(file.get(), kMostCaBytes, path);
}

// An administrator may have made the Secret by hand. Its type, which cannot be changed, is nothing that tokens depend on.
bool has_another_type(const kube::ApiError& refusal, const agent::EnrolledObject& object) {
    return refusal.http_status == 422 && object.yaml.ends_with(agent::kSecretType) &&
           std::ranges::any_of(refusal.causes, [](const kube::StatusCause& cause) { return cause.field == "type"; });
}

Result<> apply(agent::BlockingClient& client, agent::EnrolledObject object) {
    kube::ApiResult applied =
        client.call({.method = "PATCH",
                     .path = object.path,
                     .query = kube::api_query({{"fieldManager", "tokenlet-enroll"}, {"force", "true"}}),
                     .body = Secret(object.yaml),
                     .content_type = "application/apply-patch+yaml",
                     .what = object.what});
    if (applied)
        return {};
    if (!has_another_type(applied.error(), object))
        return std::unexpected(std::move(applied.error().error));
    object.yaml.resize(object.yaml.size() - agent::kSecretType.size());
    return apply(client, std::move(object));
}

// Rights are only ever added: what the Role that is there grants goes into the one that is applied.
Result<> keep_rights(agent::BlockingClient& client, agent::EnrolledObject& role) {
    const kube::ApiResult held = client.call({.path = role.path, .what = role.what});
    if (!held && held.error().http_status == 404)
        return {};
    if (!held)
        return std::unexpected(held.error().error);
    role = TRY(agent::keep_rules(std::move(role), held->body.view()));
    return {};
}

Result<Secret> first_token(agent::BlockingClient& client, const agent::Enrollment& enrollment, Duration expiration) {
    const kube::TokenRequest request{
        .ns = enrollment.account.ns,
        .service_account = enrollment.account.name,
        .audiences = {},
        .expiration_seconds = std::chrono::duration_cast<std::chrono::seconds>(expiration).count(),
        .bound_object_ref = kube::BoundObjectRef{"Secret", enrollment.secret_name, ""}};
    const kube::ApiResult answer = client.call(agent::token_request_call(request));
    if (!answer)
        return std::unexpected(answer.error().error);
    kube::IssuedToken issued = TRY(kube::read_issued_token(answer->body.view()));
    return std::move(issued.token);
}

// `outcome` says what was done, a line each, also when the rest could not be.
Result<> enroll(const agent::AgentConfiguration& config, const agent::Enrollment& enrollment,
                kube::ClusterAccess access, Outcome& outcome) {
    const UniqueFd state = TRY(agent::make_safe_directory(config.state_dir, {.above = 0755, .last = 0711}), "stateDir");
    const Secret ca = TRY(ca_of(access.cluster), "certificate authority");
    auto client = TRY(agent::BlockingClient::create(std::move(access)));
    outcome.complaints = client.warnings();
    for (agent::EnrolledObject& object : agent::objects_for(enrollment)) {
        if (object.is_role)
            TRY(keep_rights(client, object));
        TRY(apply(client, object));
        outcome.out += object.what + " applied\n";
    }
    const auto* cluster = std::get_if<agent::KubernetesIssuer>(&config.issuer);
    const Duration expiration =
        cluster != nullptr ? cluster->self.expiration : agent::KubernetesIssuer::Self{}.expiration;
    const Secret token = TRY(first_token(client, enrollment, expiration));
    TRY(agent::write_secret_file(config.state_dir, agent::kSelfTokenFile, token), "stateDir");
    outcome.out += config.state_dir + "/" + agent::kSelfTokenFile + " written: the agent's first credential\n";
    const std::string kubeconfig = agent::kubeconfig_for(client.access().cluster, ca.view(), agent::kSelfTokenFile);
    TRY(agent::write_secret_file(config.state_dir, kAgentKubeconfig, Secret(kubeconfig)), "stateDir");
    const std::string path = config.state_dir + "/" + kAgentKubeconfig;
    outcome.out += path + " written: the cluster, and that credential\n";
    outcome.out += "agent.yaml needs: issuer: {kubernetes: {kubeconfig: " + path +
                   ", self: {serviceAccount: " + enrollment.account.str() + "}}}\n";
    outcome.out +=
        "agent.yaml needs: boundObject: {mode: secret}, so that deleting a Secret made above locks this host out\n";
    return {};
}

}  // namespace

Outcome run(const EnrollOptions& options) {
    const Result<agent::AgentConfiguration> config = read_configuration(options.config);
    if (!config)
        return misconfigured(config.error());
    const Result<agent::Enrollment> enrollment = enrollment_of(*config, options);
    if (!enrollment)
        return {.code = ExitCode::Usage, .complaints = {enrollment.error().what + " (see tokenlet enroll --help)"}};
    if (options.dry_run) {
        Outcome outcome;
        for (const agent::EnrolledObject& object : agent::objects_for(*enrollment))
            outcome.out += (outcome.out.empty() ? "" : "---\n") + object.yaml;
        return outcome;
    }
    Result<kube::ClusterAccess> access = admin_access(options);
    if (!access)
        return misconfigured(std::move(access.error()));
    Outcome outcome;
    if (Result<> enrolled = enroll(*config, *enrollment, std::move(*access), outcome); !enrolled) {
        outcome.code = ExitCode::Failed;
        outcome.complaints.push_back(std::move(enrolled.error()).with("enroll").what);
    }
    return outcome;
}

}  // namespace tokenlet::cli
