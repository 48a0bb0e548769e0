// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/volume_watch.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

#include "agent/shell/volume_store.h"
#include "tests/fsatomic/scratch.h"

namespace tokenlet::agent {
namespace {

namespace fs = std::filesystem;
using fsatomic::Scratch;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::size_t kPlenty = 1000;
constexpr WallTime kNow{std::chrono::seconds(1'800'000'000)};

// Two volumes, published for real and watched.
class VolumeWatchTest : public testing::Test {
protected:
    VolumeWatchTest() {
        Volumes settings;
        settings.root = scratch_.at("pods");
        settings.by_name = scratch_.at("by-name");
        settings.memory = MemoryRule::Ignore;
        store_.emplace(VolumeStore::open(settings, [this] { return ++digits_; }).value());
        watch_.emplace(VolumeWatch::make(kPlenty).value());
        publish("one", "first");
        publish("two", "first");
    }

    static VolumePath path_of(const std::string& volume) {
        return {.pod_uid = "uid-1", .plugin_directory = "kubernetes.io~projected", .volume = volume};
    }
    [[nodiscard]] std::string at(const std::string& volume, const std::string& file = {}) const {
        return scratch_.at("pods/" + path_of(volume).str()) + (file.empty() ? "" : "/" + file);
    }
    [[nodiscard]] std::string generation(const std::string& volume) const {
        return fs::read_symlink(at(volume, "..data")).string();
    }

    PublishOutcome publish(const std::string& volume, const std::string& token) {
        PublishVolume command{.path = path_of(volume), .names = {}, .payload = {}, .record = {}, .keep = {}};
        command.payload.files["token"].bytes.append(token);
        command.payload.files["deep/er/key"].bytes.append("x");
        const PublishOutcome outcome = store_->publish(command, kNow).value();
        EXPECT_TRUE(watch_->watch(path_of(volume), directory(volume), outcome.generation, {"deep", "deep/er"}));
        return outcome;
    }
    [[nodiscard]] UniqueFd directory(const std::string& volume) const {
        return UniqueFd(::open(at(volume).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    std::vector<VolumePath> touched() { return watch_->drain().value(); }

    Scratch scratch_;
    std::uint64_t digits_ = 0;
    std::optional<VolumeStore> store_;
    std::optional<VolumeWatch> watch_;
};

TEST_F(VolumeWatchTest, WhatPublishingDoesIsNoNews) {
    EXPECT_THAT(touched(), IsEmpty());
    const std::string old = generation("one");
    publish("one", "second");
    ASSERT_NE(generation("one"), old);
    EXPECT_THAT(touched(), IsEmpty());
    // Its grace time is over.
    ASSERT_TRUE(store_->sweep({.path = path_of("one"), .keep = {}}));
    ASSERT_FALSE(fs::exists(at("one", old)));
    EXPECT_THAT(touched(), IsEmpty());
}

TEST_F(VolumeWatchTest, ReadingIsNoNews) {
    for (const char* file : {"token", "deep/er/key"})
        std::ifstream(at("one", file)).get();
    for (const auto& entry : fs::directory_iterator(at("one")))
        (void)entry.is_directory();
    EXPECT_THAT(touched(), IsEmpty());
}

TEST_F(VolumeWatchTest, EachKindOfDamageIsNoticedOnItsVolume) {
    struct Case {
        std::string_view name;
        std::function<void()> damage;
    };
    const Case cases[] = {
        {"a file is written to", [&] { std::ofstream(at("one", "token")) << "x"; }},
        {"a file is appended to and kept open",
         [&] {
             const UniqueFd file(::open(at("one", "token").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
             ASSERT_EQ(::write(file.get(), "x", 1), 1);
             EXPECT_THAT(touched(), ElementsAre(path_of("one")));
             ASSERT_EQ(::write(file.get(), "x", 1), 1);
         }},
        {"a file's mode", [&] { ASSERT_EQ(::chmod(at("one", "token").c_str(), 0777), 0); }},
        {"a file in a sub-directory", [&] { std::ofstream(at("one", "deep/er/key")) << "x"; }},
        {"a sub-directory's mode", [&] { ASSERT_EQ(::chmod(at("one", "deep/er").c_str(), 0700), 0); }},
        {"a file more", [&] { std::ofstream(at("one", generation("one") + "/more")) << "x"; }},
        {"a name is gone", [&] { fs::remove(at("one", "token")); }},
        {"a name more", [&] { std::ofstream(at("one", "more")) << "x"; }},
        {"a name is replaced by a link",
         [&] {
             fs::create_symlink("/etc/shadow", at("one", "planted"));
             fs::rename(at("one", "planted"), at("one", "token"));
         }},
        {"..data is gone", [&] { fs::remove(at("one", "..data")); }},
        {"the volume's mode", [&] { ASSERT_EQ(::chmod(at("one").c_str(), 0700), 0); }},
        {"the generation is renamed", [&] { fs::rename(at("one", generation("one")), at("one", "..elsewhere")); }},
        {"the generation is removed", [&] { fs::remove_all(at("one", generation("one"))); }},
        {"the volume is renamed", [&] { fs::rename(at("one"), at("moved")); }},
        {"the volume is removed", [&] { fs::remove_all(at("one")); }},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        c.damage();
        EXPECT_THAT(touched(), ElementsAre(path_of("one")));
        EXPECT_THAT(touched(), IsEmpty()) << "said once";
        fs::remove_all(at("moved"));
        publish("one", "mended");
        EXPECT_THAT(touched(), IsEmpty()) << "mending is no news";
    }
}

TEST_F(VolumeWatchTest, AVolumeThatIsForgottenMakesNoNews) {
    watch_->forget(path_of("one"));
    watch_->forget(path_of("never there"));
    fs::remove_all(at("one"));
    std::ofstream(at("two", "token")) << "x";
    EXPECT_THAT(touched(), ElementsAre(path_of("two")));
}

TEST_F(VolumeWatchTest, BeyondTheBudgetAVolumeIsNotWatchedUntilAnotherIsForgotten) {
    VolumeWatch small = VolumeWatch::make(5).value();
    EXPECT_TRUE(small.watch(path_of("one"), directory("one"), generation("one"), {"deep", "deep/er"}));
    EXPECT_FALSE(small.has_missed());
    EXPECT_FALSE(small.watch(path_of("two"), directory("two"), generation("two"), {}));
    EXPECT_TRUE(small.has_missed());
    std::ofstream(at("one", "token")) << "x";
    EXPECT_THAT(*small.drain(), ElementsAre(path_of("one")));
    small.forget(path_of("one"));
    EXPECT_TRUE(small.watch(path_of("two"), directory("two"), generation("two"), {}));
    std::ofstream(at("two", "token")) << "x";
    EXPECT_THAT(*small.drain(), ElementsAre(path_of("two")));
    EXPECT_GT(VolumeWatch::usual_budget(), 1000U);
}

TEST_F(VolumeWatchTest, ALinkInAGenerationsPlaceIsNotFollowed) {
    fs::create_directory(scratch_.at("elsewhere"));
    fs::create_directory_symlink(scratch_.at("elsewhere"), at("one", "..planted"));
    EXPECT_FALSE(watch_->watch(path_of("one"), directory("one"), "..planted", {}));
    std::ofstream(scratch_.at("elsewhere/file")) << "x";
    EXPECT_THAT(touched(), IsEmpty());
}

// A Pod that comes back under another uid, with a directory of its own choice: the old volume leaves while the new one stands.
TEST_F(VolumeWatchTest, OfTwoVolumesInOneDirectoryTheLastIsWatchedWhenTheOtherIsForgotten) {
    EXPECT_TRUE(watch_->watch(path_of("next"), directory("one"), generation("one"), {"deep", "deep/er"}));
    watch_->forget(path_of("one"));
    EXPECT_THAT(touched(), IsEmpty());
    std::ofstream(at("one", "token")) << "x";
    fs::remove(at("one", "token"));
    EXPECT_THAT(touched(), ElementsAre(path_of("next")));
}

// More events than the kernel keeps.
TEST_F(VolumeWatchTest, LostEventsMayBeOfAnyVolume) {
    std::size_t limit = 0;
    std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> limit;
    ASSERT_GT(limit, 0U);
    ASSERT_LE(limit, 1'000'000U);
    const std::string file = at("one", "token");
    for (std::size_t i = 0; i <= limit / 2; ++i) {  // alternating, for equal neighbours are one event
        ASSERT_EQ(::chmod(file.c_str(), 0600), 0);
        ASSERT_EQ(::truncate(file.c_str(), 1), 0);
    }
    EXPECT_FALSE(watch_->drain());
}

}  // namespace
}  // namespace tokenlet::agent
