// SPDX-License-Identifier: Apache-2.0
// How the rest of the world learns our public keys.
//
// Shapes   two JSON documents, and publish_discovery() which lays them below a directory exactly as an API server
//          serves them: .well-known/openid-configuration and openid/v1/jwks. Any web server may publish that directory
//          as the issuer's URL: files 0644, directories 0755, public keys only.
// Owns     nothing.     Threads  any.     Errors  as durable_file.h; the old documents then stand.
// Source   kubernetes pkg/serviceaccount/openidmetadata.go; authority.md section 4.
// Differs  jwks_uri is below the issuer, not at the API server's address: the directory is served as the issuer's.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "authority/records.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace tokenlet::authority {

[[nodiscard]] std::string openid_configuration_json(std::string_view issuer, std::span<const KeyRecord> keys);
[[nodiscard]] std::string jwks_json(std::span<const KeyRecord> keys);

// Each document is swapped whole, and only when it changed.
[[nodiscard]] Result<> publish_discovery(const UniqueFd& data_dir, std::string_view issuer,
                                         std::span<const KeyRecord> keys);

}  // namespace tokenlet::authority
