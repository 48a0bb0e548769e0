// SPDX-License-Identifier: Apache-2.0
#include "projector/access.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace tokenlet::projector {
namespace {

using fsatomic::Access;
using fsatomic::Reader;

constexpr std::int64_t kMaxId = std::numeric_limits<std::int32_t>::max();  // Kubernetes' own limit
constexpr char kUserField[] = "spec.securityContext.runAsUser";
constexpr char kGroupField[] = "spec.securityContext.fsGroup";
constexpr mode_t kOwnerReads = 0400;
constexpr mode_t kGroupReads = 0040;
constexpr mode_t kOthersRead = 0004;

Result<std::optional<unsigned>> to_id(std::optional<std::int64_t> value, std::string_view field) {
    if (!value)
        return std::optional<unsigned>();
    if (*value < 0 || *value > kMaxId)
        return fail(Errc::Invalid,
                    std::string(field) + ": " + std::to_string(*value) + " is not between 0 and 2147483647");
    return std::optional(static_cast<unsigned>(*value));
}

// The one user of all containers. Source: pkg/volume/util/util.go, FsUserFrom.
std::optional<std::int64_t> common_user(const kube::Pod& pod) {
    std::optional<std::int64_t> common;
    for (const auto* containers : {&pod.init_containers, &pod.containers, &pod.ephemeral_containers}) {
        for (const kube::Container& container : *containers) {
            const std::optional<std::int64_t> user = container.run_as_user ? container.run_as_user : pod.run_as_user;
            if (!user || (common && *common != *user))
                return {};
            common = user;
        }
    }
    return common;
}

std::string_view trim(std::string_view text) {
    const std::size_t first = text.find_first_not_of(' ');
    return first == text.npos ? std::string_view() : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

Result<Reader> parse_reader(std::string_view text) {
    const std::string_view digits = text.substr(std::min<std::size_t>(text.size(), 4));
    const bool user = text.starts_with("uid:");
    std::int64_t id = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
    if ((!user && !text.starts_with("gid:")) || error != std::errc() || end != digits.data() + digits.size() ||
        id < 0 || id > kMaxId)
        return fail(Errc::Invalid, "'" + std::string(text) + "' is neither uid:NUMBER nor gid:NUMBER");
    return Reader{user ? Reader::Kind::User : Reader::Kind::Group, static_cast<unsigned>(id)};
}

Result<std::vector<Reader>> parse_readers(const kube::Pod& pod) {
    std::vector<Reader> readers;
    const auto annotation = pod.meta.annotations.find(kReadersAnnotation);
    if (annotation == pod.meta.annotations.end())
        return readers;
    std::string_view rest = annotation->second;
    for (bool more = !trim(rest).empty(); more;) {
        const std::size_t comma = rest.find(',');
        readers.push_back(TRY(parse_reader(trim(rest.substr(0, comma)))));
        more = comma != rest.npos;
        rest.remove_prefix(more ? comma + 1 : rest.size());
    }
    std::ranges::sort(readers);
    const auto [first, last] = std::ranges::unique(readers);
    readers.erase(first, last);
    readers.shrink_to_fit();
    return readers;
}

// The kubelet's owner and mode said without a right to chown: its readers become entries. See the header.
Access owned_by_the_agent(const Access& kubelet) {
    const mode_t others = kubelet.mode & kubelet.mode >> 3 & kubelet.mode >> 6 & 7;
    Access access{
        .mode = (kubelet.mode & 0700) | kOwnerReads | others << 3 | others,  // the agent compares before it writes
        .owner = {},
        .group = {},
        .readers = kubelet.readers};
    if ((others & kOthersRead) != 0)
        return access;
    if ((kubelet.mode & kOwnerReads) != 0)
        access.readers.push_back({Reader::Kind::User, kubelet.owner.value_or(0)});
    if ((kubelet.mode & kGroupReads) != 0)
        access.readers.push_back({Reader::Kind::Group, kubelet.group.value_or(0)});
    return access;
}

// Lets in the readers that were named and puts the result into the form that the host can carry out.
Access finish(Access access, const Readership& who, Ownership ownership) {
    if (ownership == Ownership::Acl)
        access = owned_by_the_agent(access);
    if ((access.mode & kOthersRead) == 0)
        access.readers.insert(access.readers.end(), who.readers.begin(), who.readers.end());
    std::ranges::sort(access.readers);
    const auto [first, last] = std::ranges::unique(access.readers);
    access.readers.erase(first, last);
    return access;
}

// As the host has them, from a container's.
Result<> translate(Readership& who, const IdMap& ids) {
    who.root_user = TRY(host_id(ids.users, 0));
    who.root_group = TRY(host_id(ids.groups, 0));
    if (who.fs_user)
        who.fs_user = TRY(host_id(ids.users, *who.fs_user), kUserField);
    if (who.fs_group)
        who.fs_group = TRY(host_id(ids.groups, *who.fs_group), kGroupField);
    return {};
}

// Root's, or with fsGroup the group's too. Source: pkg/volume/volume_linux.go, changeFilePermission with a read-only mask.
Access owned_by_root(const Readership& who, mode_t mode) {
    if (who.fs_group)
        mode |= kOwnerReads | kGroupReads;
    return {.mode = mode, .owner = who.root_user, .group = who.fs_group.value_or(who.root_group), .readers = {}};
}

}  // namespace

Result<Readership> readership(const kube::Pod& pod, const IdMap* ids) {
    Readership who;
    who.fs_user = TRY(to_id(common_user(pod), kUserField));
    who.fs_group = TRY(to_id(pod.fs_group, kGroupField));
    who.readers = TRY(parse_readers(pod), "metadata.annotations['tokenlet.dev/readers']");
    if (ids != nullptr)
        TRY(translate(who, *ids));
    return who;
}

Access token_access(const Readership& who, Ownership ownership, mode_t default_mode) {
    const bool named = who.fs_user || who.fs_group || !who.readers.empty();
    Access access = owned_by_root(who, named ? 0600 : default_mode);
    access.owner = who.fs_user.value_or(who.root_user);
    return finish(std::move(access), who, ownership);
}

Access object_access(const Readership& who, Ownership ownership, mode_t mode) {
    return finish(owned_by_root(who, mode), who, ownership);
}

Access directory_access(const Readership& who, Ownership ownership) {
    Access access{.mode = 0755, .owner = {}, .group = {}, .readers = {}};
    if (ownership == Ownership::Chown)
        access.group = who.fs_group;
    return access;
}

}  // namespace tokenlet::projector
