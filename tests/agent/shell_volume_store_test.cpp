// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/volume_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "agent/shell/found_volumes.h"
#include "agent/shell/record_file.h"
#include "agent/shell/token_hash.h"
#include "tests/fsatomic/child.h"
#include "tests/fsatomic/scratch.h"

namespace tokenlet::agent {
namespace {

namespace fs = std::filesystem;
using fsatomic::Scratch;

const VolumePath kPath{.pod_uid = "uid-1", .plugin_directory = "kubernetes.io~projected", .volume = "api"};
const VolumeName kName{.ns = "shop", .pod = "web", .name = "api"};
constexpr WallTime kNow{std::chrono::seconds(1'800'000'000)};

class VolumeStoreOn : public testing::TestWithParam<const char*> {
protected:
    Result<VolumeStore> open(MemoryRule memory = MemoryRule::Ignore) {
        Volumes settings;
        settings.root = root();
        settings.by_name = scratch_.at("by-name");
        settings.memory = memory;
        return VolumeStore::open(settings, [this] { return ++digits_; });
    }

    static PublishVolume publish_of(std::string_view token) {
        PublishVolume command{.path = kPath, .names = {kName}, .payload = {}, .record = {}, .keep = {}};
        command.payload.files["token"].bytes.append(token);
        TokenRecord record;
        record.path = "token";
        record.times.ttl = std::chrono::hours(1);
        command.record = {
            .pod_uid = "uid-1", .ns = "shop", .pod = "web", .volume = "api", .boot_id = "b", .tokens = {record}};
        return command;
    }

    [[nodiscard]] std::string root() const { return scratch_.at("run/pods"); }
    [[nodiscard]] std::string volume() const { return root() + "/" + kPath.str(); }
    [[nodiscard]] std::string link() const { return scratch_.at("by-name/shop/web/api"); }
    [[nodiscard]] std::string record() const { return root() + "/uid-1/records/kubernetes.io~projected~api.json"; }

    static mode_t mode_of(const std::string& path) {
        struct stat status{};
        EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
        return status.st_mode & 07777;
    }
    static ino_t inode_of(const std::string& path) {
        struct stat status{};
        EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
        return status.st_ino;
    }

    Scratch scratch_{GetParam()};
    std::uint64_t digits_ = 0;
};

INSTANTIATE_TEST_SUITE_P(FileSystems, VolumeStoreOn, testing::Values(fsatomic::kTmpfs, fsatomic::kDisk),
                         fsatomic::file_system_name);

TEST_P(VolumeStoreOn, TellsOfDamageAlsoAfterASweep) {
    VolumeStore store = *open();
    ASSERT_TRUE(store.publish(publish_of("first"), kNow));
    ASSERT_TRUE(store.sweep({.path = kPath, .keep = {}}));
    std::ofstream(volume() + "/token") << "forged";
    const auto outcome = store.publish(publish_of("first"), kNow);
    ASSERT_TRUE(outcome) << outcome.error().what;
    EXPECT_TRUE(outcome->repaired);
    EXPECT_TRUE(outcome->wrote);
}

TEST_P(VolumeStoreOn, MakesWhatIsMissingAndLetsReadersPass) {
    ASSERT_TRUE(open());
    EXPECT_EQ(mode_of(scratch_.at("run")), 0711U);
    EXPECT_EQ(mode_of(root()), 0711U);
    EXPECT_EQ(mode_of(scratch_.at("by-name")), 0755U);
}

TEST_P(VolumeStoreOn, LeavesTheModeOfARootThatExists) {
    fs::create_directories(root());
    ASSERT_EQ(::chmod(root().c_str(), 0751), 0);
    ASSERT_TRUE(open());
    EXPECT_EQ(mode_of(root()), 0751U);
}

TEST_P(VolumeStoreOn, RefusesADiskWhereMemoryIsRequired) {
    const auto store = open(MemoryRule::Require);
    if (GetParam() == fsatomic::kTmpfs) {
        EXPECT_TRUE(store);
        return;
    }
    ASSERT_FALSE(store);
    EXPECT_NE(store.error().what.find("lies on a disk, and volumes.memory is require"), std::string::npos);
}

TEST_P(VolumeStoreOn, PublishesFilesRecordAndName) {
    auto store = *open();
    const auto outcome = store.publish(publish_of("first"), kNow);
    ASSERT_TRUE(outcome) << outcome.error().what;
    EXPECT_TRUE(outcome->wrote);
    EXPECT_EQ(fsatomic::read_whole(volume() + "/token"), "first");
    EXPECT_EQ(fsatomic::read_whole(link() + "/token"), "first");
    EXPECT_TRUE(fs::read_symlink(link()).is_relative());
    EXPECT_EQ(mode_of(volume()), 0755U);
    for (fs::path above = fs::path(volume()).parent_path(); above != scratch_.at("run"); above = above.parent_path())
        EXPECT_EQ(mode_of(above), 0711U) << above;
    const auto known = read_record(store.root(), kPath);
    ASSERT_TRUE(known) << known.error().what;
    EXPECT_EQ(known->tokens.at(0).sha256, sha256_hex("first"));
    EXPECT_EQ(mode_of(record()), 0600U);
}

TEST_P(VolumeStoreOn, WritesNothingWhenNothingChangedNotEvenAfterARestart) {
    ino_t file = 0, known = 0;
    {
        auto store = *open();
        ASSERT_TRUE(store.publish(publish_of("first"), kNow));
        file = inode_of(volume() + "/token");
        known = inode_of(record());
        const auto again = store.publish(publish_of("first"), kNow);
        ASSERT_TRUE(again);
        EXPECT_FALSE(again->wrote);
    }
    auto restarted = *open();
    const auto outcome = restarted.publish(publish_of("first"), kNow);
    ASSERT_TRUE(outcome);
    EXPECT_FALSE(outcome->wrote);
    EXPECT_EQ(inode_of(volume() + "/token"), file);
    EXPECT_EQ(inode_of(record()), known);
}

TEST_P(VolumeStoreOn, KeepsTheReplacedGenerationUntilTheSweep) {
    auto store = *open();
    const auto first = store.publish(publish_of("first"), kNow);
    const auto second = store.publish(publish_of("second"), kNow);
    ASSERT_TRUE(first && second);
    EXPECT_EQ(second->older, std::vector{first->generation});
    EXPECT_EQ(fsatomic::read_whole(volume() + "/" + first->generation + "/token"), "first");

    ASSERT_TRUE(store.sweep({.path = kPath, .keep = {first->generation}}));
    EXPECT_TRUE(fs::exists(volume() + "/" + first->generation)) << "its grace time is not over";
    ASSERT_TRUE(store.sweep({.path = kPath, .keep = {}}));
    EXPECT_FALSE(fs::exists(volume() + "/" + first->generation));
    const auto third = store.publish(publish_of("third"), kNow);
    ASSERT_TRUE(store.sweep({.path = kPath, .keep = {}})) << "and again, by what the store remembers";
    EXPECT_FALSE(fs::exists(volume() + "/" + second->generation));
    EXPECT_EQ(fsatomic::read_whole(volume() + "/token"), "third");
}

TEST_P(VolumeStoreOn, SweepsWhatAnEarlierRunLeftBehind) {
    std::string old;
    {
        auto store = *open();
        old = store.publish(publish_of("first"), kNow)->generation;
        ASSERT_TRUE(store.publish(publish_of("second"), kNow));
    }
    auto store = *open();
    const auto outcome = store.publish(
        [] {
            PublishVolume command = publish_of("second");
            command.keep = {"..2027_01_15_08_00_00.1"};
            return command;
        }(),
        kNow);
    ASSERT_TRUE(outcome) << outcome.error().what;
    ASSERT_TRUE(store.sweep({.path = kPath, .keep = {}}));
    EXPECT_FALSE(fs::exists(volume() + "/" + old));
    EXPECT_EQ(fsatomic::read_whole(volume() + "/token"), "second");
}

TEST_P(VolumeStoreOn, RemovesAVolumeWithoutATraceOfItsPod) {
    auto store = *open();
    ASSERT_TRUE(store.publish(publish_of("first"), kNow));
    ASSERT_TRUE(store.remove({.path = kPath, .names = {kName}}));
    EXPECT_TRUE(fs::is_empty(root()));
    EXPECT_TRUE(fs::is_empty(scratch_.at("by-name")));
    EXPECT_TRUE(store.remove({.path = kPath, .names = {kName}})) << "absent is fine";
}

TEST_P(VolumeStoreOn, LeavesTheOtherVolumesOfThePod) {
    auto store = *open();
    PublishVolume other = publish_of("other");
    other.path.volume = "other";
    other.names = {};
    ASSERT_TRUE(store.publish(publish_of("first"), kNow));
    ASSERT_TRUE(store.publish(other, kNow));
    ASSERT_TRUE(store.remove({.path = kPath, .names = {kName}}));
    EXPECT_EQ(fsatomic::read_whole(root() + "/" + other.path.str() + "/token"), "other");
    EXPECT_TRUE(read_record(store.root(), other.path));
}

TEST_P(VolumeStoreOn, LeavesANameThatHasCometoMeanAnotherPod) {
    auto store = *open();
    ASSERT_TRUE(store.publish(publish_of("first"), kNow));
    PublishVolume successor = publish_of("second");
    successor.path.pod_uid = "uid-2";
    ASSERT_TRUE(store.publish(successor, kNow));
    EXPECT_EQ(fsatomic::read_whole(link() + "/token"), "second");
    ASSERT_TRUE(store.remove({.path = kPath, .names = {kName}}));
    EXPECT_EQ(fsatomic::read_whole(link() + "/token"), "second");
}

TEST_P(VolumeStoreOn, LeadsNamesRightWhereTheRootIsReachedThroughALink) {
    fs::create_directories(scratch_.at("real"));
    fs::create_directory_symlink(scratch_.at("real"), scratch_.at("run"));
    auto store = *open();
    ASSERT_TRUE(store.publish(publish_of("first"), kNow));
    EXPECT_EQ(fsatomic::read_whole(link() + "/token"), "first");
}

TEST_P(VolumeStoreOn, SaysWhatStandsInTheWayAndLeavesIt) {
    auto store = *open();
    fs::create_directories(root() + "/uid-1/volumes");
    std::ofstream(root() + "/uid-1/volumes/kubernetes.io~projected") << "mine";
    const auto outcome = store.publish(publish_of("first"), kNow);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().what.rfind("volume directory: ", 0), 0U) << outcome.error().what;
    EXPECT_EQ(fsatomic::read_whole(root() + "/uid-1/volumes/kubernetes.io~projected"), "mine");
}

TEST_P(VolumeStoreOn, TellsWhichDirectoryOnTheWayWasDamaged) {
    VolumeStore store = *open();
    ASSERT_FALSE(store.publish(publish_of("first"), kNow)->repaired);
    for (const std::string path : {"uid-1", "uid-1/volumes", "uid-1/volumes/kubernetes.io~projected/api"}) {
        fs::permissions(root() + "/" + path, fs::perms::owner_all);
        const auto outcome = store.publish(publish_of("first"), kNow);
        ASSERT_TRUE(outcome) << outcome.error().what;
        EXPECT_TRUE(outcome->repaired);
        EXPECT_EQ(outcome->reason, path + ": mode differs");
        EXPECT_FALSE(store.publish(publish_of("first"), kNow)->repaired);
    }
}

// Somebody has mounted something over a directory of ours, and something that looks like ours lies there.
TEST_P(VolumeStoreOn, TouchesNothingThatIsMountedOverIt) {
    for (const std::string path : {"uid-1", "uid-1/volumes", "uid-1/volumes/kubernetes.io~projected/api"}) {
        SCOPED_TRACE(path);
        ASSERT_TRUE(open()->publish(publish_of("first"), kNow));
        const std::string found = fsatomic::in_child([&]() -> std::string {
            if (!fsatomic::private_mounts() || ::mount("t", (root() + "/" + path).c_str(), "tmpfs", 0, "mode=0700") < 0)
                return fsatomic::kSkip;
            const std::string precious = volume() + "/..2026_11_24_06_00_00.1/precious";
            fs::create_directories(fs::path(precious).parent_path());
            fs::create_directories(fs::path(record()).parent_path());
            std::ofstream(precious) << "bytes";
            std::ofstream(record()) << "bytes";
            VolumeStore store = *open();
            if (store.publish(publish_of("second"), kNow))
                return "published there";
            const auto earlier = find_volumes(store.root(), {});
            if (!earlier || earlier->problems.empty())
                return "looked in there";
            if (store.sweep({.path = kPath, .keep = {}}))
                return "swept there";
            if (store.remove({.path = kPath, .names = {kName}}))
                return "removed there";
            if (mode_of(root() + "/" + path) != 0700 || fsatomic::read_whole(precious) != "bytes")
                return "something was changed";
            return path != "uid-1" || fsatomic::read_whole(record()) == "bytes" ? "" : "the record was changed";
        });
        if (found == fsatomic::kSkip)
            GTEST_SKIP() << "NOT TESTED: needs the right to mount";
        EXPECT_EQ(found, "");
        fs::remove_all(root());
    }
}

TEST_P(VolumeStoreOn, IsFoundAgainWithItsTokens) {
    {
        auto store = *open();
        ASSERT_TRUE(store.publish(publish_of("first"), kNow));
        ASSERT_TRUE(store.publish(publish_of("second"), kNow));
    }
    auto store = *open();
    const auto found = find_volumes(store.root(), {});
    ASSERT_TRUE(found);
    ASSERT_EQ(found->volumes.size(), 1U);
    const FoundVolume& volume = found->volumes.front();
    EXPECT_EQ(volume.path, kPath);
    EXPECT_EQ(volume.older.size(), 1U);
    ASSERT_TRUE(volume.record);
    EXPECT_EQ(volume.record->pod, "web");
    ASSERT_EQ(volume.files.size(), 1U);
    EXPECT_EQ(volume.files[0].first, "token");
    EXPECT_EQ(volume.files[0].second.view(), "second");
    EXPECT_TRUE(found->foreign.empty());
    EXPECT_TRUE(found->problems.empty());
}

TEST_P(VolumeStoreOn, IsFoundWithoutATokenThatSomebodyChanged) {
    auto store = *open();
    ASSERT_TRUE(store.publish(publish_of("first"), kNow));
    std::ofstream(volume() + "/token") << "forged";
    const auto found = find_volumes(store.root(), {});
    ASSERT_TRUE(found);
    ASSERT_EQ(found->volumes.size(), 1U);
    EXPECT_TRUE(found->volumes[0].record);
    EXPECT_TRUE(found->volumes[0].files.empty());
}

TEST_P(VolumeStoreOn, IsFoundWithoutARecordThatCannotBeRead) {
    auto store = *open();
    ASSERT_TRUE(store.publish(publish_of("first"), kNow));
    std::ofstream(record()) << "junk";
    const auto found = find_volumes(store.root(), {});
    ASSERT_TRUE(found);
    ASSERT_EQ(found->volumes.size(), 1U);
    EXPECT_FALSE(found->volumes[0].record);
    ASSERT_EQ(found->problems.size(), 1U);
    EXPECT_EQ(found->problems[0].rfind(kPath.str() + ": ", 0), 0U) << found->problems[0];
}

TEST_P(VolumeStoreOn, IsFoundWhenOnlyItsRecordIsLeft) {
    auto store = *open();
    ASSERT_TRUE(store.publish(publish_of("first"), kNow));
    fs::remove_all(volume());
    const auto found = find_volumes(store.root(), {});
    ASSERT_TRUE(found);
    ASSERT_EQ(found->volumes.size(), 1U) << "a removal that was cut short has to be taken up again";
    EXPECT_TRUE(found->volumes[0].record);
}

TEST_P(VolumeStoreOn, LeavesNoEmptyDirectoriesOfAPodBehind) {
    auto store = *open();
    fs::create_directories(root() + "/uid-1/volumes/kubernetes.io~projected");
    fs::create_directories(root() + "/uid-2/records");
    fs::create_directories(root() + "/uid-3/volumes/kubernetes.io~secret");
    fs::create_directories(root() + "/uid-3/somebody's");
    fs::create_directories(root() + "/uid-4");
    const auto found = find_volumes(store.root(), {});
    ASSERT_TRUE(found);
    EXPECT_TRUE(found->problems.empty());
    EXPECT_FALSE(fs::exists(root() + "/uid-1"));
    EXPECT_FALSE(fs::exists(root() + "/uid-2"));
    EXPECT_TRUE(fs::exists(root() + "/uid-3/somebody's"));
    EXPECT_FALSE(fs::exists(root() + "/uid-4"));
}

TEST_P(VolumeStoreOn, LeavesStrangersAloneAndFollowsNoLink) {
    auto store = *open();
    fs::create_directories(root() + "/not a uid/volumes/kubernetes.io~projected/x");
    fs::create_directories(root() + "/uid-9/volumes/kubernetes.io~empty-dir/cache");
    fs::create_directories(root() + "/uid-9/volumes/kubernetes.io~projected/Not_A_Volume");
    fs::create_directories(scratch_.at("elsewhere/kubernetes.io~projected/stolen"));
    fs::create_directories(root() + "/uid-8");
    fs::create_directory_symlink(scratch_.at("elsewhere"), root() + "/uid-8/volumes");
    std::ofstream(root() + "/file") << "x";
    const auto found = find_volumes(store.root(), {});
    ASSERT_TRUE(found);
    EXPECT_TRUE(found->volumes.empty());
    EXPECT_EQ(found->foreign, (std::vector<std::string>{"not a uid", "uid-9/volumes/kubernetes.io~empty-dir",
                                                        "uid-9/volumes/kubernetes.io~projected/Not_A_Volume"}));
    EXPECT_TRUE(fs::exists(root() + "/not a uid/volumes/kubernetes.io~projected/x"));
}

}  // namespace
}  // namespace tokenlet::agent
