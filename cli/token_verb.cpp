// SPDX-License-Identifier: Apache-2.0
#include "cli/token_verb.h"

#include <algorithm>

#include "cli/input.h"
#include "cli/text.h"
#include "kube/jwt.h"
#include "rotation/schedule.h"

namespace tokenlet::cli {

namespace {

// When an agent with the usual policy rotates it, and by which rule.
struct Rotation {
    WallTime at;
    rotation::DueRule rule;
};

std::optional<Rotation> rotation_of(const kube::Jwt& jwt) {
    if (!jwt.issued_at || !jwt.expires_at)
        return std::nullopt;
    // A token whose expiry was extended for readers that do not reload says in warnafter what it was granted.
    const Duration ttl = jwt.warn_after.value_or(*jwt.expires_at) - *jwt.issued_at;
    if (ttl <= Duration::zero())
        return std::nullopt;
    const rotation::TokenTimes times{
        .received = BootTime(), .issued = *jwt.issued_at, .expires = *jwt.expires_at, .ttl = ttl};
    const rotation::Due due = rotation::due(times, Duration::zero(), {});
    return Rotation{*jwt.issued_at + (due.at - BootTime()), due.rule};
}

std::string_view words_for(rotation::DueRule rule) {
    return rule == rotation::DueRule::MaxAge ? "24 h after it was issued" : "at 80 % of its lifetime";
}

std::string moment(WallTime time, WallTime now, std::string_view verb) {
    const std::string away = relative(time, now);
    return rfc3339(time) + "  " + (time <= now && !verb.empty() ? std::string(verb) + " " : "") + away;
}

std::string named(const kube::Jwt::Ref& ref) {
    return printable(ref.name) + (ref.uid.empty() ? "" : "  uid " + printable(ref.uid));
}

std::string as_table(const kube::Jwt& jwt, WallTime now) {
    std::vector<std::vector<std::string>> rows;
    const auto add = [&](std::string_view name, std::string value) {
        if (!value.empty())
            rows.push_back({std::string(name), std::move(value)});
    };
    add("issuer", printable(jwt.issuer));
    add("subject", printable(jwt.subject));
    for (const std::string& audience : jwt.audiences)
        add(&audience == &jwt.audiences.front() ? "audience" : "", printable(audience));
    add("namespace", printable(jwt.ns));
    if (jwt.service_account)
        add("service account", named(*jwt.service_account));
    if (jwt.pod)
        add("pod", named(*jwt.pod));
    if (jwt.secret)
        add("secret", named(*jwt.secret));
    if (jwt.node)
        add("node", named(*jwt.node));
    if (jwt.issued_at)
        add("issued", moment(*jwt.issued_at, now, ""));
    if (jwt.not_before && jwt.not_before != jwt.issued_at)
        add("not before", moment(*jwt.not_before, now, ""));
    if (const auto rotation = rotation_of(jwt))
        add("rotates", moment(rotation->at, now, "was due") + ", " + std::string(words_for(rotation->rule)));
    if (jwt.warn_after)
        add("warns after", moment(*jwt.warn_after, now, "") + ", the expiry it was granted; the true one is extended");
    add("expires", jwt.expires_at ? moment(*jwt.expires_at, now, "expired") : "never");
    add("token id", printable(jwt.id));
    add("algorithm", printable(jwt.alg));
    add("key id", printable(jwt.kid));
    return table(rows);
}

std::string quoted_time(const std::optional<WallTime>& time) {
    return time ? "\"" + rfc3339(*time) + "\"" : "null";
}

std::string as_json(const kube::Jwt& jwt) {
    const auto rotation = rotation_of(jwt);
    return "{\n\"header\": " + jwt.header_json + ",\n\"claims\": " + jwt.claims_json +
           ",\n\"issuedAt\": " + quoted_time(jwt.issued_at) + ",\n\"expiresAt\": " + quoted_time(jwt.expires_at) +
           ",\n\"rotatesAt\": " + quoted_time(rotation ? std::optional(rotation->at) : std::nullopt) + "\n}\n";
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kBlanks = " \t\r\n";
    const std::size_t first = text.find_first_not_of(kBlanks);
    return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace

Result<std::string> describe_token(std::string_view token, InspectFormat format, WallTime now) {
    const kube::Jwt jwt = TRY(kube::read_jwt(trimmed(token)));
    return format == InspectFormat::Json ? as_json(jwt) : as_table(jwt, now);
}

Outcome run(const InspectOptions& options, WallTime now) {
    Result<Secret> token = read_input(options.file, kube::kMaxTokenBytes);
    if (!token)
        return failed(std::move(token.error()));
    Result<std::string> text = describe_token(token->view(), options.format, now);
    if (!text)
        return failed(std::move(text.error()).with(options.file == "-" ? "stdin" : options.file));
    return {.out = std::move(*text)};
}

}  // namespace tokenlet::cli
