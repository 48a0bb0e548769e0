// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/found_volumes.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <set>
#include <string_view>
#include <utility>

#include "agent/shell/direct_directory.h"
#include "agent/shell/lock.h"
#include "agent/shell/record_file.h"
#include "agent/shell/token_hash.h"
#include "fsatomic/confined_dir.h"
#include "fsatomic/generation.h"
#include "fsatomic/list_dir.h"
#include "kube/names.h"

namespace tokenlet::agent {

namespace {

constexpr std::size_t kMaxTokenBytes = std::size_t{1} << 20;

constexpr std::array<std::string_view, 4> kPlugins = {"kubernetes.io~projected", "kubernetes.io~secret",
                                                      "kubernetes.io~configmap", "kubernetes.io~downward-api"};

Result<std::vector<std::string>> names_in(const UniqueFd& root, const std::string& path) {
    const UniqueFd dir = TRY(fsatomic::open_dir_beneath(root, path));
    std::vector<std::string> names;
    for (fsatomic::DirEntry& entry : TRY(fsatomic::list_dir(dir, path)))
        names.push_back(std::move(entry.name));
    std::ranges::sort(names);
    return names;
}

class Search {
public:
    Search(const UniqueFd& root, const std::vector<std::string>& direct, Found& found)
        : root_(root), direct_(direct), found_(found) {}

    void pod(const std::string& uid) {
        if (!kube::check_uid(uid).empty()) {
            found_.foreign.push_back(uid);
            return;
        }
        // A Pod's directory of ours has `volumes` and `records`; anything else in it is not looked at.
        std::set<VolumePath> paths;
        for (const std::string& plugin : list(uid + "/volumes")) {
            if (std::ranges::find(kPlugins, plugin) == kPlugins.end()) {
                found_.foreign.push_back(uid + "/volumes/" + plugin);
                continue;
            }
            for (const std::string& name : list(uid + "/volumes/" + plugin))
                add(paths, {.pod_uid = uid, .plugin_directory = plugin, .volume = name});
        }
        // A removal that was cut short leaves the record, so that it can be taken up again.
        if (auto recorded = list_records(root_, uid)) {
            for (VolumePath& path : *recorded)
                add(paths, std::move(path));
        } else {
            found_.problems.push_back(uid + ": " + recorded.error().what);
        }
        for (const VolumePath& path : paths)
            volume(path);
        if (paths.empty())
            remove_empty(uid);
    }

private:
    // The end of a removal, or the begin of a first publish, which a crash cut short: nobody else would ever know of it.
    void remove_empty(const std::string& uid) {
        if (const auto removed = remove_half_written(root_, uid); !removed)
            found_.problems.push_back(uid + ": " + removed.error().what);
        std::vector<std::string> directories{uid + "/records"};
        for (const std::string_view plugin : kPlugins)
            directories.push_back(uid + "/volumes/" + std::string(plugin));
        for (const std::string& directory : directories)
            if (const auto removed = fsatomic::remove_empty_dirs_beneath(root_, directory); !removed) {
                found_.problems.push_back(directory + ": " + removed.error().what);
                return;
            }
    }

    // Absent is empty: a crash may leave a Pod's directory half made.
    std::vector<std::string> list(const std::string& path) {
        auto names = names_in(root_, path);
        if (names)
            return std::move(*names);
        if (names.error().code != Errc::NotFound)
            found_.problems.push_back(path + ": " + names.error().what);
        return {};
    }

    void add(std::set<VolumePath>& paths, VolumePath path) {
        if (std::ranges::find(kPlugins, path.plugin_directory) != kPlugins.end() &&
            kube::check_dns1123_label(path.volume).empty())
            paths.insert(std::move(path));
        else
            found_.foreign.push_back(path.str());
    }

    void volume(const VolumePath& path) {
        FoundVolume volume{.path = path, .older = {}, .record = {}, .files = {}};
        auto record = read_record(root_, path);
        if (record)
            volume.record = std::move(*record);
        else if (record.error().code != Errc::NotFound)
            found_.problems.push_back(path.str() + ": " + record.error().what);

        const auto dir =
            path.direct.empty() ? fsatomic::open_dir_beneath(root_, path.str()) : open_direct(direct_, path.direct);
        if (!dir && dir.error().code != Errc::NotFound) {
            found_.problems.push_back(path.str() + ": " + dir.error().what);
            // Found nevertheless, for its Pod may have left; but a link, or a file, in its place is none of ours.
            if (path.direct.empty() && (dir.error().os_errno == ELOOP || dir.error().os_errno == ENOTDIR))
                return;
        }
        // Else it is somebody else's by now: to remove the volume will forget it, and touch nothing there.
        const Result<bool> is_ours = path.direct.empty() || !dir ? dir.has_value() : is_claimed(*dir, path);
        if (!is_ours)
            found_.problems.push_back(path.str() + ": " + is_ours.error().what);
        if (is_ours.value_or(false)) {
            volume.older = older_generations(*dir, path.str());
            if (volume.record)
                read_tokens(*dir, *volume.record, volume);
        }
        found_.volumes.push_back(std::move(volume));
    }

    std::vector<std::string> older_generations(const UniqueFd& dir, const std::string& path) {
        std::vector<std::string> older;
        if (auto names = names_in(dir, "."))
            older = std::move(*names);
        else
            found_.problems.push_back(path + ": " + names.error().what);
        const auto current = fsatomic::current_generation(dir);
        std::erase_if(older, [&](const std::string& name) {
            return !fsatomic::is_generation_name(name) || (current && name == *current);
        });
        return older;
    }

    static void read_tokens(const UniqueFd& dir, const VolumeRecord& record, FoundVolume& volume) {
        for (const TokenRecord& token : record.tokens) {
            auto bytes = fsatomic::read_current(dir, token.path, kMaxTokenBytes);
            if (bytes && sha256_hex(bytes->view()) == token.sha256)
                volume.files.emplace_back(token.path, std::move(*bytes));
        }
    }

    const UniqueFd& root_;
    const std::vector<std::string>& direct_;
    Found& found_;
};

}  // namespace

Result<Found> find_volumes(const UniqueFd& root, const std::vector<std::string>& direct) {
    Found found;
    Search search(root, direct, found);
    for (const std::string& name : TRY(names_in(root, ".")))
        if (name != kLockFile)
            search.pod(name);
    return found;
}

}  // namespace tokenlet::agent
