// SPDX-License-Identifier: Apache-2.0
#include "kube/jwt.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/base64.h"
#include "kube/document.h"

namespace tokenlet::kube {
namespace {

constexpr std::size_t kMostQuoted = 128;

std::string in_quotes(std::string_view text) {
    return "\"" + std::string(text.substr(0, kMostQuoted)) + "\"";
}

Result<std::array<std::string_view, 3>> split(std::string_view token) {
    std::array<std::string_view, 3> parts;
    std::size_t found = 0;
    for (std::string_view rest = token;; ++found) {
        const std::size_t dot = rest.find('.');
        if (found == parts.size())
            return fail(Errc::Invalid, "not a JWT: more than three parts");
        parts[found] = rest.substr(0, dot);
        if (dot == std::string_view::npos)
            break;
        rest.remove_prefix(dot + 1);
    }
    if (found != 2 || std::ranges::any_of(parts, &std::string_view::empty))
        return fail(Errc::Invalid, "not a JWT: needs three parts with dots between them");
    return parts;
}

struct Part {
    Node root;
    std::string pretty;
};

// parse_json() has bounded the depth. ASCII only: what a hostile token says must not steer the reader's terminal.
std::string pretty(std::string_view text) {
    constexpr int kIndent = 2;
    const auto json = nlohmann::ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
    const auto replace = nlohmann::ordered_json::error_handler_t::replace;
    std::string shown = json.dump(kIndent, ' ', /*ensure_ascii=*/true, replace);
    constexpr std::string_view kDelete = "\\u007f";  // the one control character that JSON leaves as it is
    for (std::size_t at = shown.find('\x7f'); at != std::string::npos; at = shown.find('\x7f', at))
        shown.replace(at, 1, kDelete);
    return shown;
}

Result<Part> read_part(std::string_view encoded, std::string_view name, JwtText wanted) {
    const auto text = decode_base64url(encoded);
    if (!text)
        return fail(Errc::Invalid, std::string(name) + ": not base64url");
    auto root = parse_json(*text);
    if (!root)
        return std::unexpected(std::move(root.error()).with(name));
    if (root->kind != Node::Kind::Mapping)
        return fail(Errc::Invalid, std::string(name) + ": not a JSON object");
    return Part{*std::move(root), wanted == JwtText::Made ? pretty(*text) : ""};
}

// A claim that is absent reads as nothing; one of the wrong type makes the token invalid.
class Claims {
public:
    explicit Claims(const Node& root) : root_(root) {}

    [[nodiscard]] const Result<>& state() const { return state_; }

    std::string text(const Node* claim, std::string_view name) {
        if (claim == nullptr || claim->kind == Node::Kind::Null)
            return "";
        if (claim->kind == Node::Kind::String)
            return claim->text;
        wrong(name, "a string", *claim);
        return "";
    }
    std::string text(std::string_view name) { return text(root_.find(name), name); }

    // Whole seconds; RFC 7519 allows fractions, which are cut off.
    std::optional<WallTime> time(const Node* claim, std::string_view name) {
        if (claim == nullptr || claim->kind == Node::Kind::Null)
            return std::nullopt;
        double seconds = 0;
        const std::string& number = claim->text;
        const bool is_number = claim->kind == Node::Kind::Int || claim->kind == Node::Kind::Float;
        const auto read = std::from_chars(number.data(), number.data() + number.size(), seconds);
        constexpr double kLatest = 9.0e9;  // beyond the year 2255 our clock's nanoseconds end
        if (!is_number || read.ec != std::errc() || seconds < 0) {
            wrong(name, "a number of seconds", *claim);
            return std::nullopt;
        }
        return WallTime(std::chrono::seconds(static_cast<std::int64_t>(std::min(seconds, kLatest))));
    }
    std::optional<WallTime> time(std::string_view name) { return time(root_.find(name), name); }

    std::vector<std::string> audiences() {
        const Node* claim = root_.find("aud");
        if (claim == nullptr || claim->kind == Node::Kind::Null)
            return {};
        if (claim->kind != Node::Kind::Sequence)
            return {text(claim, "aud")};
        std::vector<std::string> list;
        for (const Node& element : claim->children)
            list.push_back(text(&element, "aud"));
        return list;
    }

    std::optional<Jwt::Ref> ref(const Node* claim, std::string_view name) {
        if (claim == nullptr || claim->kind == Node::Kind::Null)
            return std::nullopt;
        if (claim->kind != Node::Kind::Mapping) {
            wrong(name, "a mapping", *claim);
            return std::nullopt;
        }
        return Jwt::Ref{text(claim->find("name"), name), text(claim->find("uid"), name)};
    }

    void wrong(std::string_view name, std::string_view expected, const Node& found) {
        if (state_)
            state_ = fail(Errc::Invalid, "claim " + std::string(name) + ": expected " + std::string(expected) +
                                             ", found " + std::string(to_string(found.kind)));
    }

private:
    const Node& root_;
    Result<> state_;
};

void read_kubernetes(Claims& claims, const Node& root, Jwt& jwt) {
    const Node* kubernetes = root.find("kubernetes.io");
    if (kubernetes == nullptr)
        return;
    if (kubernetes->kind != Node::Kind::Mapping)
        return claims.wrong("kubernetes.io", "a mapping", *kubernetes);
    jwt.ns = claims.text(kubernetes->find("namespace"), "kubernetes.io.namespace");
    jwt.service_account = claims.ref(kubernetes->find("serviceaccount"), "kubernetes.io.serviceaccount");
    jwt.pod = claims.ref(kubernetes->find("pod"), "kubernetes.io.pod");
    jwt.secret = claims.ref(kubernetes->find("secret"), "kubernetes.io.secret");
    jwt.node = claims.ref(kubernetes->find("node"), "kubernetes.io.node");
    jwt.warn_after = claims.time(kubernetes->find("warnafter"), "kubernetes.io.warnafter");
}

void read_legacy(Claims& claims, Jwt& jwt) {
    const std::string name = claims.text("kubernetes.io/serviceaccount/service-account.name");
    if (name.empty())
        return;
    jwt.ns = claims.text("kubernetes.io/serviceaccount/namespace");
    jwt.service_account = Jwt::Ref{name, claims.text("kubernetes.io/serviceaccount/service-account.uid")};
    jwt.secret = Jwt::Ref{claims.text("kubernetes.io/serviceaccount/secret.name"), ""};
}

const std::optional<Jwt::Ref>* bound_ref(const Jwt& jwt, std::string_view kind) {
    return kind == "Pod" ? &jwt.pod : kind == "Secret" ? &jwt.secret : kind == "Node" ? &jwt.node : nullptr;
}

}  // namespace

Result<Jwt> read_jwt(std::string_view token, JwtText text) {
    if (token.size() > kMaxTokenBytes)
        return fail(Errc::Invalid, "not a JWT: more than " + std::to_string(kMaxTokenBytes) + " bytes");
    const auto parts = TRY(split(token));
    Part header = TRY(read_part(parts[0], "header", text));
    Part body = TRY(read_part(parts[1], "claims", text));
    if (!decode_base64url(parts[2]))
        return fail(Errc::Invalid, "signature: not base64url");

    Jwt jwt;
    Claims head(header.root);
    jwt.alg = head.text("alg");
    jwt.kid = head.text("kid");
    TRY(head.state(), "header");

    Claims claims(body.root);
    jwt.issuer = claims.text("iss");
    jwt.subject = claims.text("sub");
    jwt.audiences = claims.audiences();
    jwt.expires_at = claims.time("exp");
    jwt.issued_at = claims.time("iat");
    jwt.not_before = claims.time("nbf");
    jwt.id = claims.text("jti");
    read_legacy(claims, jwt);
    read_kubernetes(claims, body.root, jwt);
    TRY(claims.state());
    jwt.header_json = std::move(header.pretty);
    jwt.claims_json = std::move(body.pretty);
    return jwt;
}

Result<> check_token(const Jwt& jwt, const TokenRequest& request, WallTime now) {
    const std::string subject = "system:serviceaccount:" + request.ns + ":" + request.service_account;
    if (jwt.subject != subject)
        return fail(Errc::Invalid, "the token's sub is " + in_quotes(jwt.subject) + ", not " + in_quotes(subject));
    if (jwt.audiences.empty())
        return fail(Errc::Invalid, "the token has no aud");
    for (const std::string& audience : request.audiences)
        if (std::ranges::find(jwt.audiences, audience) == jwt.audiences.end())
            return fail(Errc::Invalid, "the token's aud does not hold " + in_quotes(audience));
    if (!jwt.expires_at)
        return fail(Errc::Invalid, "the token has no exp");
    if (*jwt.expires_at <= now)
        return fail(Errc::Invalid, "the token expired at " + rfc3339(*jwt.expires_at) + ", it is " + rfc3339(now));
    if (!request.bound_object_ref)
        return {};
    const BoundObjectRef& bound = *request.bound_object_ref;
    const auto* ref = bound_ref(jwt, bound.kind);
    if (ref == nullptr || !ref->has_value())
        return fail(Errc::Invalid, "the token is not bound to a " + bound.kind);
    if (!bound.uid.empty() && (*ref)->uid != bound.uid)
        return fail(Errc::Invalid, "the token is bound to the " + bound.kind + " with uid " + in_quotes((*ref)->uid) +
                                       ", not " + in_quotes(bound.uid));
    if ((*ref)->name != bound.name)
        return fail(Errc::Invalid, "the token is bound to the " + bound.kind + " " + in_quotes((*ref)->name) +
                                       ", not " + in_quotes(bound.name));
    return {};
}

}  // namespace tokenlet::kube
