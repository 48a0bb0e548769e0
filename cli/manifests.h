// SPDX-License-Identifier: Apache-2.0
// Manifests for verbs that look at them without an agent.
//
// Shapes   list_directory(path) -> what an agent would find there; read_manifests(path) -> the same of a file, a directory
//          or "-" for stdin; admit_draft(pod, set) -> the Pod as an agent would see it once its account is there.
// Owns     the listing's objects.     Threads  any.
// Errors   from reading, naming the path. A document that is bad is an error in the listing, on itself alone.
//
// Who owns the files, and may write them, is not looked at: they may be drafts, and of the administrator's own.
#pragma once

#include <string>

#include "base/result.h"
#include "kube/manifest_listing.h"
#include "kube/manifest_set.h"
#include "kube/objects.h"

namespace tokenlet::cli {

inline constexpr std::size_t kLongestManifest = std::size_t{10} << 20;  // as the agent has it

[[nodiscard]] Result<kube::Listing> list_directory(const std::string& path);
[[nodiscard]] Result<kube::Listing> read_manifests(const std::string& path);

// An account that is in none of the manifests stands for one without wishes; a Pod without a uid gets a made-up one.
[[nodiscard]] Result<kube::Pod> admit_draft(kube::Pod pod, const kube::ManifestSet& set);

}  // namespace tokenlet::cli
