// SPDX-License-Identifier: Apache-2.0
#include "projector/access.h"

#include <gtest/gtest.h>

namespace tokenlet::projector {
namespace {

using fsatomic::Access;
using fsatomic::Reader;

using Id = std::optional<std::int64_t>;

constexpr Reader user(unsigned id) {
    return {Reader::Kind::User, id};
}
constexpr Reader group(unsigned id) {
    return {Reader::Kind::Group, id};
}

kube::Container container(Id user_id) {
    return {.name = "c", .volume_mounts = {}, .run_as_user = user_id, .limits = {}, .requests = {}};
}

Access chowned(mode_t mode, uid_t owner, gid_t gid, std::vector<Reader> readers = {}) {
    return {.mode = mode, .owner = owner, .group = gid, .readers = std::move(readers)};
}

Access listed(mode_t mode, std::vector<Reader> readers = {}) {
    return {.mode = mode, .owner = {}, .group = {}, .readers = std::move(readers)};
}

// Shows what differs, where GoogleTest would print bytes.
std::string describe(const Access& access) {
    std::string text = "mode " + std::to_string(access.mode >> 6 & 7) + std::to_string(access.mode >> 3 & 7) +
                       std::to_string(access.mode & 7);
    text += access.owner ? " owner " + std::to_string(*access.owner) : "";
    text += access.group ? " group " + std::to_string(*access.group) : "";
    for (const Reader& reader : access.readers)
        text += (reader.kind == Reader::Kind::User ? " u:" : " g:") + std::to_string(reader.id);
    return text;
}

#define EXPECT_ACCESS(got, want) EXPECT_EQ(describe(got), describe(want))

TEST(Readership, HasAFsUserOnlyWhenAllContainersShareOne) {
    struct Case {
        std::string_view name;
        Id pod;
        std::vector<Id> init, main, ephemeral;
        std::optional<uid_t> want;
    };
    const Case cases[] = {
        {"no container has one", {}, {}, {{}}, {}, {}},
        {"the Pod's counts for all", 1000, {{}}, {{}, {}}, {{}}, 1000},
        {"a container's beats the Pod's", 1000, {}, {2000}, {}, 2000},
        {"two containers agree", {}, {}, {7, 7}, {}, 7},
        {"two containers differ", {}, {}, {7, 8}, {}, {}},
        {"a container differs from the Pod's, another has that", 1000, {}, {2000, {}}, {}, {}},
        {"one of them has none", {}, {}, {7, {}}, {}, {}},
        {"one between others has none", {}, {}, {7, {}, 7}, {}, {}},
        {"root is a user", {}, {}, {0}, {}, 0},
        {"an init container differs", {}, {8}, {7}, {}, {}},
        {"an ephemeral container differs", {}, {}, {7}, {8}, {}},
        {"an ephemeral container has none", {}, {}, {7}, {{}}, {}},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        kube::Pod pod;
        pod.run_as_user = c.pod;
        for (const Id& id : c.init)
            pod.init_containers.push_back(container(id));
        for (const Id& id : c.main)
            pod.containers.push_back(container(id));
        for (const Id& id : c.ephemeral)
            pod.ephemeral_containers.push_back(container(id));
        const Result<Readership> who = readership(pod);
        ASSERT_TRUE(who);
        EXPECT_EQ(who->fs_user, c.want);
    }
}

TEST(Readership, TakesNothingFromSupplementalGroups) {
    kube::Pod pod;
    pod.containers = {container({})};
    pod.supplemental_groups = {33};
    EXPECT_EQ(readership(pod), Readership());
}

TEST(Readership, ReadsTheReadersAnnotation) {
    struct Case {
        std::string annotation;
        std::vector<Reader> want;
    };
    const Case cases[] = {
        {"", {}},
        {"uid:1000", {user(1000)}},
        {"uid:1000,gid:33", {user(1000), group(33)}},
        {" gid:33 , uid:0 ", {user(0), group(33)}},
        {"gid:33,gid:33,gid:7", {group(7), group(33)}},
        {"uid:2147483647", {user(2147483647)}},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.annotation);
        kube::Pod pod;
        pod.meta.annotations[kReadersAnnotation] = c.annotation;
        const Result<Readership> who = readership(pod);
        ASSERT_TRUE(who) << who.error().what;
        EXPECT_EQ(who->readers, c.want);
    }
}

constexpr unsigned kAlice = 1000;
constexpr unsigned kAlicesGroup = 100;

IdMap alices_map() {
    return {.users = {{0, kAlice, 1}, {1, 300000, 65536}}, .groups = {{0, kAlicesGroup, 1}, {1, 700000, 65536}}};
}

TEST(Readership, MeansTheHostsIdsWhereAMapLiesBetween) {
    kube::Pod pod;
    pod.containers = {container(1000)};
    pod.fs_group = 2000;
    pod.meta.annotations[kReadersAnnotation] = "uid:33";
    const IdMap map = alices_map();
    const Result<Readership> who = readership(pod, &map);
    ASSERT_TRUE(who) << who.error().what;
    EXPECT_ACCESS(token_access(*who, Ownership::Chown, 0644), chowned(0640, 300999, 701999, {user(33)}))
        << "readers are named as the host knows them";
    EXPECT_ACCESS(token_access(*who, Ownership::Acl, 0644), listed(0600, {user(33), user(300999), group(701999)}));
    EXPECT_EQ(directory_access(*who, Ownership::Chown).group, 701999U);
    pod = {};
    pod.containers = {container({})};
    const Readership nobody = *readership(pod, &map);
    EXPECT_ACCESS(object_access(nobody, Ownership::Chown, 0440), chowned(0440, kAlice, kAlicesGroup));
    EXPECT_ACCESS(object_access(nobody, Ownership::Acl, 0440), listed(0400, {user(kAlice), group(kAlicesGroup)}));
    EXPECT_ACCESS(token_access(nobody, Ownership::Chown, 0400), chowned(0400, kAlice, kAlicesGroup));
}

TEST(Readership, RefusesAnIdThatTheMapHasNot) {
    const IdMap map = alices_map();
    kube::Pod pod;
    pod.containers = {container(65537)};
    EXPECT_EQ(readership(pod, &map).error().what,
              "spec.securityContext.runAsUser: 65537 is none of the container's ids, which end at 65536");
    pod.containers = {container(65536)};
    EXPECT_EQ(readership(pod, &map)->fs_user, 365535U);
    pod.fs_group = 70000;
    EXPECT_EQ(readership(pod, &map).error().what,
              "spec.securityContext.fsGroup: 70000 is none of the container's ids, which end at 65536");
}

TEST(Readership, RefusesWhatIsNoId) {
    for (std::string_view text : {"1000", "uid:", "uid:x", "uid:-1", "uid:1000x", "uid:2147483648", "user:1", "uid:1,",
                                  ",uid:1", "uid:1 gid:2", "uid", "uid: 1", "uid:99999999999999999999"}) {
        SCOPED_TRACE(text);
        kube::Pod pod;
        pod.meta.annotations[kReadersAnnotation] = text;
        const Result<Readership> who = readership(pod);
        ASSERT_FALSE(who);
        EXPECT_EQ(who.error().code, Errc::Invalid);
        EXPECT_TRUE(who.error().what.starts_with("metadata.annotations['tokenlet.dev/readers']: '"))
            << who.error().what;
    }
    kube::Pod pod;
    pod.fs_group = std::int64_t{1} << 32;  // would be root's group, cut to 32 bits
    EXPECT_EQ(readership(pod).error().what, "spec.securityContext.fsGroup: 4294967296 is not between 0 and 2147483647");
    pod.fs_group = {};
    pod.containers = {container(-1)};
    EXPECT_EQ(readership(pod).error().what, "spec.securityContext.runAsUser: -1 is not between 0 and 2147483647");
}

TEST(TokenAccess, IsTheKubeletsOrGrantsTheSameReadersByList) {
    struct Case {
        std::string_view name;
        Readership who;
        mode_t default_mode;
        Access chown, acl;
    };
    const Case cases[] = {
        {"nobody named: defaultMode", {}, 0644, chowned(0644, 0, 0), listed(0644)},
        {"nobody named, a private defaultMode: root", {}, 0400, chowned(0400, 0, 0), listed(0400, {user(0)})},
        {"nobody named, a mode for a group: root's group",
         {},
         0440,
         chowned(0440, 0, 0),
         listed(0400, {user(0), group(0)})},
        {"a user: 0600, defaultMode ignored", {1000, {}, {}}, 0644, chowned(0600, 1000, 0), listed(0600, {user(1000)})},
        {"root is a user", {0, {}, {}}, 0644, chowned(0600, 0, 0), listed(0600, {user(0)})},
        {"a group: 0640", {{}, 2000, {}}, 0644, chowned(0640, 0, 2000), listed(0600, {user(0), group(2000)})},
        {"both", {1000, 2000, {}}, 0444, chowned(0640, 1000, 2000), listed(0600, {user(1000), group(2000)})},
        {"root's group is a group", {1000, 0, {}}, 0644, chowned(0640, 1000, 0), listed(0600, {user(1000), group(0)})},
        {"named readers take it from everybody else",
         {{}, {}, {user(7), group(33)}},
         0644,
         chowned(0600, 0, 0, {user(7), group(33)}),
         listed(0600, {user(0), user(7), group(33)})},
        {"named readers besides user and group",
         {1000, 2000, {group(33)}},
         0644,
         chowned(0640, 1000, 2000, {group(33)}),
         listed(0600, {user(1000), group(33), group(2000)})},
        {"a reader that is there already",
         {1000, {}, {user(1000)}},
         0644,
         chowned(0600, 1000, 0, {user(1000)}),
         listed(0600, {user(1000)})},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_ACCESS(token_access(c.who, Ownership::Chown, c.default_mode), c.chown);
        EXPECT_ACCESS(token_access(c.who, Ownership::Acl, c.default_mode), c.acl);
    }
}

TEST(ObjectAccess, IsTheKubeletsOrGrantsTheSameReadersByList) {
    struct Case {
        std::string_view name;
        Readership who;
        mode_t mode;
        Access chown, acl;
    };
    const Case cases[] = {
        {"everybody reads", {}, 0644, chowned(0644, 0, 0), listed(0644)},
        {"a user never owns these", {1000, {}, {}}, 0400, chowned(0400, 0, 0), listed(0400, {user(0)})},
        {"a group is let in, a private mode too",
         {{}, 2000, {}},
         0400,
         chowned(0440, 0, 2000),
         listed(0400, {user(0), group(2000)})},
        {"a group and everybody", {{}, 2000, {}}, 0644, chowned(0644, 0, 2000), listed(0644)},
        {"a group adds to no mode at all",
         {{}, 2000, {}},
         0,
         chowned(0440, 0, 2000),
         listed(0400, {user(0), group(2000)})},
        {"nobody reads, but the agent must compare", {}, 0, chowned(0, 0, 0), listed(0400)},
        {"a script for everybody", {}, 0755, chowned(0755, 0, 0), listed(0755)},
        {"a script for a group: read is all that a list says",
         {{}, 2000, {}},
         0750,
         chowned(0750, 0, 2000),
         listed(0700, {user(0), group(2000)})},
        {"everybody writes", {}, 0666, chowned(0666, 0, 0), listed(0666)},
        {"others read, the group must not: narrowed", {}, 0604, chowned(0604, 0, 0), listed(0600, {user(0)})},
        {"others write, the group must not: narrowed", {}, 0646, chowned(0646, 0, 0), listed(0644)},
        {"only others read: narrowed to nobody", {}, 0004, chowned(0004, 0, 0), listed(0400)},
        {"the group writes", {}, 0664, chowned(0664, 0, 0), listed(0644)},
        {"named readers add to the mode",
         {{}, {}, {user(7)}},
         0400,
         chowned(0400, 0, 0, {user(7)}),
         listed(0400, {user(0), user(7)})},
        {"named readers read anyway", {{}, {}, {user(7)}}, 0644, chowned(0644, 0, 0), listed(0644)},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_ACCESS(object_access(c.who, Ownership::Chown, c.mode), c.chown);
        EXPECT_ACCESS(object_access(c.who, Ownership::Acl, c.mode), c.acl);
    }
}

TEST(ObjectAccess, NeverLetsOthersDoMoreThanTheModeSays) {
    for (mode_t mode = 0; mode <= 0777; ++mode) {
        for (const Readership& who : {Readership(), Readership{{}, 2000, {}}}) {
            const Access kubelet = object_access(who, Ownership::Chown, mode);
            const Access ours = object_access(who, Ownership::Acl, mode);
            EXPECT_EQ(ours.mode & 07 & ~kubelet.mode, 0u) << mode;
            EXPECT_EQ(ours.mode >> 3 & 07, ours.mode & 07) << "the agent's group are others";
            for (const Reader& reader : ours.readers) {
                const bool by_user = reader == user(0) && (kubelet.mode & 0400) != 0;
                const bool by_group = reader == group(kubelet.group.value_or(0)) && (kubelet.mode & 0040) != 0;
                EXPECT_TRUE(by_user || by_group) << mode;
            }
        }
    }
}

TEST(DirectoryAccess, LetsEverybodyThroughAndStaysTheAgents) {
    const Readership with_group{1000, 2000, {}};
    EXPECT_ACCESS(directory_access({}, Ownership::Chown), listed(0755));
    EXPECT_ACCESS(directory_access(with_group, Ownership::Acl), listed(0755));
    EXPECT_ACCESS(directory_access(with_group, Ownership::Chown),
                  (Access{.mode = 0755, .owner = {}, .group = 2000, .readers = {}}));
}

}  // namespace
}  // namespace tokenlet::projector
