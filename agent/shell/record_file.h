// SPDX-License-Identifier: Apache-2.0
// A volume's record as a file.
//
// Shapes   text_of() and parse_record() are each other's inverse. The file is JSON of one version; another version is no
//          record, and its tokens are asked for anew.
// Units    times are nanoseconds since their clock's start: received_boot_ns, issued_ns.
// Owns     nothing.     Threads  any.
// Errors   parse_record(): Invalid for anything that is not a record, however hostile.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/command.h"
#include "agent/core/record.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "fsatomic/confined_dir.h"

namespace tokenlet::agent {

inline constexpr std::size_t kMaxRecordBytes = 1 << 20;

[[nodiscard]] std::string text_of(const VolumeRecord& record);
[[nodiscard]] Result<VolumeRecord> parse_record(std::string_view text);

// Below volumes.root. Write replaces the file whole, and does nothing when it says the same already.
[[nodiscard]] Result<> write_record(const UniqueFd& root, const VolumePath& path, std::string_view text,
                                    fsatomic::Durability durability);
[[nodiscard]] Result<VolumeRecord> read_record(const UniqueFd& root, const VolumePath& path);
// Of which volumes of a Pod there are records. Absent is none.
[[nodiscard]] Result<std::vector<VolumePath>> list_records(const UniqueFd& root, const std::string& pod_uid);
[[nodiscard]] Result<> remove_record(const UniqueFd& root, const VolumePath& path);
// What a crash left of the first record of a Pod, which names no volume.
[[nodiscard]] Result<> remove_half_written(const UniqueFd& root, const std::string& pod_uid);

}  // namespace tokenlet::agent
