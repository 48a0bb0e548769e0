// SPDX-License-Identifier: Apache-2.0
// The agent's answer to GET /v1/status, as far as the command line shows it.
//
// Shapes   values; read_status_answer(json). Fields that are not known pass, so that older and newer agents can be asked.
// Owns     its text.     Threads  any.     Errors  Invalid when it is not such an answer.
// Source   agent/shell/status_json.h writes it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace tokenlet::cli {

struct FileAnswer {
    std::string path;
    std::string kind;
    std::string audience;
    std::optional<WallTime> issued_at;
    std::optional<WallTime> expires_at;
    std::optional<WallTime> valid_until;  // by its own exp
    std::optional<WallTime> rotates_at;
    std::string rule;  // behind rotates_at: "fraction", "maxAge", "clock", "demand"
    std::optional<WallTime> last_read_at;
    std::uint64_t failures = 0;  // in a row
    std::string last_error;
    std::optional<WallTime> retries_at;
};

struct FileMountAnswer {
    std::string file;  // empty: the whole generation
    std::string mounted_at;
};

struct VolumeAnswer {
    std::string name;
    std::string path;
    bool ready = false;
    std::string error;
    std::uint64_t rotations = 0;
    std::vector<FileAnswer> files;
    std::vector<FileMountAnswer> file_mounts = {};
};

struct PodAnswer {
    std::string ns;
    std::string name;
    std::string uid;
    std::string service_account;
    bool ready = false;
    bool leaving = false;
    std::string message;
    std::vector<VolumeAnswer> volumes;
    [[nodiscard]] std::string key() const { return ns + "/" + name; }
    // "NAMESPACE/NAME", or the name alone; everything is called "".
    [[nodiscard]] bool is_called(std::string_view wanted) const;
};

struct StatusAnswer {
    std::vector<std::string> problems;  // of manifests
    std::string removal_held;
    std::vector<PodAnswer> pods;
};

[[nodiscard]] Result<StatusAnswer> read_status_answer(std::string_view json);

}  // namespace tokenlet::cli
