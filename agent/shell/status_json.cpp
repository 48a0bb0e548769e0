// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/status_json.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "fsatomic/confined_dir.h"
#include "fsatomic/generation.h"

namespace tokenlet::agent {

namespace {

using nlohmann::ordered_json;

ordered_json time_or_null(const std::optional<WallTime>& time) {
    return time ? ordered_json(rfc3339(*time)) : ordered_json(nullptr);
}

WallTime wall_of(const struct statx_timestamp& stamp) {
    return WallTime(std::chrono::seconds(stamp.tv_sec) + std::chrono::nanoseconds(stamp.tv_nsec));
}

// The last read since the file was written. By way of the generation: the names that readers go by may have been made to lead
// elsewhere, whose times are nobody's business.
std::optional<WallTime> last_read_at(const Result<UniqueFd>& volume, const std::string& path) {
    const auto generation = volume ? fsatomic::current_generation(*volume) : std::unexpected(volume.error());
    const auto file = generation ? fsatomic::open_beneath(*volume, *generation + "/" + path, O_PATH)
                                 : std::unexpected(generation.error());
    struct statx status{};
    if (!file ||
        ::statx(file->get(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_ATIME | STATX_MTIME, &status) <
            0 ||
        !S_ISREG(status.stx_mode))
        return std::nullopt;
    const WallTime read = wall_of(status.stx_atime);
    return read > wall_of(status.stx_mtime) ? std::optional(read) : std::nullopt;
}

ordered_json file_json(const FileStatus& file, const Result<UniqueFd>& volume) {
    const bool is_token = file.kind == "serviceAccountToken";
    return {{"path", file.path},
            {"kind", file.kind},
            {"audience", file.audience},
            {"issuedAt", time_or_null(file.issued_at)},
            {"expiresAt", time_or_null(file.expires_at)},
            {"validUntil", time_or_null(file.valid_until)},
            {"rotatesAt", time_or_null(file.rotates_at)},
            {"rule", file.rule},
            {"lastReadAt", time_or_null(is_token ? last_read_at(volume, file.path) : std::nullopt)},
            {"failures", file.failures},
            {"retriesAt", time_or_null(file.retries_at)},
            {"lastError", file.last_error}};
}

ordered_json volume_json(const VolumeStatus& volume, const StatusContext& context) {
    const Result<UniqueFd> directory = volume.path.starts_with('/')
                                           ? fsatomic::open_root(volume.path)
                                           : fsatomic::open_dir_beneath(context.root, volume.path);
    ordered_json files = ordered_json::array();
    for (const FileStatus& file : volume.files)
        files.push_back(file_json(file, directory));
    ordered_json mounts = ordered_json::array();
    for (const FileMount& mount : context.file_mounts)
        if (mount.volume == volume.path)
            mounts.push_back({{"file", mount.file}, {"mountedAt", mount.point}});
    return {{"name", volume.name},
            {"path", volume.path.starts_with('/') ? volume.path : context.root_path + "/" + volume.path},
            {"ready", volume.ready},
            {"error", volume.error},
            {"rotations", volume.rotations},
            {"files", std::move(files)},
            {"fileMounts", std::move(mounts)}};
}

ordered_json pod_json(const PodStatus& pod, const StatusContext& context) {
    ordered_json volumes = ordered_json::array();
    for (const VolumeStatus& volume : pod.volumes)
        volumes.push_back(volume_json(volume, context));
    return {{"namespace", pod.ns},    {"name", pod.name},
            {"uid", pod.uid},         {"serviceAccount", pod.service_account},
            {"ready", pod.ready},     {"leaving", pod.leaving},
            {"message", pod.message}, {"volumes", std::move(volumes)}};
}

// Text from manifests that is not UTF-8 becomes U+FFFD.
std::string text_of(const ordered_json& json) {
    return json.dump(-1, ' ', /*ensure_ascii=*/false, ordered_json::error_handler_t::replace);
}

}  // namespace

std::string status_json(const Status& status, const StatusContext& context) {
    std::string text = text_of({{"nodeName", context.node_name},
                                {"listed", status.listed},
                                {"settled", status.settled},
                                {"removalHeld", status.removal_held},
                                {"problems", status.problems},
                                {"counters",
                                 {{"tokenRequests", status.token_requests},
                                  {"tokenFailures", status.token_failures},
                                  {"publishes", status.publishes},
                                  {"repairs", status.repairs}}}});
    // Pod by Pod: a tree of ten thousand would take seven times the room of its text.
    text.back() = ',';
    text += "\"pods\":[";
    for (const PodStatus& pod : status.pods) {
        text += text_of(pod_json(pod, context));
        text += ',';
    }
    if (!status.pods.empty())
        text.pop_back();
    text += "]}";
    return text;
}

}  // namespace tokenlet::agent
