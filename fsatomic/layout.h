// SPDX-License-Identifier: Apache-2.0
// A payload as directories and files, validated; and its digests.
//
// Shapes   lay_out(payload) -> every directory with what is in it, parents before children; the names a volume shows.
// Owns     names; the bytes stay in the payload, which must outlive it.
// Threads  any.
// Errors   Invalid, naming the path: what clean_path() refuses, two paths that clean to one, "a" beside "a/b".
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "fsatomic/payload.h"

namespace tokenlet::fsatomic {

struct Layout {
    struct Contents {
        std::map<std::string, const File*> files;
        std::set<std::string> directories;
    };
    std::map<std::string, Contents> directories;  // by path; "" is the generation itself
    std::vector<std::string> names;               // first components, sorted
    std::uint64_t size_bytes = 0;
};

[[nodiscard]] Result<Layout> lay_out(const Payload& payload);

// "a", "b" -> "a/b"; "", "b" -> "b".
[[nodiscard]] std::string join(const std::string& directory, const std::string& name);

using Digest = std::array<unsigned char, 32>;

// SHA-256 over paths and bytes, and over paths and access: equal digests are taken for equal payloads, so that nobody has
// to keep the bytes of what was published.
struct Digests {
    Digest content;
    Digest access;
};
[[nodiscard]] Result<Digests> digest(const Payload& payload);

}  // namespace tokenlet::fsatomic
