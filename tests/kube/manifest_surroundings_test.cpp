// SPDX-License-Identifier: Apache-2.0
// The manifest directory under other users, mounts and limits, each in a child process of its own.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>

#include "tests/kube/manifest_files.h"

namespace tokenlet::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

void write_or_skip(const char* path, const std::string& text) {
    const UniqueFd file(::open(path, O_WRONLY | O_CLOEXEC));
    if (!file || ::write(file.get(), text.data(), text.size()) < 0)
        ::_exit(kSkipChild);
}

// A mount table of one's own; leaves the child where the kernel or a container forbids it.
void enter_private_mounts() {
    const uid_t user = ::geteuid();
    const gid_t group = ::getegid();
    if (::unshare(CLONE_NEWNS | (user == 0 ? 0 : CLONE_NEWUSER)) < 0)
        ::_exit(kSkipChild);
    if (user != 0) {
        write_or_skip("/proc/self/setgroups", "deny");
        write_or_skip("/proc/self/uid_map", "0 " + std::to_string(user) + " 1");
        write_or_skip("/proc/self/gid_map", "0 " + std::to_string(group) + " 1");
    }
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0)
        ::_exit(kSkipChild);
}

// In a user namespace the parents' owners look strange.
constexpr ManifestDirectoryOptions kAnyModes{.modes = Modes::Any};

void become_nobody(const ManifestFiles& files) {
    if (::geteuid() != 0)
        return;
    constexpr uid_t kNobody = 65534;
    must(::chown(files.top().c_str(), kNobody, kNobody) == 0, "chown");
    must(::chown(files.path().c_str(), kNobody, kNobody) == 0, "chown");
    must(::setgid(kNobody) == 0 && ::setuid(kNobody) == 0, "setuid");
}

#define EXPECT_CHILD_PASSES(...)                        \
    const int child_status = run_in_child(__VA_ARGS__); \
    if (child_status == kSkipChild)                     \
        GTEST_SKIP() << "NOT TESTED: not allowed here"; \
    EXPECT_EQ(child_status, 0)

TEST(ManifestSurroundings, ADiskMountedLateIsSeenAndAnUnmountedOneTakesNothingAlong) {
    const ManifestFiles files;
    EXPECT_CHILD_PASSES([&] {
        enter_private_mounts();
        files.write("under", pod_text("under"));
        Watched watched(files.path(), kAnyModes);
        watched.settle();
        const std::string path = files.path();
        must(::mount("none", path.c_str(), "tmpfs", 0, nullptr) == 0, "mount");
        EXPECT_TRUE(watched.look()) << "inotify does not tell of a mount";
        EXPECT_TRUE(watched.changes.directory_changed);
        EXPECT_THAT(watched.set.absent(), ElementsAre(pod_id("under")));
        files.write("over", pod_text("over"));
        EXPECT_TRUE(watched.look());
        EXPECT_THAT(watched.changes.changed, ElementsAre(pod_id("over")));

        must(::umount(path.c_str()) == 0, "umount: nothing may be held open");
        EXPECT_TRUE(watched.look());
        EXPECT_TRUE(watched.changes.directory_changed) << "by which removals are held";
        EXPECT_THAT(watched.changes.returned, ElementsAre(pod_id("under")));
        EXPECT_NE(watched.set.pod({"shop", "over"}), nullptr);
    });
}

TEST(ManifestSurroundings, AMountOnAParentIsSeen) {
    const ManifestFiles files;
    EXPECT_CHILD_PASSES([&] {
        enter_private_mounts();
        files.write("web", pod_text("web"));
        Watched watched(files.path(), kAnyModes);
        watched.settle();
        must(::mount("none", files.top().c_str(), "tmpfs", 0, nullptr) == 0, "mount");
        EXPECT_TRUE(watched.look());
        EXPECT_FALSE(watched.changes.complete);
        EXPECT_THAT(watched.set.absent(), IsEmpty());
        must(::umount(files.top().c_str()) == 0, "umount");
        EXPECT_TRUE(watched.look());
        EXPECT_TRUE(watched.changes.complete);
        EXPECT_EQ(watched.problems(), "");
    });
}

TEST(ManifestSurroundings, AReadOnlyMountExcusesItsModes) {
    const ManifestFiles files;
    EXPECT_CHILD_PASSES([&] {
        if (::geteuid() != 0)
            ::_exit(kSkipChild);
        enter_private_mounts();
        // As a ConfigMap volume looks from inside a container.
        files.write("web", pod_text("web"));
        must(::chmod(files.path().c_str(), 0777) == 0, "chmod");
        Watched watched(files.path(), {.agent_uid = ::geteuid()});
        watched.settle();
        EXPECT_THAT(watched.problems(), HasSubstr("chmod go-w"));
        const std::string path = files.path();
        must(::mount(path.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) == 0, "mount");
        must(::mount("none", path.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0, "remount");
        watched.resync();
        EXPECT_EQ(watched.problems(), "");
        EXPECT_EQ(watched.set.pods().size(), 1U);
    });
}

TEST(ManifestSurroundings, ADirectoryThatMayNotBeReadTakesNothingAlong) {
    const ManifestFiles files;
    EXPECT_CHILD_PASSES([&] {
        become_nobody(files);
        files.write("web", pod_text("web"));
        Watched watched(files.path());
        watched.settle();
        EXPECT_EQ(watched.problems(), "");
        must(::chmod(files.path().c_str(), 0) == 0, "chmod");
        EXPECT_TRUE(watched.look());
        EXPECT_FALSE(watched.changes.complete);
        EXPECT_THAT(watched.problems(), HasSubstr("open(" + files.path() + "): Permission denied"));
        EXPECT_THAT(watched.set.absent(), IsEmpty());
        must(::chmod(files.path().c_str(), 0755) == 0, "chmod");
        EXPECT_TRUE(watched.look()) << "seen through the parent: what cannot be read cannot be watched";
        EXPECT_EQ(watched.problems(), "");
        files.write("late", pod_text("late"));
        EXPECT_TRUE(watched.look());

        must(::chmod(files.path().c_str(), 0444) == 0, "chmod");
        watched.settle();
        EXPECT_THAT(watched.problems(), HasSubstr("Permission denied")) << "to be listed it must be entered";
        EXPECT_THAT(watched.set.absent(), IsEmpty());
        must(::chmod(files.path().c_str(), 0755) == 0, "chmod");
        watched.settle();
        EXPECT_EQ(watched.problems(), "");
    });
}

TEST(ManifestSurroundings, AFileThatMayNotBeReadKeepsItsPodAndHoldsUpNoOther) {
    const ManifestFiles files;
    EXPECT_CHILD_PASSES([&] {
        become_nobody(files);
        files.write("web", pod_text("web"));
        files.write("api", pod_text("api"));
        Watched watched(files.path());
        watched.settle();
        must(::chmod((files / "web").c_str(), 0) == 0, "chmod");
        EXPECT_TRUE(watched.look());
        must(::unlink((files / "api").c_str()) == 0, "unlink");
        EXPECT_TRUE(watched.look());
        EXPECT_TRUE(watched.changes.complete);
        EXPECT_THAT(watched.set.absent(), ElementsAre(pod_id("api")));
        EXPECT_THAT(watched.problems(), HasSubstr("Permission denied; the last good version stays in use"));
        EXPECT_FALSE(watched.directory.inotify_trusted()) << "not every right that is given back makes an event";
        must(::chmod((files / "web").c_str(), 0644) == 0, "chmod");
        EXPECT_TRUE(watched.look());
        EXPECT_EQ(watched.problems(), "");
        EXPECT_TRUE(watched.directory.inotify_trusted());
    });
}

TEST(ManifestSurroundings, WithoutInotifyItWorksByResyncAlone) {
    const ManifestFiles files;
    EXPECT_CHILD_PASSES([&] {
        // The limit of a user namespace of its own: nobody else notices.
        if (::unshare(CLONE_NEWUSER) < 0)
            ::_exit(kSkipChild);
        write_or_skip("/proc/sys/user/max_inotify_instances", "0");
        Watched blind(files.path(), kAnyModes);
        blind.settle();
        EXPECT_FALSE(blind.directory.inotify_trusted());
        files.write("web", pod_text("web"));
        EXPECT_FALSE(blind.look());
        blind.resync();
        EXPECT_NE(blind.set.pod({"shop", "web"}), nullptr);
    });
}

}  // namespace
}  // namespace tokenlet::kube
