// SPDX-License-Identifier: Apache-2.0
#include "fsatomic/acl.h"

#include <endian.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <vector>

namespace tokenlet::fsatomic {
namespace {

constexpr char kAccessList[] = "system.posix_acl_access";
constexpr char kDefaultList[] = "system.posix_acl_default";

mode_t reader_bits(Node node) {
    return node == Node::File ? 04 : 05;
}

bool needs_list(const Access& access, Node node) {
    // Who is neither owner nor in the group is "other": when both classes may read, a list would add nothing.
    const mode_t bits = reader_bits(node);
    const mode_t both = static_cast<mode_t>(bits << 3) | bits;
    return !access.readers.empty() && (access.mode & both) != both;
}

mode_t mask_bits(const Access& access, Node node) {
    return ((access.mode >> 3) & 07) | reader_bits(node);
}

void add_entry(std::string& list, int tag, mode_t bits, unsigned id = static_cast<unsigned>(ACL_UNDEFINED_ID)) {
    posix_acl_xattr_entry entry{};
    entry.e_tag = htole16(static_cast<std::uint16_t>(tag));
    entry.e_perm = htole16(static_cast<std::uint16_t>(bits));
    entry.e_id = htole32(id);
    list.append(reinterpret_cast<const char*>(&entry), sizeof entry);
}

std::string octal(mode_t mode) {
    std::array<char, 8> text;
    std::snprintf(text.data(), text.size(), "%04o", static_cast<unsigned>(mode));
    return text.data();
}

std::string id_text(const std::optional<unsigned>& id) {
    return id ? std::to_string(*id) : "";
}

std::string owner_text(const Access& access) {
    return id_text(access.owner) + ":" + id_text(access.group);
}

std::unexpected<Error> denied(int os_errno, std::string_view call, const std::string& object,
                              std::string_view missing) {
    auto error = fail_errno(os_errno, call, object);
    error.error().code = Errc::Denied;
    error.error().what += ": ";
    error.error().what += missing;
    return error;
}

bool is_absent(int os_errno) {
    return os_errno == ENODATA || os_errno == EOPNOTSUPP;
}

Result<std::string> read_list(const UniqueFd& fd, std::string_view name) {
    std::array<char, 1024> list;
    ssize_t size = ::fgetxattr(fd.get(), kAccessList, list.data(), list.size());
    if (size >= 0)
        return std::string(list.data(), static_cast<std::size_t>(size));
    if (is_absent(errno))
        return std::string();
    if (errno != ERANGE)
        return fail_errno(errno, "fgetxattr", name);
    std::string longer(65536, '\0');  // no attribute is longer
    size = ::fgetxattr(fd.get(), kAccessList, longer.data(), longer.size());
    if (size < 0)
        return fail_errno(errno, "fgetxattr", name);
    longer.resize(static_cast<std::size_t>(size));
    return longer;
}

}  // namespace

std::string encode_acl(const Access& access, Node node) {
    if (!needs_list(access, node))
        return {};
    std::vector<Reader> readers = access.readers;
    std::sort(readers.begin(), readers.end());
    readers.erase(std::unique(readers.begin(), readers.end()), readers.end());

    // The kernel wants this order, ids ascending.
    std::string list;
    posix_acl_xattr_header header{};
    header.a_version = htole32(POSIX_ACL_XATTR_VERSION);
    list.append(reinterpret_cast<const char*>(&header), sizeof header);
    add_entry(list, ACL_USER_OBJ, (access.mode >> 6) & 07);
    for (const Reader& reader : readers)
        if (reader.kind == Reader::Kind::User)
            add_entry(list, ACL_USER, reader_bits(node), reader.id);
    add_entry(list, ACL_GROUP_OBJ, (access.mode >> 3) & 07);
    for (const Reader& reader : readers)
        if (reader.kind == Reader::Kind::Group)
            add_entry(list, ACL_GROUP, reader_bits(node), reader.id);
    add_entry(list, ACL_MASK, mask_bits(access, node));
    add_entry(list, ACL_OTHER, access.mode & 07);
    return list;
}

mode_t visible_mode(const Access& access, Node node) {
    if (!needs_list(access, node))
        return access.mode;
    return (access.mode & ~static_cast<mode_t>(070)) | static_cast<mode_t>(mask_bits(access, node) << 3);
}

Result<> set_access(const UniqueFd& fd, const Access& access, Node node, const Made& made, std::string_view name) {
    const bool new_owner = access.owner && made.owner != access.owner;
    const bool new_group = access.group && made.group != access.group;
    if (new_owner || new_group) {
        const uid_t owner = new_owner ? *access.owner : static_cast<uid_t>(-1);
        const gid_t group = new_group ? *access.group : static_cast<gid_t>(-1);
        if (::fchown(fd.get(), owner, group) < 0) {
            const std::string object = std::string(name) + ", " + owner_text(access);
            if (errno == EPERM)
                return denied(errno, "fchown", object, "this takes CAP_CHOWN, or volumes.ownership: acl");
            if (errno == EINVAL)
                return denied(errno, "fchown", object, "the id has no place in this user namespace");
            return fail_errno(errno, "fchown", object);
        }
    }
    if (::fchmod(fd.get(), access.mode) < 0) {
        const std::string object = std::string(name) + ", " + octal(access.mode);
        if (errno == EPERM)
            return denied(errno, "fchmod", object, "this takes CAP_FOWNER once the owner is another");
        return fail_errno(errno, "fchmod", object);
    }
    if (access.mode & S_ISGID) {
        // The kernel drops this bit without a word when the caller is not in the group.
        struct stat found{};
        if (::fstat(fd.get(), &found) < 0)
            return fail_errno(errno, "fstat", name);
        if ((found.st_mode & S_ISGID) == 0)
            return denied(EPERM, "fchmod", std::string(name) + ", " + octal(access.mode),
                          "set-group-id takes CAP_FSETID or being in the group");
    }
    if (const std::string list = encode_acl(access, node); !list.empty()) {
        if (::fsetxattr(fd.get(), kAccessList, list.data(), list.size(), 0) < 0) {
            const std::string object = std::string(name) + ", access list";
            if (errno == EOPNOTSUPP)
                return denied(errno, "fsetxattr", object, "the file system keeps no access lists");
            if (errno == EPERM)
                return denied(errno, "fsetxattr", object, "this takes CAP_FOWNER once the owner is another");
            if (errno == EINVAL)
                return denied(errno, "fsetxattr", object, "a reader's id has no place in this user namespace");
            return fail_errno(errno, "fsetxattr", object);
        }
    }
    return {};
}

Result<std::string> access_difference(const UniqueFd& fd, const struct stat& found, const Access& access, Node node,
                                      const Made& made, std::string_view name) {
    if (const auto owner = access.owner ? access.owner : made.owner; owner && found.st_uid != *owner)
        return "owner is " + std::to_string(found.st_uid) + ", not " + std::to_string(*owner);
    if (const auto group = access.group ? access.group : made.group; group && found.st_gid != *group)
        return "group is " + std::to_string(found.st_gid) + ", not " + std::to_string(*group);
    const mode_t mode = found.st_mode & 07777;
    if (const mode_t wanted = visible_mode(access, node); mode != wanted)
        return "mode is " + octal(mode) + ", not " + octal(wanted);
    if (TRY(read_list(fd, name)) != encode_acl(access, node))
        return std::string("access list differs");
    return std::string();
}

Result<> drop_inherited_acl(const UniqueFd& dir, std::string_view name) {
    // A directory has an inherited access list only if it has the default list as well.
    if (::fgetxattr(dir.get(), kDefaultList, nullptr, 0) < 0) {
        if (is_absent(errno))
            return {};
        return fail_errno(errno, "fgetxattr", name);
    }
    for (const char* list : {kDefaultList, kAccessList})
        if (::fremovexattr(dir.get(), list) < 0 && !is_absent(errno))
            return fail_errno(errno, "fremovexattr", name);
    return {};
}

}  // namespace tokenlet::fsatomic
