// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>

#include "base/base64.h"
#include "base/secret.h"
#include "kube/decode_parts.h"
#include "kube/names.h"

namespace tokenlet::kube {
namespace {

constexpr std::size_t kMaxDataBytes = 1024 * 1024;

// Calls use(key, text) for each entry of a map of strings; keys are checked, null is "".
template <class Use>
void read_data(Fields& object, std::string_view field, Use use) {
    Fields data = object.mapping(field);
    data.ignore_others();
    const Node* node = object.node(field);
    if (node == nullptr || node->kind != Node::Kind::Mapping)
        return;
    for (const Node& child : node->children) {
        if (const std::string problem = check_config_key(child.key); !problem.empty())
            data.fail(child.key, problem);
        else if (child.kind == Node::Kind::String || child.kind == Node::Kind::Null)
            use(data, child.key, child.text);
        else  // never quoted: it may be a password made of digits
            data.fail(child.key,
                      "expected a string, found " + std::string(to_string(child.kind)) + "; put it in quotes");
    }
}

void check_size(Fields& object, std::size_t bytes) {
    if (bytes > kMaxDataBytes)
        object.fail("data", "must have at most 1048576 bytes");
}

}  // namespace

ServiceAccount read_service_account(Fields& object) {
    ServiceAccount account;
    account.meta = read_meta(object);
    object.ignore({"secrets", "imagePullSecrets"});
    account.automount_service_account_token = object.boolean("automountServiceAccountToken");
    return account;
}

ConfigMap read_config_map(Fields& object) {
    ConfigMap map;
    map.meta = read_meta(object);
    map.immutable = object.boolean("immutable").value_or(false);
    std::size_t bytes = 0;
    read_data(object, "data", [&](Fields&, const std::string& key, const std::string& text) {
        map.data.emplace(key, text);
        bytes += text.size();
    });
    read_data(object, "binaryData", [&](Fields& fields, const std::string& key, const std::string& text) {
        auto decoded = decode_base64(text);
        if (!decoded)
            return fields.fail(key, "not base64: " + decoded.error().what);
        if (map.data.contains(key))
            return fields.fail(key, "this key stands in data, too");
        bytes += decoded->size();
        map.binary_data.emplace(key, *std::move(decoded));
    });
    check_size(object, bytes);
    return map;
}

Secret read_secret(Fields& object) {
    Secret secret;
    secret.meta = read_meta(object);
    secret.type = object.string("type").value_or("Opaque");
    secret.immutable = object.boolean("immutable").value_or(false);
    std::size_t bytes = 0;
    read_data(object, "data", [&](Fields& fields, const std::string& key, const std::string& text) {
        auto decoded = decode_base64(text);
        if (!decoded)
            return fields.fail(key, "not base64: " + decoded.error().what + "; plain text goes into stringData");
        bytes += decoded->size();
        secret.data.insert_or_assign(key, tokenlet::Secret(*decoded));
        wipe_memory(decoded->data(), decoded->size());
    });
    // stringData wins over data, as when it is written to the API.
    read_data(object, "stringData", [&](Fields&, const std::string& key, const std::string& text) {
        bytes += text.size();
        secret.data.insert_or_assign(key, tokenlet::Secret(text));
    });
    check_size(object, bytes);
    return secret;
}

ClusterTrustBundle read_cluster_trust_bundle(Fields& object) {
    ClusterTrustBundle bundle;
    bundle.meta = read_meta(object, Scope::Cluster, NameRule::TrustBundle);
    Fields spec = object.mapping("spec");
    bundle.signer_name = spec.string("signerName").value_or("");
    bundle.trust_bundle = spec.required("trustBundle");
    if (!bundle.trust_bundle.empty() && bundle.trust_bundle.find("-----BEGIN CERTIFICATE-----") == std::string::npos)
        spec.fail("trustBundle", "holds no PEM certificate");

    // Source: pkg/apis/certificates/validation, ValidateClusterTrustBundle.
    std::string front = bundle.signer_name;
    if (const std::size_t slash = front.find('/'); slash != std::string::npos)
        front[slash] = ':';
    front += front.empty() ? "" : ":";
    const std::string& name = bundle.meta.name;
    const bool fits = front.empty() ? name.find(':') == std::string::npos
                                    : name.starts_with(front) && name.find(':', front.size()) == std::string::npos;
    if (!name.empty() && !fits)
        object.fail("metadata", front.empty()
                                    ? "the name of a bundle without signerName must not contain ':'"
                                    : "the name of a bundle of this signer must begin with \"" + front + "\"");
    return bundle;
}

}  // namespace tokenlet::kube
