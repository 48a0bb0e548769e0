// SPDX-License-Identifier: Apache-2.0
// Volumes in directories outside of volumes.root, which others mount: tokenlet.dev/path.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "agent/shell/direct_directory.h"
#include "agent/shell/found_volumes.h"
#include "agent/shell/record_file.h"
#include "agent/shell/volume_store.h"
#include "tests/fsatomic/scratch.h"

namespace tokenlet::agent {
namespace {

namespace fs = std::filesystem;
using fsatomic::read_whole;
using fsatomic::Scratch;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr WallTime kNow{std::chrono::seconds(1'800'000'000)};

class DirectVolumeOn : public testing::TestWithParam<const char*> {
protected:
    void SetUp() override { fs::create_directories(shared()); }

    VolumeStore open(MemoryRule memory = MemoryRule::Ignore) {
        Volumes settings;
        settings.root = scratch_.at("pods");
        settings.by_name = scratch_.at("by-name");
        settings.memory = memory;
        settings.direct = {shared()};
        return *VolumeStore::open(settings, [this] { return ++digits_; });
    }

    [[nodiscard]] VolumePath path(const std::string& below = "/sa", const std::string& uid = "uid-1") const {
        return {
            .pod_uid = uid, .plugin_directory = "kubernetes.io~projected", .volume = "api", .direct = shared() + below};
    }

    static PublishVolume publish_of(VolumePath path, std::string_view token, const std::string& pod = "web") {
        PublishVolume command{
            .path = std::move(path), .names = {{"shop", pod, "api"}}, .payload = {}, .record = {}, .keep = {}};
        command.payload.files["token"].bytes.append(token);
        TokenRecord record;
        record.path = "token";
        record.times.ttl = std::chrono::hours(1);
        command.record = {.pod_uid = command.path.pod_uid,
                          .ns = "shop",
                          .pod = pod,
                          .volume = "api",
                          .boot_id = "b",
                          .tokens = {record}};
        return command;
    }

    static RemoveVolume removal_of(const VolumePath& path, const std::string& pod = "web") {
        return {.path = path, .names = {{"shop", pod, "api"}}};
    }

    [[nodiscard]] std::string shared() const { return scratch_.at("shared"); }
    [[nodiscard]] std::string at(const std::string& name) const { return shared() + "/sa/" + name; }
    [[nodiscard]] Found found() const { return *find_volumes(*fsatomic::open_root(scratch_.at("pods")), {shared()}); }
    [[nodiscard]] std::vector<std::string> entries(const std::string& directory) const {
        std::vector<std::string> names;
        for (const fs::directory_entry& entry : fs::directory_iterator(directory))
            names.push_back(entry.path().filename());
        std::ranges::sort(names);
        return names;
    }

    Scratch scratch_{GetParam()};
    std::uint64_t digits_ = 0;
};

INSTANTIATE_TEST_SUITE_P(FileSystems, DirectVolumeOn, testing::Values(fsatomic::kTmpfs, fsatomic::kDisk),
                         fsatomic::file_system_name);

TEST_P(DirectVolumeOn, IsPublishedThereWithItsNameAndItsRecord) {
    auto store = open();
    const auto outcome = store.publish(publish_of(path(), "first"), kNow);
    ASSERT_TRUE(outcome) << outcome.error().what;
    EXPECT_TRUE(outcome->wrote);
    EXPECT_EQ(read_whole(at("token")), "first");
    EXPECT_EQ(fs::read_symlink(at("token")), "..data/token");
    EXPECT_EQ(fs::read_symlink(at("..tokenlet")), "shop/web/api@uid-1");
    EXPECT_EQ(read_whole(scratch_.at("by-name/shop/web/api/token")), "first");
    EXPECT_TRUE(read_record(store.root(), path()));
    EXPECT_FALSE(fs::exists(scratch_.at("pods/uid-1/volumes")));
    struct stat status{};
    ASSERT_EQ(::stat((shared() + "/sa").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0755U) << "whatever the umask";
    EXPECT_FALSE(store.publish(publish_of(path(), "first"), kNow)->wrote);
}

TEST_P(DirectVolumeOn, LeavesTheModeOfADirectoryThatExists) {
    fs::create_directories(shared() + "/sa");
    ASSERT_EQ(::chmod((shared() + "/sa").c_str(), 01777), 0);
    ASSERT_EQ(::chmod(shared().c_str(), 0711), 0);
    ASSERT_TRUE(open().publish(publish_of(path(), "first"), kNow));
    EXPECT_EQ(fs::status(shared() + "/sa").permissions(), fs::perms(01777));
    EXPECT_EQ(fs::status(shared()).permissions(), fs::perms(0711));
}

TEST_P(DirectVolumeOn, MayBeTheAllowedDirectoryItself) {
    ASSERT_TRUE(open().publish(publish_of(path(""), "first"), kNow));
    EXPECT_EQ(read_whole(shared() + "/token"), "first");
}

TEST_P(DirectVolumeOn, IsPublishedNowhereElse) {
    auto store = open();
    fs::create_directories(scratch_.at("elsewhere/sa"));
    fs::create_directory_symlink(scratch_.at("elsewhere"), shared() + "/link");
    fs::create_directory_symlink(scratch_.at("elsewhere/sa"), shared() + "/sa");
    const std::pair<const char*, VolumePath> cases[] = {
        {"outside", {.pod_uid = "u", .plugin_directory = "p", .volume = "v", .direct = scratch_.at("elsewhere/sa")}},
        {"beside, with its name in front",
         {.pod_uid = "u", .plugin_directory = "p", .volume = "v", .direct = shared() + "-too"}},
        {"out by dots", path("/../elsewhere/sa")},
        {"over a link", path("/link/sa")},
        {"a link at the end", path("/sa")},
    };
    for (const auto& [name, where] : cases) {
        SCOPED_TRACE(name);
        EXPECT_FALSE(store.publish(publish_of(where, "first"), kNow));
        EXPECT_FALSE(read_record(store.root(), where));
        EXPECT_TRUE(fs::is_empty(scratch_.at("elsewhere/sa")));
        EXPECT_FALSE(fs::exists(shared() + "-too"));
    }
}

TEST_P(DirectVolumeOn, TouchesNothingWhereSomethingElseWasPublished) {
    fs::create_directories(at("..2026_01_01_00_00_00.1"));
    fs::create_symlink("..2026_01_01_00_00_00.1", at("..data"));
    auto store = open();
    const auto refused = store.publish(publish_of(path(), "first"), kNow);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().what, HasSubstr("shared/sa: ..data stands there already"));
    ASSERT_TRUE(store.remove(removal_of(path())));
    EXPECT_THAT(entries(shared() + "/sa"), ElementsAre("..2026_01_01_00_00_00.1", "..data"));
    EXPECT_FALSE(read_record(store.root(), path()));
}

TEST_P(DirectVolumeOn, LeavesWhatStandsAtAName) {
    fs::create_directories(shared() + "/sa");
    std::ofstream(at("token")) << "mine";
    std::ofstream(at("notes")) << "mine, too";
    auto store = open();
    const auto outcome = store.publish(publish_of(path(), "first"), kNow);
    ASSERT_TRUE(outcome) << outcome.error().what;
    EXPECT_THAT(outcome->blocked, ElementsAre("token"));
    EXPECT_EQ(read_whole(at("token")), "mine");
    EXPECT_THAT(store.publish(publish_of(path(), "second"), kNow)->blocked, ElementsAre("token"));
    fs::remove(at("token"));
    auto later = open();  // so soon after the last look, only one that remembers nothing notices
    EXPECT_TRUE(later.publish(publish_of(path(), "second"), kNow)->blocked.empty());
    EXPECT_EQ(read_whole(at("token")), "second");
    ASSERT_TRUE(later.remove(removal_of(path())));
    EXPECT_THAT(entries(shared() + "/sa"), ElementsAre("notes"));
}

TEST_P(DirectVolumeOn, OfAnotherPodIsRefusedNamingIt) {
    auto store = open();
    ASSERT_TRUE(store.publish(publish_of(path(), "first"), kNow));
    const auto refused = store.publish(publish_of(path("/sa", "uid-2"), "other", "db"), kNow);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().what, HasSubstr("shared/sa: volume api of Pod shop/web is published there"));
    EXPECT_EQ(read_whole(at("token")), "first");
    ASSERT_TRUE(store.remove(removal_of(path("/sa", "uid-2"), "db")));
    EXPECT_EQ(read_whole(at("token")), "first");
}

TEST_P(DirectVolumeOn, IsTakenOverByTheSamePodWithANewUid) {
    {
        auto store = open();
        ASSERT_TRUE(store.publish(publish_of(path(), "first"), kNow));
    }
    fs::remove_all(scratch_.at("pods"));  // in memory, and the machine was off
    auto store = open();
    ASSERT_TRUE(store.publish(publish_of(path("/sa", "uid-2"), "second"), kNow));
    EXPECT_EQ(read_whole(at("token")), "second");
    ASSERT_TRUE(store.remove(removal_of(path())));
    EXPECT_EQ(read_whole(at("token")), "second") << "the old one has nothing there any more";
}

TEST_P(DirectVolumeOn, IsRemovedAndItsDirectoryStays) {
    auto store = open();
    ASSERT_TRUE(store.publish(publish_of(path("/a/b"), "first"), kNow));
    ASSERT_TRUE(store.publish(publish_of(path("/a/b"), "second"), kNow));
    ASSERT_TRUE(store.remove(removal_of(path("/a/b"))));
    EXPECT_TRUE(fs::is_empty(shared() + "/a/b")) << "others have it mounted";
    EXPECT_TRUE(fs::is_empty(scratch_.at("pods")));
    EXPECT_TRUE(fs::is_empty(scratch_.at("by-name")));
    EXPECT_TRUE(store.remove(removal_of(path("/a/b"))));
    fs::remove_all(shared());
    EXPECT_TRUE(store.remove(removal_of(path("/a/b"))));
}

TEST_P(DirectVolumeOn, IsSweptWhereItIsOurs) {
    auto store = open();
    ASSERT_TRUE(store.publish(publish_of(path(), "first"), kNow));
    ASSERT_TRUE(store.publish(publish_of(path(), "second"), kNow));
    EXPECT_EQ(entries(shared() + "/sa").size(), 5U);
    ASSERT_TRUE(store.sweep({.path = path("/sa", "uid-2"), .keep = {}}));
    EXPECT_EQ(entries(shared() + "/sa").size(), 5U);
    ASSERT_TRUE(store.sweep({.path = path(), .keep = {}}));
    EXPECT_EQ(entries(shared() + "/sa").size(), 4U);
    EXPECT_EQ(read_whole(at("token")), "second");
}

TEST_P(DirectVolumeOn, IsFoundAgainWithItsTokens) {
    {
        auto store = open();
        ASSERT_TRUE(store.publish(publish_of(path(), "first"), kNow));
        ASSERT_TRUE(store.publish(publish_of(path(), "second"), kNow));
    }
    const Found found = this->found();
    EXPECT_THAT(found.problems, ElementsAre());
    EXPECT_THAT(found.foreign, ElementsAre());
    ASSERT_EQ(found.volumes.size(), 1U);
    const FoundVolume& volume = found.volumes.front();
    EXPECT_EQ(volume.path, path());
    EXPECT_EQ(volume.older.size(), 1U);
    ASSERT_TRUE(volume.record);
    EXPECT_EQ(volume.record->pod, "web");
    ASSERT_EQ(volume.files.size(), 1U);
    EXPECT_EQ(volume.files[0].second.view(), "second");
}

TEST_P(DirectVolumeOn, OfWhichACrashLeftTheFirstStepIsFoundAndCleanedUp) {
    {
        auto store = open();
        ASSERT_TRUE(store.publish(publish_of(path(), "first"), kNow));
    }
    // As the moment before the switch leaves it.
    fs::remove(at("token"));
    fs::remove(at("..data"));
    Found found = this->found();
    ASSERT_EQ(found.volumes.size(), 1U);
    EXPECT_TRUE(found.volumes[0].files.empty());
    ASSERT_TRUE(open().remove(removal_of(path())));
    EXPECT_TRUE(fs::is_empty(shared() + "/sa"));
    EXPECT_TRUE(this->found().volumes.empty());
}

TEST_P(DirectVolumeOn, ThatSomebodyElseHasByNowIsFoundWithoutItsFiles) {
    {
        auto store = open();
        ASSERT_TRUE(store.publish(publish_of(path(), "first"), kNow));
    }
    fs::remove(at("..tokenlet"));
    fs::create_symlink("shop/db/api@uid-2", at("..tokenlet"));
    const Found found = this->found();
    ASSERT_EQ(found.volumes.size(), 1U);
    EXPECT_TRUE(found.volumes[0].files.empty());
    ASSERT_TRUE(open().remove(removal_of(path())));
    EXPECT_EQ(read_whole(at("token")), "first");
    EXPECT_TRUE(this->found().volumes.empty());
}

TEST_P(DirectVolumeOn, ThatIsNoLongerAllowedIsAProblemAndStays) {
    {
        auto store = open();
        ASSERT_TRUE(store.publish(publish_of(path(), "first"), kNow));
    }
    const Found found = *find_volumes(*fsatomic::open_root(scratch_.at("pods")), {});
    EXPECT_EQ(found.volumes.size(), 1U) << "its Pod may have left";
    ASSERT_EQ(found.problems.size(), 1U);
    EXPECT_THAT(found.problems[0], HasSubstr("shared/sa' lies in none of the directories of volumes.direct"));
    EXPECT_EQ(read_whole(at("token")), "first");
}

TEST_P(DirectVolumeOn, MarksItsDirectoryAgainWhereAReaderTookTheMark) {
    auto store = open();
    ASSERT_TRUE(store.publish(publish_of(path(), "first"), kNow));
    fs::remove(at("..tokenlet"));
    ASSERT_TRUE(store.publish(publish_of(path(), "second"), kNow));
    EXPECT_EQ(read_whole(at("token")), "second");
    EXPECT_EQ(fs::read_symlink(at("..tokenlet")), "shop/web/api@uid-1");
}

TEST_P(DirectVolumeOn, OnADiskIsRefusedWhereMemoryIsRequired) {
    Scratch memory(fsatomic::kTmpfs);
    Volumes settings;
    settings.root = memory.at("pods");
    settings.by_name = memory.at("by-name");
    settings.memory = MemoryRule::Require;
    settings.direct = {shared()};
    auto store = VolumeStore::open(settings, [] { return std::uint64_t{1}; });
    ASSERT_TRUE(store) << store.error().what;
    const auto outcome = store->publish(publish_of(path(), "first"), kNow);
    if (GetParam() == fsatomic::kTmpfs) {
        EXPECT_TRUE(outcome);
        EXPECT_FALSE(store->may_block());
        return;
    }
    EXPECT_TRUE(store->may_block());
    ASSERT_FALSE(outcome);
    EXPECT_THAT(outcome.error().what, HasSubstr("shared/sa lies on a disk, and volumes.memory is require"));
}

}  // namespace
}  // namespace tokenlet::agent
