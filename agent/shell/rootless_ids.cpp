// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/rootless_ids.h"

#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>

#include "base/file_bytes.h"
#include "base/unique_fd.h"

namespace tokenlet::agent {

namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 20;

struct Ids {
    uid_t uid;
    gid_t gid;
};

Result<Ids> find_user(const std::string& name) {
    passwd entry{};
    passwd* found = nullptr;
    std::array<char, 16384> text;
    const int failure = ::getpwnam_r(name.c_str(), &entry, text.data(), text.size(), &found);
    if (found != nullptr)
        return Ids{found->pw_uid, found->pw_gid};
    // Several errnos mean "not found", see getpwnam(3).
    if (failure == 0 || failure == ENOENT || failure == ESRCH || failure == EBADF || failure == EPERM)
        return fail(Errc::Invalid, "this host has no user '" + name + "'");
    return fail_errno(failure, "getpwnam_r", name);
}

Result<std::vector<projector::IdRange>> read_ranges(const std::string& path, const projector::Account& account,
                                                    unsigned own_id) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!file)
        return fail_errno(errno, "open", path);
    const Secret text = TRY(read_all(file.get(), kMostBytes, path));
    return TRY(projector::rootless_ranges(text.view(), account, own_id), path);
}

}  // namespace

Result<projector::IdMap> read_rootless_ids(const std::string& user, const SubordinateFiles& files) {
    const Ids ids = TRY(find_user(user));
    const projector::Account account{user, ids.uid};
    projector::IdMap map;
    map.users = TRY(read_ranges(files.users, account, ids.uid));
    map.groups = TRY(read_ranges(files.groups, account, ids.gid));
    return map;
}

}  // namespace tokenlet::agent
