// SPDX-License-Identifier: Apache-2.0
#include "cli/status_answer.h"

#include <nlohmann/json.hpp>

#include "cli/text.h"

namespace tokenlet::cli {

namespace {

using nlohmann::json;

// What is absent, null or of another type reads as nothing: an agent of another version may leave it out.
std::string text(const json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool flag(const json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_boolean() && found->get<bool>();
}

std::uint64_t count(const json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::optional<WallTime> time(const json& object, const char* key) {
    return parse_rfc3339(text(object, key));
}

template <class Use>
void for_each_object(const json& object, const char* key, Use use) {
    const auto found = object.find(key);
    if (found == object.end() || !found->is_array())
        return;
    for (const json& item : *found) {
        if (item.is_object())
            use(item);
    }
}

VolumeAnswer read_volume(const json& object) {
    VolumeAnswer volume{.name = text(object, "name"),
                        .path = text(object, "path"),
                        .ready = flag(object, "ready"),
                        .error = text(object, "error"),
                        .rotations = count(object, "rotations"),
                        .files = {}};
    for_each_object(object, "files", [&](const json& file) {
        volume.files.push_back({.path = text(file, "path"),
                                .kind = text(file, "kind"),
                                .audience = text(file, "audience"),
                                .issued_at = time(file, "issuedAt"),
                                .expires_at = time(file, "expiresAt"),
                                .valid_until = time(file, "validUntil"),
                                .rotates_at = time(file, "rotatesAt"),
                                .rule = text(file, "rule"),
                                .last_read_at = time(file, "lastReadAt"),
                                .failures = count(file, "failures"),
                                .last_error = text(file, "lastError"),
                                .retries_at = time(file, "retriesAt")});
    });
    for_each_object(object, "fileMounts", [&](const json& mount) {
        volume.file_mounts.push_back({.file = text(mount, "file"), .mounted_at = text(mount, "mountedAt")});
    });
    return volume;
}

}  // namespace

bool PodAnswer::is_called(std::string_view wanted) const {
    return wanted.empty() || wanted == name || wanted == key();
}

Result<StatusAnswer> read_status_answer(std::string_view bytes) {
    const json root = json::parse(bytes, nullptr, /*allow_exceptions=*/false);
    if (!root.is_object() || !root.contains("pods") || !root["pods"].is_array())
        return fail(Errc::Invalid, "this is no answer of tokenlet's agent");
    StatusAnswer answer;
    if (const auto problems = root.find("problems"); problems != root.end() && problems->is_array()) {
        for (const json& problem : *problems) {
            if (problem.is_string())
                answer.problems.push_back(problem.get<std::string>());
        }
    }
    answer.removal_held = text(root, "removalHeld");
    for_each_object(root, "pods", [&](const json& object) {
        PodAnswer pod{.ns = text(object, "namespace"),
                      .name = text(object, "name"),
                      .uid = text(object, "uid"),
                      .service_account = text(object, "serviceAccount"),
                      .ready = flag(object, "ready"),
                      .leaving = flag(object, "leaving"),
                      .message = text(object, "message"),
                      .volumes = {}};
        for_each_object(object, "volumes", [&](const json& volume) { pod.volumes.push_back(read_volume(volume)); });
        answer.pods.push_back(std::move(pod));
    });
    return answer;
}

}  // namespace tokenlet::cli
