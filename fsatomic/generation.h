// SPDX-License-Identifier: Apache-2.0
// The generations of a volume: their names, which one is current, and how old ones go.
//
// Shapes   <volume>/..data -> ..2026_11_23_18_54_48.2663563904 (a link), which is a directory with the real files.
// Units    the name is UTC.
// Owns     nothing.     Threads  one writer per volume; readers any.
// Errors   by errno. What cannot be read is never removed.
// Source   kubernetes pkg/volume/util/atomic_writer.go, for the names.
// Differs  upstream removes the old generation at once and never sweeps; here the caller says when (its grace time), and
//          left-overs of a crash go with the next sweep.
//
// A volume is an open directory (O_RDONLY). Nothing here follows a link or enters a mount; entries that are not named as
// ours are left alone, except by remove_volume().
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "base/unique_fd.h"

namespace tokenlet::fsatomic {

struct Witness;

inline constexpr char kDataLink[] = "..data";
inline constexpr char kNewDataLink[] = "..data_tmp";

[[nodiscard]] std::string generation_name(WallTime time, std::uint64_t digits);
[[nodiscard]] bool is_generation_name(std::string_view name);

// The name of the current generation. NotFound: nothing was published yet. Conflict: ..data is no link, or does not name
// a generation.
[[nodiscard]] Result<std::string> current_generation(const UniqueFd& volume);

// The bytes of one published file, as a restart adopts them. Leaves the access time alone where the kernel lets it.
// Invalid: more than `max_bytes`, or not a regular file.
[[nodiscard]] Result<Secret> read_current(const UniqueFd& volume, std::string_view path, std::size_t max_bytes);

// Removes a generation whose grace time is over. Absent is fine; Conflict when it is the current one. The witness of the
// volume, if given, stays good: the next publish() need not look at everything again.
[[nodiscard]] Result<> retire(const UniqueFd& volume, const std::string& generation, Witness* witness = nullptr);

// Removes every generation but the current one and those in `keep`, and the temporary links of a crash. Returns what it
// removed. Goes on after an error and returns the first.
[[nodiscard]] Result<std::vector<std::string>> sweep(const UniqueFd& volume, std::span<const std::string> keep);

// Takes everything of ours out of a volume whose directory stays (others mount it): user links first, so that a reader
// finds a name or no name, never a dangling one, then ..data, then the generations.
[[nodiscard]] Result<> clear_volume(const UniqueFd& volume);

// clear_volume(), then the directory itself with whatever else is in it. Absent is fine.
[[nodiscard]] Result<> remove_volume(const UniqueFd& parent, const std::string& name);

}  // namespace tokenlet::fsatomic
