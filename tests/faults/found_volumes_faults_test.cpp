// SPDX-License-Identifier: Apache-2.0
// An error at every system call of the look at what an earlier run left.
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "agent/shell/found_volumes.h"
#include "agent/shell/volume_store.h"
#include "tests/fsatomic/scratch.h"
#include "tests/fsatomic/traced_child.h"

namespace tokenlet::agent {
namespace {

constexpr int kNotFound = 2;

TEST(FindVolumesFaults, NoErrorHidesAVolumeWhosePodMayHaveLeft) {
    if (!fsatomic::can_trace())
        GTEST_SKIP() << "NOT TESTED: system calls cannot be counted here (not x86-64, or no ptrace)";
    const fsatomic::Scratch scratch(fsatomic::kTmpfs);
    Volumes settings;
    settings.root = scratch.at("pods");
    settings.by_name = scratch.at("by-name");
    VolumeStore store = *VolumeStore::open(settings, [] { return 1; });
    PublishVolume command{
        .path = {.pod_uid = "uid-1", .plugin_directory = "kubernetes.io~projected", .volume = "api", .direct = ""},
        .names = {},
        .payload = {},
        .record = {.pod_uid = "uid-1", .ns = "shop", .pod = "web", .volume = "api", .boot_id = "b", .tokens = {}},
        .keep = {}};
    command.payload.files["token"].bytes.append("t");
    ASSERT_TRUE(store.publish(command, WallTime(std::chrono::seconds(1'800'000'000))));

    const auto look = [&] {
        const Result<Found> found = find_volumes(store.root(), {});
        if (!found)
            return 1;  // the agent does not start
        return found->volumes.size() != 1 ? kNotFound : 0;
    };
    for (const int os_errno : {EIO, EACCES, EMFILE}) {
        int at = 0;
        for (bool reached = true; reached; ++at) {
            const fsatomic::Traced traced = fsatomic::run_traced(look, at, fsatomic::Fate::Fail, os_errno);
            reached = traced.reached;
            EXPECT_TRUE(traced.exit_code == 0 || traced.exit_code == 1)
                << "errno " << os_errno << " at call " << at << ", number " << traced.call << ": " << traced.exit_code;
        }
        EXPECT_GT(at, 15);
    }
}

}  // namespace
}  // namespace tokenlet::agent
