// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/record_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/file_bytes.h"
#include "fsatomic/list_dir.h"

namespace tokenlet::agent {

namespace {

using nlohmann::ordered_json;

constexpr int kVersion = 1;
constexpr char kNewRecord[] = ".new";  // no record is called so: theirs start with a plugin's name

constexpr std::string_view kSuffix = ".json";

std::string directory_of(const std::string& pod_uid) {
    return pod_uid + "/records";
}

// "kubernetes.io~projected~data.json"; of a volume in /shared/sa "kubernetes.io~projected~data~:shared:sa.json", so that the
// name alone says where to clean up.
std::string name_of(const VolumePath& path) {
    std::string name = path.plugin_directory + "~" + path.volume;
    if (!path.direct.empty()) {
        name += '~';
        std::ranges::replace_copy(path.direct, std::back_inserter(name), '/', ':');
    }
    return name + std::string(kSuffix);
}

// The inverse of name_of(). A volume's name has no '~', a plugin directory's has one; a direct path may have any number, and
// has no ':'.
std::optional<VolumePath> path_of(const std::string& pod_uid, std::string_view name) {
    if (!name.ends_with(kSuffix))
        return std::nullopt;
    name.remove_suffix(kSuffix.size());
    const std::size_t before_volume = name.find('~', name.find('~') + 1);
    if (name.find('~') == std::string_view::npos || before_volume == std::string_view::npos)
        return std::nullopt;
    const std::size_t after_volume = std::min(name.find('~', before_volume + 1), name.size());
    VolumePath path{.pod_uid = pod_uid,
                    .plugin_directory = std::string(name.substr(0, before_volume)),
                    .volume = std::string(name.substr(before_volume + 1, after_volume - before_volume - 1))};
    if (after_volume < name.size())
        std::ranges::replace_copy(name.substr(after_volume + 1), std::back_inserter(path.direct), ':', '/');
    return path;
}

std::int64_t ns(Duration duration) {
    return duration.count();
}

Result<Secret> read_text(const UniqueFd& dir, const std::string& name) {
    const UniqueFd file = TRY(fsatomic::open_beneath(dir, name, O_RDONLY | O_NONBLOCK));
    struct stat status{};
    if (::fstat(file.get(), &status) < 0)
        return fail_errno(errno, "stat", name);
    if (!S_ISREG(status.st_mode))
        return fail(Errc::Invalid, name + ": not a regular file");
    return read_all(file.get(), kMaxRecordBytes, name);
}

// Member by member: an initializer list of pairs makes and copies an array for each.
ordered_json to_json(const TokenRecord& token) {
    ordered_json json;
    json["path"] = token.path;
    json["key"] = token.key;
    json["issuer"] = token.issuer;
    json["keyId"] = token.key_id;
    json["serviceAccountUid"] = token.service_account_uid;
    json["sha256"] = token.sha256;
    json["receivedWallNs"] = ns(token.received_wall.time_since_epoch());
    json["receivedBootNs"] = ns(token.times.received.time_since_epoch());
    json["issuedNs"] = ns(token.times.issued.time_since_epoch());
    json["expiresNs"] = ns(token.times.expires.time_since_epoch());
    json["ttlNs"] = ns(token.times.ttl);
    json["jitterNs"] = ns(token.jitter);
    if (token.valid_until != token.times.expires)
        json["validUntilNs"] = ns(token.valid_until.time_since_epoch());
    return json;
}

// Only what is written as an integer: get<std::int64_t>() would convert 1e300, true and 4294967297 as C++ does.
std::int64_t integer(const ordered_json& json, const char* name) {
    return json.at(name).get_ref<const ordered_json::number_integer_t&>();
}

TokenRecord token_from(const ordered_json& json) {
    const auto duration = [&](const char* name) { return Duration(integer(json, name)); };
    TokenRecord token;
    json.at("path").get_to(token.path);
    json.at("key").get_to(token.key);
    json.at("issuer").get_to(token.issuer);
    json.at("keyId").get_to(token.key_id);
    json.at("serviceAccountUid").get_to(token.service_account_uid);
    json.at("sha256").get_to(token.sha256);
    token.received_wall = WallTime(duration("receivedWallNs"));
    token.times.received = BootTime(duration("receivedBootNs"));
    token.times.issued = WallTime(duration("issuedNs"));
    token.times.expires = WallTime(duration("expiresNs"));
    token.times.ttl = duration("ttlNs");
    token.jitter = duration("jitterNs");
    token.valid_until = json.contains("validUntilNs") ? WallTime(duration("validUntilNs")) : token.times.expires;
    return token;
}

// Of a token's times nothing is believed that would make arithmetic with them overflow, or break rotation's promises.
Result<> check(const TokenRecord& token) {
    static constexpr Duration kFar = std::chrono::hours(24 * 365 * 250);  // from 1970, or from the boot
    const auto in_range = [](Duration duration) { return duration >= Duration(0) && duration < kFar; };
    if (!in_range(token.received_wall.time_since_epoch()) || !in_range(token.times.received.time_since_epoch()) ||
        !in_range(token.times.issued.time_since_epoch()) || !in_range(token.times.expires.time_since_epoch()) ||
        !in_range(token.valid_until.time_since_epoch()) || !in_range(token.jitter) || !in_range(token.times.ttl) ||
        token.times.ttl == Duration(0))
        return fail(Errc::Invalid, "a time is out of range");
    return {};
}

// Absent ones are fine.
Result<> unlink_records(const UniqueFd& root, const std::string& pod_uid, const std::vector<std::string>& names) {
    const auto dir = fsatomic::open_dir_beneath(root, directory_of(pod_uid));
    if (!dir && dir.error().code == Errc::NotFound)
        return {};
    if (!dir)
        return std::unexpected(dir.error());
    for (const std::string& name : names)
        if (::unlinkat(dir->get(), name.c_str(), 0) < 0 && errno != ENOENT)
            return fail_errno(errno, "unlink", name);
    return {};
}

}  // namespace

std::string text_of(const VolumeRecord& record) {
    ordered_json json;
    json["version"] = kVersion;
    json["podUid"] = record.pod_uid;
    json["namespace"] = record.ns;
    json["pod"] = record.pod;
    json["volume"] = record.volume;
    json["bootId"] = record.boot_id;
    json["tokens"] = ordered_json::array();
    for (const TokenRecord& token : record.tokens)
        json["tokens"].push_back(to_json(token));
    return json.dump(-1, ' ', /*ensure_ascii=*/false, ordered_json::error_handler_t::replace) + "\n";
}

Result<VolumeRecord> parse_record(std::string_view text) {
    VolumeRecord record;
    try {
        const ordered_json json = ordered_json::parse(text);
        if (const std::int64_t version = integer(json, "version"); version != kVersion)
            return fail(Errc::Invalid, "version " + std::to_string(version) + " is not " + std::to_string(kVersion));
        json.at("podUid").get_to(record.pod_uid);
        json.at("namespace").get_to(record.ns);
        json.at("pod").get_to(record.pod);
        json.at("volume").get_to(record.volume);
        json.at("bootId").get_to(record.boot_id);
        for (const ordered_json& token : json.at("tokens"))
            record.tokens.push_back(token_from(token));
    } catch (const nlohmann::json::exception& error) {
        return fail(Errc::Invalid, "not a record: " + std::string(error.what()));
    }
    for (const TokenRecord& token : record.tokens)
        TRY(check(token), token.path);
    return record;
}

Result<> write_record(const UniqueFd& root, const VolumePath& path, std::string_view text,
                      fsatomic::Durability durability) {
    const std::string name = name_of(path);
    const UniqueFd dir = TRY(fsatomic::make_dirs_beneath(root, directory_of(path.pod_uid),
                                                         {.above = 0711, .last = 0700, .durability = durability}))
                             .dir;
    if (const auto old = read_text(dir, name); old && old->view() == text)
        return {};

    const UniqueFd file(::openat(dir.get(), kNewRecord, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file)
        return fail_errno(errno, "open", kNewRecord);
    TRY(write_all(file.get(), text, kNewRecord));
    if (durability == fsatomic::Durability::Disk && ::fsync(file.get()) < 0)
        return fail_errno(errno, "fsync", kNewRecord);
    if (::renameat(dir.get(), kNewRecord, dir.get(), name.c_str()) < 0)
        return fail_errno(errno, "rename", name);
    return {};
}

Result<VolumeRecord> read_record(const UniqueFd& root, const VolumePath& path) {
    const std::string name = name_of(path);
    const UniqueFd dir = TRY(fsatomic::open_dir_beneath(root, directory_of(path.pod_uid)));
    const Secret text = TRY(read_text(dir, name));
    return TRY(parse_record(text.view()), name);
}

Result<std::vector<VolumePath>> list_records(const UniqueFd& root, const std::string& pod_uid) {
    const std::string directory = directory_of(pod_uid);
    auto dir = fsatomic::open_dir_beneath(root, directory);
    if (!dir && dir.error().code == Errc::NotFound)
        return std::vector<VolumePath>{};
    if (!dir)
        return std::unexpected(std::move(dir.error()));
    std::vector<VolumePath> paths;
    for (const fsatomic::DirEntry& entry : TRY(fsatomic::list_dir(*dir, directory)))
        if (auto path = path_of(pod_uid, entry.name))
            paths.push_back(std::move(*path));
    return paths;
}

Result<> remove_record(const UniqueFd& root, const VolumePath& path) {
    return unlink_records(root, path.pod_uid, {name_of(path), kNewRecord});
}

Result<> remove_half_written(const UniqueFd& root, const std::string& pod_uid) {
    return unlink_records(root, pod_uid, {kNewRecord});
}

}  // namespace tokenlet::agent
