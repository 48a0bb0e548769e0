// SPDX-License-Identifier: Apache-2.0
#include "authority/token_rules.h"

#include <algorithm>
#include <chrono>

namespace tokenlet::authority {
namespace {

std::unexpected<Error> not_found(std::string_view resource, const std::string& name) {
    return fail(Errc::NotFound, std::string(resource) + " \"" + name + "\" not found");
}

std::int64_t in_seconds(Duration duration) {
    return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

Result<> check_bounds(std::int64_t seconds, const AuthorityConfiguration& config) {
    const std::string invalid = "spec.expirationSeconds: Invalid value: " + std::to_string(seconds) + ": ";
    if (seconds < in_seconds(config.min_token_expiration)) {
        const bool is_upstreams = config.min_token_expiration == std::chrono::minutes(10);
        return fail(Errc::Invalid, invalid + "may not specify a duration less than " +
                                       (is_upstreams ? "10 minutes" : go_duration(config.min_token_expiration)));
    }
    if (seconds > kube::kMaxExpirationSeconds)
        return fail(Errc::Invalid, invalid + "may not specify a duration larger than 2^32 seconds");
    return {};
}

// A uid that is left out is taken from the record; one that is given must be the record's.
Result<ClaimedObject> claim(const kube::BoundObjectRef& ref, const std::string& uid_on_record) {
    if (!ref.uid.empty() && ref.uid != uid_on_record)
        return fail(Errc::Conflict, "Operation cannot be fulfilled on " + ref.kind + " \"" + ref.name +
                                        "\": the UID in the bound object reference (" + ref.uid +
                                        ") does not match the UID in record. The object might have been deleted and "
                                        "then recreated");
    return ClaimedObject{ref.name, uid_on_record};
}

Result<> bind_pod(const kube::BoundObjectRef& ref, const kube::TokenRequest& request, const Registry& registry,
                  WallTime now, Claims& claims) {
    const PodRecord* pod = registry.pod({request.ns, ref.name});
    if (pod == nullptr || !honours_tokens(*pod, now))
        return not_found("pods", ref.name);
    if (pod->service_account != request.service_account)
        return fail(Errc::Invalid, "cannot bind token for serviceaccount \"" + request.service_account +
                                       "\" to pod running with different serviceaccount name.");
    claims.pod = TRY(claim(ref, pod->uid));
    if (const NodeRecord* node = registry.node(pod->node_name))
        claims.node = ClaimedObject{node->name, node->uid};
    return {};
}

Result<> bind(const kube::BoundObjectRef& ref, const kube::TokenRequest& request, const Registry& registry,
              WallTime now, Claims& claims) {
    if (ref.kind == "Pod")
        return bind_pod(ref, request, registry, now, claims);
    if (ref.kind == "Node") {
        const NodeRecord* node = registry.node(ref.name);
        if (node == nullptr)
            return not_found("nodes", ref.name);
        claims.node = TRY(claim(ref, node->uid));
        return {};
    }
    if (ref.kind == "Secret")  // none is registered here: Secrets come with the authority's API
        return not_found("secrets", ref.name);
    return fail(Errc::Invalid, "cannot bind token to object of type /v1, Kind=" + ref.kind);
}

bool are_among(const std::vector<std::string>& audiences, const std::vector<std::string>& all) {
    return std::ranges::all_of(audiences,
                               [&](const std::string& one) { return std::ranges::find(all, one) != all.end(); });
}

}  // namespace

bool honours_tokens(const PodRecord& pod, WallTime now) {
    return !pod.deletion_timestamp || now <= *pod.deletion_timestamp + kDeletionGrace;
}

Result<Grant> grant(const kube::TokenRequest& request, const AuthorityConfiguration& config, const Registry& registry,
                    WallTime now) {
    if (!registry.has_namespace(request.ns))
        return not_found("namespaces", request.ns);
    const ServiceAccountRecord* account = registry.service_account({request.ns, request.service_account});
    if (account == nullptr)
        return not_found("serviceaccounts", request.service_account);
    TRY(check_bounds(request.expiration_seconds, config));

    Grant granted;
    Claims& claims = granted.claims;
    const std::vector<std::string> api_audiences = config.effective_api_audiences();
    claims.audiences = request.audiences.empty() ? api_audiences : request.audiences;
    claims.issuer = config.issuer;
    claims.ns = request.ns;
    claims.service_account = {account->key.name, account->uid};
    if (request.bound_object_ref)
        TRY(bind(*request.bound_object_ref, request, registry, now, claims));

    granted.expiration_seconds = request.expiration_seconds;
    const std::int64_t maximum = in_seconds(config.max_token_expiration);
    if (maximum > 0 && granted.expiration_seconds > maximum) {
        granted.expiration_seconds = maximum;
        granted.warnings.push_back("requested expiration of " + std::to_string(request.expiration_seconds) +
                                   " seconds shortened to " + std::to_string(maximum) + " seconds");
    }

    const auto issued_at = std::chrono::floor<std::chrono::seconds>(now);
    claims.issued_at_seconds = issued_at.time_since_epoch().count();
    claims.expires_at_seconds = claims.issued_at_seconds + granted.expiration_seconds;
    granted.expiration_timestamp = issued_at + std::chrono::seconds(granted.expiration_seconds);
    // After the maximum, as upstream has it: a maximum of an hour turns 3607 into 3600, and nothing is extended.
    if (config.extend_token_expiration && claims.pod &&
        granted.expiration_seconds == kube::kInjectedExpirationSeconds && are_among(claims.audiences, api_audiences)) {
        claims.warn_after_seconds = claims.expires_at_seconds;
        claims.expires_at_seconds = claims.issued_at_seconds + kExtendedExpirationSeconds;
    }
    return granted;
}

}  // namespace tokenlet::authority
