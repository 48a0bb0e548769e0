// SPDX-License-Identifier: Apache-2.0
#include "authority/claims.h"

#include "authority/json_text.h"

namespace tokenlet::authority {
namespace {

void append_number(std::string& text, std::string_view member, std::int64_t value) {
    text.append(member).append(std::to_string(value));
}

void append_string(std::string& text, std::string_view member, std::string_view value) {
    text += member;
    append_json_string(text, value);
}

void append_object(std::string& text, std::string_view member, const ClaimedObject& object) {
    text += member;
    append_string(text, R"({"name":)", object.name);
    append_string(text, R"(,"uid":)", object.uid);
    text += '}';
}

}  // namespace

std::string to_json(const Claims& claims) {
    std::string text;
    text.reserve(640);
    text += R"({"aud":)";
    append_json_strings(text, claims.audiences);
    append_number(text, R"(,"exp":)", claims.expires_at_seconds);
    append_number(text, R"(,"iat":)", claims.issued_at_seconds);
    append_string(text, R"(,"iss":)", claims.issuer);
    append_string(text, R"(,"jti":)", claims.jti);
    append_string(text, R"(,"kubernetes.io":{"namespace":)", claims.ns);
    if (claims.node)
        append_object(text, R"(,"node":)", *claims.node);
    if (claims.pod)
        append_object(text, R"(,"pod":)", *claims.pod);
    if (claims.secret)
        append_object(text, R"(,"secret":)", *claims.secret);
    append_object(text, R"(,"serviceaccount":)", claims.service_account);
    if (claims.warn_after_seconds)
        append_number(text, R"(,"warnafter":)", *claims.warn_after_seconds);
    append_number(text, R"(},"nbf":)", claims.issued_at_seconds);
    append_string(text, R"(,"sub":)", "system:serviceaccount:" + claims.ns + ":" + claims.service_account.name);
    text += '}';
    return text;
}

std::string header_json(Algorithm algorithm, std::string_view kid) {
    std::string text;
    append_string(text, R"({"alg":)", to_string(algorithm));
    append_string(text, R"(,"kid":)", kid);
    text += '}';
    return text;
}

}  // namespace tokenlet::authority
