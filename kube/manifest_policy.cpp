// SPDX-License-Identifier: Apache-2.0
#include "kube/manifest_policy.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <system_error>
#include <utility>
#include <variant>

namespace tokenlet::kube {
namespace {

bool matches(std::string_view value, std::string_view pattern) {
    if (pattern.ends_with('*'))
        return value.starts_with(pattern.substr(0, pattern.size() - 1));
    return value == pattern;
}

bool allows(const std::vector<std::string>& list, std::string_view value) {
    return list.empty() || std::ranges::any_of(list, [&](const std::string& entry) { return matches(value, entry); });
}

std::string quoted(std::string_view text) {
    return "\"" + std::string(text) + "\"";
}

std::string list_of(const std::vector<std::string>& entries) {
    std::string text;
    for (const std::string& entry : entries)
        text += (text.empty() ? "" : ", ") + quoted(entry);
    return text;
}

std::string list_of(const std::vector<IdRange>& ranges) {
    std::string text;
    for (const IdRange& range : ranges) {
        text += (text.empty() ? "" : ", ") + std::to_string(range.first);
        if (range.last != range.first)
            text += "-" + std::to_string(range.last);
    }
    return text;
}

class Check {
public:
    Check(const Pod& pod, const Policy& policy) : pod_(pod), policy_(policy) {}

    Result<> run() {
        if (!allows(policy_.namespaces, pod_.meta.ns))
            add("metadata.namespace: " + quoted(pod_.meta.ns) + " is not in policy.namespaces (" +
                list_of(policy_.namespaces) + ")");
        const std::string account = pod_.meta.ns + "/" + pod_.service_account_name;
        if (!allows(policy_.service_accounts, account))
            add("spec.serviceAccountName: " + quoted(account) + " is not in policy.serviceAccounts (" +
                list_of(policy_.service_accounts) + ")");
        for (std::size_t i = 0; i < pod_.volumes.size(); ++i)
            check_volume(pod_.volumes[i], "spec.volumes[" + std::to_string(i) + "]");
        check_users();
        if (found_.empty())
            return {};
        return fail(Errc::Denied, std::move(found_));
    }

private:
    void add(const std::string& problem) { found_ += (found_.empty() ? "" : "; ") + problem; }

    void check_volume(const Volume& volume, const std::string& path) {
        for (std::size_t i = 0; i < volume.sources.size(); ++i)
            if (const auto* token = std::get_if<ServiceAccountTokenProjection>(&volume.sources[i]))
                check_token(*token, path + ".projected.sources[" + std::to_string(i) + "].serviceAccountToken");
    }

    void check_token(const ServiceAccountTokenProjection& token, const std::string& path) {
        if (!allows(policy_.audiences, token.audience))
            add(path + ".audience: " + quoted(token.audience) + (token.audience.empty() ? ", the issuer's own," : "") +
                " is not in policy.audiences (" + list_of(policy_.audiences) + ")");
        constexpr std::int64_t kHour = 3600;
        const std::int64_t seconds =
            token.expiration_seconds == kInjectedExpirationSeconds ? kHour : token.expiration_seconds;
        if (policy_.max_expiration && std::chrono::seconds(seconds) > *policy_.max_expiration)
            add(path + ".expirationSeconds: " + std::to_string(token.expiration_seconds) +
                " is above policy.maxExpiration (" + go_duration(*policy_.max_expiration) + ")");
    }

    void check_users() {
        if (policy_.run_as_users.empty())
            return;
        if (pod_.run_as_user)
            check_number(*pod_.run_as_user, "spec.securityContext.runAsUser");
        check_containers(pod_.init_containers, "spec.initContainers");
        check_containers(pod_.containers, "spec.containers");
        check_containers(pod_.ephemeral_containers, "spec.ephemeralContainers");
        if (pod_.fs_group)
            check_number(*pod_.fs_group, "spec.securityContext.fsGroup");
        for (std::size_t i = 0; i < pod_.supplemental_groups.size(); ++i)
            check_number(pod_.supplemental_groups[i],
                         "spec.securityContext.supplementalGroups[" + std::to_string(i) + "]");
    }

    void check_containers(const std::vector<Container>& containers, const std::string& path) {
        for (std::size_t i = 0; i < containers.size(); ++i) {
            const std::string field = path + "[" + std::to_string(i) + "].securityContext.runAsUser";
            if (containers[i].run_as_user)
                check_number(*containers[i].run_as_user, field);
            else if (!pod_.run_as_user)
                add(field + ": must be set, here or for the whole Pod; policy.runAsUsers allows " +
                    list_of(policy_.run_as_users));
        }
    }

    void check_number(std::int64_t id, const std::string& field) {
        if (Result<> checked = check_id(id, field, policy_); !checked)
            add(checked.error().what);
    }

    const Pod& pod_;
    const Policy& policy_;
    std::string found_;
};

}  // namespace

Result<> check(const Pod& pod, const Policy& policy) {
    return Check(pod, policy).run();
}

Result<> check_id(std::int64_t id, std::string_view field, const Policy& policy) {
    const auto holds = [id](const IdRange& range) { return range.first <= id && id <= range.last; };
    if (policy.run_as_users.empty() || std::ranges::any_of(policy.run_as_users, holds))
        return {};
    return fail(Errc::Denied, std::string(field) + ": " + std::to_string(id) + " is not in policy.runAsUsers (" +
                                  list_of(policy.run_as_users) + ")");
}

Result<IdRange> parse_id_range(std::string_view text) {
    const std::size_t dash = text.find('-');
    const auto number = [&](std::string_view part) -> Result<std::int64_t> {
        std::uint32_t value = 0;
        const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
        // The highest number is the kernel's "nobody asked for".
        if (error != std::errc() || end != part.data() + part.size() || value == UINT32_MAX)
            return fail(Errc::Invalid, quoted(text) + " is no user number or range, such as 1000 or 1000-1999");
        return value;
    };
    IdRange range;
    range.first = TRY(number(text.substr(0, dash)));
    range.last = dash == std::string_view::npos ? range.first : TRY(number(text.substr(dash + 1)));
    if (range.last < range.first)
        return fail(Errc::Invalid, quoted(text) + ": the range ends before it starts");
    return range;
}

}  // namespace tokenlet::kube
