// SPDX-License-Identifier: Apache-2.0
#include "projector/annotations.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "base/did_you_mean.h"
#include "base/is_within.h"
#include "kube/fields.h"
#include "projector/access.h"

namespace tokenlet::projector {
namespace {

constexpr std::string_view kPrefix = "tokenlet.dev/";
constexpr std::string_view kKnown[] = {kReadersAnnotation, kGraceAnnotation, kPathAnnotation, kUidMapAnnotation};
constexpr std::string_view kLater[] = {"tokenlet.dev/notify"};
constexpr std::string_view kInPlace = "tokenlet.dev/in-place";

Result<> check_name(std::string_view name) {
    if (std::ranges::find(kLater, name) != std::end(kLater))
        return fail(Errc::Invalid, "this version does not carry it out; remove it");
    if (name == kInPlace)
        return fail(Errc::Invalid,
                    "files are not written in place, since readers would find torn ones; mount the volume's directory, "
                    "as `tokenlet mounts` prints it");
    if (std::ranges::find(kKnown, name) == std::end(kKnown))
        return fail(Errc::Invalid, "unknown annotation" + did_you_mean(name, kKnown));
    return {};
}

Result<Duration> read_grace(std::string_view text) {
    const Duration grace = TRY(kube::parse_duration(text));
    if (grace < Duration::zero() || grace > kMaxGrace)
        return fail(Errc::Invalid, "'" + std::string(text) + "' is not between 0s and 1h");
    return grace;
}

Result<std::string> read_rootless_user(std::string_view text) {
    constexpr std::string_view kPodman = "podman:";
    const std::string_view user = text.substr(std::min(kPodman.size(), text.size()));
    if (!text.starts_with(kPodman) || user.empty() || user.find_first_of(": \n") != user.npos)
        return fail(Errc::Invalid, "'" + std::string(text) + "' is not podman:USER");
    return std::string(user);
}

std::string_view trim(std::string_view text) {
    const std::size_t first = text.find_first_not_of(' ');
    return first == text.npos ? std::string_view() : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

bool is_plain(char c) {
    return c > ' ' && c != ':' && c != 0x7f;  // a colon separates in mounts, and in the records' names
}

Result<> check_path(std::string_view path) {
    const auto refuse = [&](const char* why) { return fail(Errc::Invalid, "'" + std::string(path) + "' " + why); };
    if (!path.starts_with('/') || path.size() < 2)
        return refuse("is not an absolute path below /");
    if (path.size() > kMaxDirectPath)
        return refuse("is longer than 150 bytes");
    if (!std::ranges::all_of(path, [](char c) { return static_cast<signed char>(c) < 0 || is_plain(c); }))
        return refuse("holds a blank, a colon or a control character");
    for (std::size_t at = 1; at <= path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        const std::string_view part = path.substr(at, end - at);
        if (part.empty() || part == "." || part.starts_with(".."))
            return refuse("must not hold '//', '.', or a part that starts with '..'");
        at = end + 1;
    }
    return {};
}

Result<DirectPath> read_path(std::string_view text) {
    const std::size_t equals = text.find('=');
    const std::string_view volume = trim(text.substr(0, equals));
    if (equals == text.npos || volume.empty())
        return fail(Errc::Invalid, "'" + std::string(text) + "' is not VOLUME=/directory");
    std::string_view path = trim(text.substr(equals + 1));
    if (path.size() > 1 && path.ends_with('/'))
        path.remove_suffix(1);
    TRY(check_path(path));
    return DirectPath{std::string(volume), std::string(path)};
}

Result<std::vector<DirectPath>> read_paths(std::string_view text) {
    std::vector<DirectPath> paths;
    for (bool more = true; more;) {
        const std::size_t comma = text.find(',');
        DirectPath read = TRY(read_path(trim(text.substr(0, comma))));
        for (const DirectPath& other : paths) {
            if (other.volume == read.volume)
                return fail(Errc::Invalid, "volume " + read.volume + " is there twice");
            if (is_within(other.path, read.path) || is_within(read.path, other.path))
                return fail(Errc::Invalid, "'" + read.path + "' and '" + other.path + "' lie within one another");
        }
        paths.push_back(std::move(read));
        more = comma != text.npos;
        text.remove_prefix(more ? comma + 1 : text.size());
    }
    return paths;
}

}  // namespace

Result<Annotations> read_annotations(const kube::StringMap& annotations) {
    Annotations read;
    for (const auto& [name, value] : annotations) {
        if (!name.starts_with(kPrefix))
            continue;
        const std::string field = "metadata.annotations['" + name + "']";
        TRY(check_name(name), field);
        if (name == kGraceAnnotation)
            read.grace = TRY(read_grace(value), field);
        if (name == kUidMapAnnotation)
            read.rootless_user = TRY(read_rootless_user(value), field);
        if (name == kPathAnnotation)
            read.paths = TRY(read_paths(value), field);
    }
    return read;
}

}  // namespace tokenlet::projector
