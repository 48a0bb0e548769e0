// SPDX-License-Identifier: Apache-2.0
#include "authority/discovery.h"

#include <algorithm>
#include <vector>

#include "authority/durable_file.h"
#include "authority/json_text.h"

namespace tokenlet::authority {
namespace {

constexpr mode_t kDirectoryMode = 0755;
constexpr mode_t kFileMode = 0644;

std::vector<std::string> algorithms_of(std::span<const KeyRecord> keys) {
    std::vector<std::string> names;
    for (const KeyRecord& key : keys)
        names.emplace_back(to_string(key.algorithm));
    std::ranges::sort(names);
    names.erase(std::ranges::unique(names).begin(), names.end());
    return names;
}

Result<> write_if_changed(const UniqueFd& dir, const std::string& name, std::string_view text) {
    // What cannot be read is written anew, which then says what is wrong, or mends it.
    if (const Result<Secret> old = read_file(dir, name, Readers::Anyone); old && old->view() == text)
        return {};
    return write_file(dir, name, text, kFileMode);
}

}  // namespace

std::string openid_configuration_json(std::string_view issuer, std::span<const KeyRecord> keys) {
    std::string_view base = issuer;
    while (base.ends_with('/'))
        base.remove_suffix(1);
    std::string text = R"({"issuer":)";
    append_json_string(text, issuer);
    text += R"(,"jwks_uri":)";
    append_json_string(text, std::string(base) + "/openid/v1/jwks");
    text += R"(,"response_types_supported":["id_token"],"subject_types_supported":["public"])";
    text += R"(,"id_token_signing_alg_values_supported":)";
    append_json_strings(text, algorithms_of(keys));
    text += '}';
    return text;
}

std::string jwks_json(std::span<const KeyRecord> keys) {
    std::string text = R"({"keys":[)";
    for (std::size_t i = 0; i < keys.size(); ++i) {
        if (i > 0)
            text += ',';
        text += keys[i].jwk;
    }
    text += "]}";
    return text;
}

Result<> publish_discovery(const UniqueFd& data_dir, std::string_view issuer, std::span<const KeyRecord> keys) {
    const UniqueFd root = TRY(open_directory(data_dir, "discovery", kDirectoryMode));
    const UniqueFd openid = TRY(open_directory(root, "openid", kDirectoryMode), "discovery");
    const UniqueFd v1 = TRY(open_directory(openid, "v1", kDirectoryMode), "discovery/openid");
    const UniqueFd well_known = TRY(open_directory(root, ".well-known", kDirectoryMode), "discovery");
    // Keys first: the configuration may name an algorithm that only a new key has.
    TRY(write_if_changed(v1, "jwks", jwks_json(keys)), "discovery/openid/v1");
    TRY(write_if_changed(well_known, "openid-configuration", openid_configuration_json(issuer, keys)),
        "discovery/.well-known");
    return {};
}

}  // namespace tokenlet::authority
