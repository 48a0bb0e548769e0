// SPDX-License-Identifier: Apache-2.0
#include "kube/exec_credential.h"

#include <algorithm>
#include <utility>

#include "base/base64.h"
#include "kube/document.h"
#include "kube/node_json.h"
#include "kube/time_text.h"

namespace tokenlet::kube {
namespace {

std::unexpected<Error> printed(std::string_view what) {
    return fail(Errc::Unavailable, "printed " + std::string(what));
}

std::string_view text_of(const Node& object, std::string_view key) {
    const Node* node = object.find(key);
    return node == nullptr || node->kind != Node::Kind::String ? std::string_view() : std::string_view(node->text);
}

bool is_token(std::string_view text) {
    return std::ranges::all_of(text, [](unsigned char byte) { return byte > ' ' && byte < 0x7f; });
}

}  // namespace

std::string exec_info(const ExecPlugin& plugin, const Cluster& cluster, std::string_view authority_pem) {
    std::string spec = "{";
    if (plugin.provide_cluster_info) {
        spec += "\"cluster\":{\"server\":" + json_string(cluster.server);
        if (!cluster.tls_server_name.empty())
            spec += ",\"tls-server-name\":" + json_string(cluster.tls_server_name);
        if (cluster.tls_verification == TlsVerification::Off)
            spec += ",\"insecure-skip-tls-verify\":true";
        if (!authority_pem.empty())
            spec += ",\"certificate-authority-data\":" + json_string(encode_base64(authority_pem));
        if (!cluster.proxy_url.empty())
            spec += ",\"proxy-url\":" + json_string(cluster.proxy_url.view());
        if (cluster.disable_compression)
            spec += ",\"disable-compression\":true";
        if (!cluster.exec_config_json.empty())
            spec += ",\"config\":" + cluster.exec_config_json;
        spec += "},";
    }
    spec += "\"interactive\":false}";
    return "{\"kind\":\"ExecCredential\",\"apiVersion\":" + json_string(plugin.api_version) + ",\"spec\":" + spec + "}";
}

Result<ExecCredential> read_exec_credential(std::string_view output, std::string_view api_version, WallTime now) {
    if (output.find_first_not_of(" \t\r\n") == std::string_view::npos)
        return printed("nothing");
    auto root = parse_json(output);
    if (!root)
        return printed("something that is no JSON: " + root.error().what);
    const WipedAtTheEnd wiped(*root);
    if (text_of(*root, "kind") != "ExecCredential")
        return printed("JSON that is no ExecCredential");
    if (text_of(*root, "apiVersion") != api_version)
        return printed("another apiVersion than the " + std::string(api_version) + " that the kubeconfig asks for");
    const Node* status = root->find("status");
    if (status == nullptr || status->kind != Node::Kind::Mapping)
        return printed("an ExecCredential without status");

    ExecCredential credential{.token = Secret(text_of(*status, "token")),
                              .certificate_pem = Secret(text_of(*status, "clientCertificateData")),
                              .key_pem = Secret(text_of(*status, "clientKeyData")),
                              .expires_at = {}};
    if (credential.token.empty() && credential.certificate_pem.empty())
        return printed("an ExecCredential with neither token nor clientCertificateData");
    if (!is_token(credential.token.view()))
        return printed("a token with a character that no token has");
    if (credential.certificate_pem.empty() != credential.key_pem.empty())
        return printed("only one of clientCertificateData and clientKeyData");
    if (const Node* expiration = status->find("expirationTimestamp");
        expiration != nullptr && expiration->kind != Node::Kind::Null) {
        credential.expires_at = parse_api_time(text_of(*status, "expirationTimestamp"));
        if (!credential.expires_at)
            return printed("an expirationTimestamp that is no time as RFC 3339 has it");
        if (*credential.expires_at <= now)
            return printed("a credential that expired at " + rfc3339(*credential.expires_at));
    }
    return credential;
}

std::string last_words(std::string_view words, std::size_t limit_bytes) {
    // Longer than any word that means something to a person; a path may be as long.
    constexpr std::size_t kTokenLike = 32;
    std::string line;
    std::string word;
    const auto end_of_word = [&] {
        const bool is_path = word.starts_with('/') || word.starts_with("./") || word.contains("://");
        const bool is_secret = word.contains("eyJ") || (word.size() >= kTokenLike && !is_path);
        line += is_secret ? "[hidden]" : word;
        word.clear();
    };
    for (const char c : words) {
        const bool is_blank = static_cast<unsigned char>(c) <= ' ' || c == 0x7f;
        const bool ends_word = is_blank || c == '"' || c == '\'' || c == ',' || c == '=' || c == '(' || c == ')';
        if (!ends_word) {
            word += c;
            continue;
        }
        end_of_word();
        if (!is_blank)
            line += c;
        else if (!line.empty() && !line.ends_with(' '))
            line += ' ';
    }
    end_of_word();
    while (line.ends_with(' '))
        line.pop_back();
    if (line.size() > limit_bytes)
        line = "..." + line.substr(line.size() - limit_bytes);
    return line;
}

}  // namespace tokenlet::kube
