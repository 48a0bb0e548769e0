// SPDX-License-Identifier: Apache-2.0
#include "kube/token_request_json.h"

#include <charconv>
#include <optional>

#include "kube/api_client.h"
#include "kube/document.h"
#include "kube/node_json.h"
#include "kube/time_text.h"

namespace tokenlet::kube {
namespace {

struct Span {
    std::size_t begin = 0;
    std::size_t size = 0;
};

// The end of the string that starts at `at`, which is after its opening quote; npos: it has none.
std::size_t end_of_string(std::string_view json, std::size_t at) {
    for (; at < json.size(); ++at) {
        if (json[at] == '\\')
            ++at;
        else if (json[at] == '"')
            return at;
    }
    return std::string_view::npos;
}

// Where the text of status.token stands. Looks at nothing but nesting and strings: whether the answer is JSON at all is found
// out by whoever reads the rest of it.
std::optional<Span> find_token(std::string_view json) {
    std::string_view keys[2];  // that lead to where we are: of the object, and of the one in it
    std::size_t depth = 0;
    bool is_value = false;
    for (std::size_t at = 0; at < json.size(); ++at) {
        switch (json[at]) {
            case '{':
            case '[':
                ++depth;
                is_value = false;
                break;
            case '}':
            case ']':
                if (depth == 0)
                    return std::nullopt;
                --depth;
                is_value = false;
                break;
            case ':':
                is_value = true;
                break;
            case ',':
                is_value = false;
                break;
            case '"': {
                const std::size_t begin = at + 1;
                at = end_of_string(json, begin);
                if (at == std::string_view::npos)
                    return std::nullopt;
                if (!is_value && (depth == 1 || depth == 2))
                    keys[depth - 1] = json.substr(begin, at - begin);
                else if (is_value && depth == 2 && keys[0] == "status" && keys[1] == "token")
                    return Span{begin, at - begin};
                break;
            }
            default:
                break;
        }
    }
    return std::nullopt;
}

std::string_view text_at(const Node& root, std::string_view outer, std::string_view inner) {
    const Node* object = root.find(outer);
    const Node* value = object == nullptr ? nullptr : object->find(inner);
    return value == nullptr ? std::string_view() : std::string_view(value->text);
}

std::unexpected<Error> refuse(std::string what) {
    return fail(Errc::Unavailable, "the server's answer is refused: " + std::move(what));
}

}  // namespace

std::string token_request_path(const TokenRequest& request) {
    return api_path({"api", "v1", "namespaces", request.ns, "serviceaccounts", request.service_account, "token"});
}

std::string token_request_json(const TokenRequest& request) {
    std::string json = R"({"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{)";
    if (!request.audiences.empty()) {
        json += R"("audiences":[)";
        for (const std::string& audience : request.audiences)
            json += (json.ends_with('[') ? "" : ",") + json_string(audience);
        json += "],";
    }
    json += R"("expirationSeconds":)" + std::to_string(request.expiration_seconds);
    if (const auto& bound = request.bound_object_ref) {
        json += R"(,"boundObjectRef":{"apiVersion":"v1","kind":)" + json_string(bound->kind) + R"(,"name":)" +
                json_string(bound->name);
        if (!bound->uid.empty())
            json += R"(,"uid":)" + json_string(bound->uid);
        json += "}";
    }
    return json + "}}";
}

Result<IssuedToken> read_issued_token(std::string_view answer) {
    const std::optional<Span> token = find_token(answer);
    if (!token || token->size == 0)
        return refuse("it holds no token");
    IssuedToken issued;
    issued.token = Secret(answer.substr(token->begin, token->size));
    if (issued.token.view().find('\\') != std::string_view::npos)
        return refuse("its token is no JWT");
    std::string rest(answer.substr(0, token->begin));
    rest.append(answer.substr(token->begin + token->size));
    const Result<Node> root = parse_json(rest);
    if (!root)
        return refuse(root.error().what);
    if (text_at(*root, "status", "token") != "" || root->find("kind") == nullptr ||
        root->find("kind")->text != "TokenRequest")
        return refuse("it is no TokenRequest");
    const auto expires = parse_api_time(text_at(*root, "status", "expirationTimestamp"));
    if (!expires)
        return refuse("it does not say when the token expires");
    issued.expiration_timestamp = *expires;
    const std::string_view seconds = text_at(*root, "spec", "expirationSeconds");
    const auto read = std::from_chars(seconds.data(), seconds.data() + seconds.size(), issued.expiration_seconds);
    if (read.ec != std::errc() || read.ptr != seconds.data() + seconds.size() || issued.expiration_seconds <= 0)
        return refuse("it does not say for how long the token is valid");
    issued.service_account_uid = text_at(*root, "metadata", "uid");
    return issued;
}

}  // namespace tokenlet::kube
