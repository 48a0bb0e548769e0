// SPDX-License-Identifier: Apache-2.0
// Symbolic links that are there or not, never in between.
//
// Shapes   ensure_link(dir, "kube-api-access", "../../../pods/…") makes, repairs or leaves a link.
// Owns     nothing.     Threads  one writer per directory.
// Errors   Conflict when a directory (or a mount point) stands at the name: it is left alone. Else by errno.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace tokenlet::fsatomic {

// Stands for a moment while a link or file is replaced; sweep() clears one that a crash left.
inline constexpr char kLinkTemp[] = "..link_tmp";

enum class LinkChange { None, Made, Replaced };

// A link elsewhere, or a file, at the name is replaced by a rename: at no moment is the name missing.
[[nodiscard]] Result<LinkChange> ensure_link(const UniqueFd& dir, const std::string& name, const std::string& target);

// Makes the link where nothing stands. Conflict: something else does, whatever it is; it stays.
[[nodiscard]] Result<LinkChange> make_link(const UniqueFd& dir, const std::string& name, const std::string& target);

// Removes the link `name`. Absent is fine; anything but a link is a Conflict and stays.
[[nodiscard]] Result<> remove_link(const UniqueFd& dir, const std::string& name);

// Where the link `name` points. NotFound: absent. Conflict: something else stands there.
[[nodiscard]] Result<std::string> read_link(const UniqueFd& dir, const std::string& name);

}  // namespace tokenlet::fsatomic
