// SPDX-License-Identifier: Apache-2.0
// Small files that must be whole after a crash: keys, certificates, discovery documents.
//
// Shapes   every name is one component below a directory descriptor; links are never followed.
// Owns     nothing.     Threads  any.
// Errors   NotFound where the file is absent; Denied where others than the owner may read what must be private, or the
//          owner is a stranger; Invalid where it is no regular file or too large; Io for the disk, the old file then
//          stands.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "base/unique_fd.h"

namespace tokenlet::authority {

inline constexpr std::size_t kDurableFileLimit = std::size_t{1} << 20;

enum class Readers { OwnerOnly, Anyone };

[[nodiscard]] Result<Secret> read_file(const UniqueFd& dir, const std::string& name, Readers allowed);

// Temporary file, fsync, rename, fsync of the directory: the old content or the new, whatever happens.
[[nodiscard]] Result<> write_file(const UniqueFd& dir, const std::string& name, std::string_view bytes, mode_t mode);

// Durable when it returns; a file that is not there is no error.
[[nodiscard]] Result<> remove_file(const UniqueFd& dir, const std::string& name);

// Opens a directory below another one, made with this mode if absent and brought to it if not. It must belong to us,
// and nobody else may write to it: a key that was planted is not ours.
[[nodiscard]] Result<UniqueFd> open_directory(const UniqueFd& parent, const std::string& name, mode_t mode);

// The same for a path, for the one directory that everything else lies below. Missing parents are made with 0755.
[[nodiscard]] Result<UniqueFd> open_directory(const std::string& path, mode_t mode);

}  // namespace tokenlet::authority
