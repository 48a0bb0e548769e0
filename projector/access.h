// SPDX-License-Identifier: Apache-2.0
// Who may read the files of a Pod, as owners, modes and access lists.
//
// Shapes   readership() reduces a Pod to what decides that; token_access(), object_access() and directory_access() turn
//          it into the access of one kind of file. Pure. With an IdMap, all ids of a Pod, root's too, are a container's
//          and become the host's; those of tokenlet.dev/readers are the host's anyway.
// Units    modes are permission bits 0 to 0777; ids as the kernel has them.
// Owns     nothing.     Threads  any.
// Errors   Invalid, naming the field: an id outside 0 to 2147483647 or the map's, a bad tokenlet.dev/readers.
// Source   kubernetes pkg/volume/projected/projected.go, pkg/volume/util/util.go FsUserFrom, pkg/volume/volume_linux.go.
//
// Token and trust bundle files (FsUser: the one runAsUser that every container has, 0 counts):
//
//     FsUser  fsGroup   Ownership::Chown              Ownership::Acl (the agent owns the file)
//     unset   unset     defaultMode, root:root        the same readers, as below
//     set     unset     0600 FsUser:root              0600, user:FsUser reads
//     unset   set       0640 root:fsGroup             0600, user:0 and group:fsGroup read
//     set     set       0640 FsUser:fsGroup           0600, user:FsUser and group:fsGroup read
//
// Files of a Secret, a ConfigMap or the downward API have their own mode, root:root; with fsGroup, mode | 0440 and
// root:fsGroup. Directories are 0755 (group fsGroup).
//
// Acl means: whoever the kubelet's owner, group and mode would let read, and nobody else. Owner and group become read
// entries; members of the agent's own group are "others", so the group bits repeat the others' bits. Where others read
// anyway, as with 0644, no entry is made. What read entries cannot say is narrowed, never widened: others keep only the
// bits that owner and group have too (0604 becomes 0600), and a group's or owner's write and execute bits go.
// supplementalGroups and runAsGroup grant nothing, since the kubelet gives no file to them.
//
// tokenlet.dev/readers lets in more, in both modes. On tokens it works as FsUser does: naming readers takes the token
// from everybody else, so 0600 where defaultMode would have stood. On other files it adds to the mode that was asked for.
//
// Differs  a directory has no setgid bit: nothing is ever created in it later, and it takes CAP_FSETID to set. Its owner
//          stays the agent, which has to empty it when the generation goes (the same where the agent is root).
#pragma once

#include <sys/types.h>

#include <optional>
#include <vector>

#include "base/result.h"
#include "fsatomic/payload.h"
#include "kube/objects.h"
#include "projector/id_map.h"

namespace tokenlet::projector {

inline constexpr char kReadersAnnotation[] = "tokenlet.dev/readers";  // "uid:1000,gid:33"

enum class Ownership {
    Chown,  // owners and modes are the kubelet's; takes root, or CAP_CHOWN with CAP_FOWNER and CAP_DAC_READ_SEARCH
    Acl,    // takes no right: the agent owns the files, readers are entries of their access lists
};

struct Readership {
    std::optional<uid_t> fs_user;
    std::optional<gid_t> fs_group;
    std::vector<fsatomic::Reader> readers;  // of the annotation: sorted, without duplicates
    uid_t root_user = 0;                    // whom the kubelet's root:root means
    gid_t root_group = 0;
    bool operator==(const Readership&) const = default;
};

// `ids`: null where no user namespace lies between.
[[nodiscard]] Result<Readership> readership(const kube::Pod& pod, const IdMap* ids = nullptr);

// Of service account tokens and trust bundles.
[[nodiscard]] fsatomic::Access token_access(const Readership& who, Ownership ownership, mode_t default_mode);
// Of files from Secrets, ConfigMaps and the downward API; mode is the item's, else the volume's.
[[nodiscard]] fsatomic::Access object_access(const Readership& who, Ownership ownership, mode_t mode);
// Of the generation directory and all below it.
[[nodiscard]] fsatomic::Access directory_access(const Readership& who, Ownership ownership);

}  // namespace tokenlet::projector
