// SPDX-License-Identifier: Apache-2.0
// Tokens: read_jwt() and check_token() against a second reading of the same claims, and what `token inspect` shows.
// The input is header, claims and signature, a line each, not yet in base64url; or a whole token when there is one line.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/base64.h"
#include "cli/token_verb.h"
#include "kube/jwt.h"
#include "tests/fuzz/fuzz_target.h"

namespace tokenlet::fuzz {
namespace {

using nlohmann::json;

constexpr WallTime kNow{std::chrono::seconds(1'795'500'000)};

const kube::TokenRequest& request() {
    static const kube::TokenRequest kRequest{.ns = "shop",
                                             .service_account = "web",
                                             .audiences = {"vault"},
                                             .expiration_seconds = 3600,
                                             .bound_object_ref = kube::BoundObjectRef{"Pod", "web-0", "0b7c6bbd"}};
    return kRequest;
}

bool is_text(const json& value, std::string_view text) {
    return value.is_string() && value.get_ref<const std::string&>() == text;
}

// Whether the claims are those of the token that was asked for; written down a second time, on purpose.
bool model_passes(const json& claims) {
    const json& audience = claims.value("aud", json());
    const bool has_audience =
        is_text(audience, "vault") || (audience.is_array() && std::ranges::any_of(audience, [](const json& element) {
                                           return is_text(element, "vault");
                                       }));
    const json& expires = claims.value("exp", json());
    const json& bound = claims.value("/kubernetes.io/pod"_json_pointer, json());
    return is_text(claims.value("sub", json()), "system:serviceaccount:shop:web") && has_audience &&
           expires.is_number() && expires.get<double>() >= 1'795'500'001 && bound.is_object() &&
           is_text(bound.value("name", json()), "web-0") && is_text(bound.value("uid", json()), "0b7c6bbd");
}

void look_at(const kube::Jwt& jwt, std::string_view token) {
    const std::size_t dot = token.find('.');
    const auto header = decode_base64url(token.substr(0, dot));
    const auto claims = decode_base64url(token.substr(dot + 1, token.find('.', dot + 1) - dot - 1));
    must(header && claims, "a token that was read is base64url");
    const json parsed = json::parse(*claims, nullptr, /*allow_exceptions=*/false);
    must(parsed.is_object(), "claims are a JSON object");
    must(json::parse(jwt.claims_json, nullptr, false) == parsed, "the claims that are shown are the token's");
    must(json::parse(jwt.header_json, nullptr, false) == json::parse(*header, nullptr, false),
         "the header that is shown is the token's");

    const auto checked = kube::check_token(jwt, request(), kNow);
    must(checked.has_value() == model_passes(parsed), "the token that passes is the one that was asked for");
    if (!checked)
        must(checked.error().what.size() < 1024, "a hostile claim makes no long message");
}

void look_at_words(std::string_view token) {
    for (const auto format : {cli::InspectFormat::Table, cli::InspectFormat::Json}) {
        const auto words = cli::describe_token(token, format, kNow);
        if (!words)
            continue;
        std::string text = *words;
        std::erase(text, '\n');
        must(!has_control(text), "nothing that a token says steers a terminal");
        must(format == cli::InspectFormat::Table || json::accept(*words), "token inspect -o json writes JSON");
    }
}

}  // namespace

void run_input(std::string_view input) {
    std::string token(input);
    if (input.contains('\n')) {
        Lines lines(input);
        const std::string_view header = lines.next();
        const std::string_view claims = lines.next();
        token = encode_base64url(header) + "." + encode_base64url(claims) + "." + encode_base64url(lines.rest());
    }
    const auto jwt = kube::read_jwt(token);
    if (jwt)
        look_at(*jwt, token);
    else
        must(jwt.error().code == Errc::Invalid, "wrong bytes are invalid, nothing else");
    look_at_words(token);
}

}  // namespace tokenlet::fuzz
