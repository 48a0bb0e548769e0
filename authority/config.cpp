// SPDX-License-Identifier: Apache-2.0
#include "authority/config.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

#include "kube/fields.h"
#include "kube/objects.h"

namespace tokenlet::authority {
namespace {

// Times are kept in 64 bits of nanoseconds, which end in 2262.
constexpr std::chrono::hours kLongestRotation{24 * 365 * 100};
constexpr std::chrono::minutes kShortestToken{1};  // the leeway that verifiers give to clocks
constexpr std::chrono::seconds kLongestToken{kube::kMaxExpirationSeconds};

// "host", "host:8443", "[::1]:8443" -> the host, or nothing when it is no host and port.
std::optional<std::string_view> host_of(std::string_view host_and_port) {
    const std::size_t end = host_and_port.starts_with('[') ? host_and_port.find(']') + 1 : host_and_port.find(':');
    const std::string_view host = host_and_port.substr(0, end);
    const std::string_view port = end < host_and_port.size() ? host_and_port.substr(end) : "";
    const bool port_is_fine = port.empty() || (port.size() > 1 && port[0] == ':' &&
                                               port.find_first_not_of("0123456789", 1) == std::string_view::npos);
    if (host.empty() || host == "[]" || !port_is_fine)
        return {};
    return host;
}

bool is_loopback(std::string_view host) {
    return host == "localhost" || host == "[::1]" ||
           (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos);
}

bool is_whole_seconds(Duration duration) {
    return duration % std::chrono::seconds(1) == Duration::zero();
}

void read_issuers(kube::Fields& fields, AuthorityConfiguration& config) {
    if (const auto issuer = fields.string("issuer"))
        config.issuer = *issuer;
    if (const auto fine = check_issuer_url(config.issuer); !fine)
        fields.fail("issuer", fine.error().what);
    config.additional_issuers = fields.strings("additionalIssuers");
    for (const std::string& issuer : config.additional_issuers) {
        if (const auto fine = check_issuer_url(issuer); !fine)
            fields.fail("additionalIssuers", fine.error().what);
    }
    config.api_audiences = fields.strings("apiAudiences");
    if (std::ranges::find(config.api_audiences, "") != config.api_audiences.end())
        fields.fail("apiAudiences", "an audience must not be empty");
}

void read_keys(kube::Fields& fields, KeysConfiguration& keys) {
    if (const auto name = fields.one_of("algorithm", {"ES256", "ES384", "ES512", "RS256"}))
        keys.algorithm = *algorithm_named(*name);
    keys.rotate_every = fields.duration("rotateEvery").value_or(keys.rotate_every);
    keys.publish_before = fields.duration("publishBefore").value_or(keys.publish_before);
    if (keys.publish_before < Duration::zero())
        fields.fail("publishBefore", "must not be negative");
    if (keys.rotate_every != Duration::zero() && keys.rotate_every <= keys.publish_before)
        fields.fail("rotateEvery", "must be longer than publishBefore (" + go_duration(keys.publish_before) +
                                       "), or 0s to keep one key");
    if (std::max(keys.rotate_every, keys.publish_before) > kLongestRotation)
        fields.fail("rotateEvery", "more than 100 years; 0s keeps one key");
}

void read_expirations(kube::Fields& fields, AuthorityConfiguration& config) {
    Duration& shortest = config.min_token_expiration;
    Duration& longest = config.max_token_expiration;
    const bool maximum_is_given = fields.has("maxTokenExpiration");
    shortest = fields.duration("minTokenExpiration").value_or(shortest);
    longest = fields.duration("maxTokenExpiration").value_or(longest);
    if (shortest < kShortestToken || shortest > kLongestToken || !is_whole_seconds(shortest))
        fields.fail("minTokenExpiration", "must be whole seconds, at least 1m and at most 2^32 s");
    if (longest < Duration::zero() || longest > kLongestToken || !is_whole_seconds(longest))
        fields.fail("maxTokenExpiration", "must be whole seconds and at most 2^32 s; 0s means no maximum");
    else if (longest != Duration::zero() && longest < shortest)
        fields.fail(maximum_is_given ? "maxTokenExpiration" : "minTokenExpiration",
                    "the maximum (" + go_duration(longest) + ") is below the minimum (" + go_duration(shortest) +
                        "): no request could be granted as asked");
}

}  // namespace

std::vector<std::string> AuthorityConfiguration::effective_api_audiences() const {
    return api_audiences.empty() ? std::vector{issuer} : api_audiences;
}

Result<> check_issuer_url(std::string_view url) {
    const auto refuse = [](std::string_view why) { return fail(Errc::Invalid, std::string(why)); };
    const bool is_https = url.starts_with("https://");
    if (!is_https && !url.starts_with("http://"))
        return refuse("must be an https URL, such as https://tokens.example.org");
    if (std::ranges::any_of(url, [](unsigned char c) { return c <= ' ' || c >= 0x7f || c == '"' || c == '\\'; }))
        return refuse("must hold neither blanks nor characters that a URL has to escape");
    if (url.find_first_of("?#") != std::string_view::npos)
        return refuse("must have no query and no fragment: verifiers append /.well-known/openid-configuration");
    const std::string_view rest = url.substr(is_https ? 8 : 7);
    const std::string_view authority = rest.substr(0, rest.find('/'));
    if (authority.find('@') != std::string_view::npos)
        return refuse("must name no user: it stands in every token");
    const std::optional<std::string_view> host = host_of(authority);
    if (!host)
        return refuse("must name a host, such as https://tokens.example.org");
    if (!is_https && !is_loopback(*host))
        return refuse("must be https: http is for trials on localhost, 127.0.0.1 or [::1] only");
    return {};
}

AuthorityConfiguration read_authority_configuration(kube::Fields& fields) {
    AuthorityConfiguration config;
    read_issuers(fields, config);
    if (const auto data_dir = fields.string("dataDir"))
        config.data_dir = *data_dir;
    if (!config.data_dir.starts_with('/'))
        fields.fail("dataDir", "must be an absolute path");
    {
        kube::Fields keys = fields.mapping("keys");
        read_keys(keys, config.keys);
    }
    read_expirations(fields, config);
    config.extend_token_expiration = fields.boolean("extendTokenExpiration").value_or(false);
    for (const std::string_view later : {"listen", "anonymousDiscovery", "legacyTokenCleanUpPeriod"}) {
        if (fields.has(later))
            fields.fail(later, "has no effect yet: this version embeds the authority in the agent and serves no API");
    }
    return config;
}

std::vector<std::string> warnings_about(const AuthorityConfiguration& config) {
    std::vector<std::string> warnings;
    const std::chrono::seconds extended{kube::kInjectedExpirationSeconds};
    const Duration maximum = config.max_token_expiration;
    if (config.extend_token_expiration && maximum != Duration::zero() && maximum < extended)
        warnings.push_back("extendTokenExpiration has no effect: maxTokenExpiration (" + go_duration(maximum) +
                           ") is below the 3607 s that an extended token asks for; raise it to 1h1m, or drop "
                           "extendTokenExpiration");
    return warnings;
}

}  // namespace tokenlet::authority
