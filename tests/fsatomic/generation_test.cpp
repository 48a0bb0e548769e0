// SPDX-License-Identifier: Apache-2.0
#include "fsatomic/generation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fsatomic/publish.h"
#include "tests/fsatomic/child.h"
#include "tests/fsatomic/scratch.h"

namespace tokenlet::fsatomic {
namespace {

using testing::UnorderedElementsAre;
using namespace std::chrono_literals;

TEST(GenerationName, IsTheKubeletsPattern) {
    EXPECT_EQ(generation_name(WallTime(1795460088s + 999ms), 2663563904), "..2026_11_23_18_54_48.2663563904");
    EXPECT_TRUE(is_generation_name(generation_name(WallTime(0s), 0)));
    EXPECT_TRUE(is_generation_name(generation_name(kLater, ~std::uint64_t{0})));
    for (const char* name : {"..data", "..data_tmp", "..2026_11_23_18_54_48.", "..2026_11_23_18_54_48.1x", "token", "",
                             ".2026_11_23_18_54_48.1", "..2026_11_23_18_54_48.123456789012345678901",
                             "..2026_11_23_18_54_4x.1", "..2026_11_23_18_54_48.1/x"})
        EXPECT_FALSE(is_generation_name(name)) << name;
}

TEST(ReadCurrent, GivesRegularFilesOfTheCurrentGenerationOnly) {
    const Scratch scratch;
    EXPECT_EQ(read_current(scratch.fd(), "token", 10).error().code, Errc::NotFound) << "nothing published";
    Publisher publisher(scratch.fd());
    ASSERT_TRUE(publisher.publish({{"a/token", "0123456789"}}));
    EXPECT_EQ(read_current(scratch.fd(), "a/token", 10)->view(), "0123456789");
    EXPECT_EQ(read_current(scratch.fd(), "a/token", 9).error().code, Errc::Invalid) << "too large";
    EXPECT_EQ(read_current(scratch.fd(), "a", 10).error().code, Errc::Invalid) << "a directory";
    EXPECT_EQ(read_current(scratch.fd(), "none", 10).error().code, Errc::NotFound);
    EXPECT_EQ(read_current(scratch.fd(), "../x", 10).error().code, Errc::Invalid);
    std::filesystem::create_symlink("/etc/passwd", scratch.at("..data/link"));
    EXPECT_EQ(read_current(scratch.fd(), "link", 1 << 20).error().code, Errc::Denied) << "a planted link";
    ::mkfifo(scratch.at("..data/fifo").c_str(), 0600);
    EXPECT_EQ(read_current(scratch.fd(), "fifo", 10).error().code, Errc::Invalid) << "must not hang either";
    ::unlink(scratch.at("..data").c_str());
    std::filesystem::create_symlink("/etc", scratch.at("..data"));
    EXPECT_EQ(read_current(scratch.fd(), "passwd", 1 << 20).error().code, Errc::Conflict);
}

TEST(Retire, TakesOldGenerationsButNeverTheCurrentOne) {
    const Scratch scratch;
    Publisher publisher(scratch.fd());
    ASSERT_TRUE(publisher.publish({{"token", "1"}}));
    const auto second = publisher.publish({{"token", "2"}});
    EXPECT_EQ(retire(scratch.fd(), second->generation).error().code, Errc::Conflict);
    EXPECT_EQ(retire(scratch.fd(), second->generation, &publisher.witness).error().code, Errc::Conflict);
    EXPECT_EQ(retire(scratch.fd(), "token").error().code, Errc::Invalid);
    EXPECT_TRUE(retire(scratch.fd(), second->previous->name));
    EXPECT_TRUE(retire(scratch.fd(), second->previous->name)) << "absent is fine";
    EXPECT_THAT(generations(scratch.path()), UnorderedElementsAre(second->generation));
    EXPECT_EQ(read_whole(scratch.at("token")), "2");
}

TEST(Sweep, TakesWhatACrashLeftAndNothingElse) {
    const Scratch scratch;
    const Scratch outside;
    write_whole(outside.at("keep"), "bytes");
    Publisher publisher(scratch.fd());
    ASSERT_TRUE(publisher.publish({{"token", "1"}}));
    const auto second = publisher.publish({{"token", "2"}});
    const std::string half = generation_name(WallTime(0s), 1);
    const std::string link = generation_name(WallTime(0s), 2);
    std::filesystem::create_directories(scratch.at(half + "/d"));
    write_whole(scratch.at(half + "/d/f"), "");
    std::filesystem::create_symlink(outside.path(), scratch.at(link));
    std::filesystem::create_symlink(half, scratch.at("..data_tmp"));
    std::filesystem::create_symlink(half, scratch.at("..link_tmp"));
    std::filesystem::create_directories(scratch.at("..other"));
    write_whole(scratch.at("foreign"), "");
    const std::vector<std::string> keep{second->previous->name};
    const auto removed = sweep(scratch.fd(), keep);
    ASSERT_TRUE(removed) << removed.error().what;
    EXPECT_THAT(*removed, UnorderedElementsAre(half, link, "..data_tmp", "..link_tmp"));
    EXPECT_THAT(generations(scratch.path()), UnorderedElementsAre(second->generation, second->previous->name));
    EXPECT_TRUE(exists(scratch.at("..other")) && exists(scratch.at("foreign")));
    EXPECT_EQ(read_whole(outside.at("keep")), "bytes");
}

TEST(Sweep, TakesNothingWhereItCannotTellWhatIsCurrent) {
    const Scratch scratch;
    Publisher publisher(scratch.fd());
    const auto first = publisher.publish({{"token", "1"}});
    ::unlink(scratch.at("..data").c_str());
    std::filesystem::create_symlink("/etc", scratch.at("..data"));
    EXPECT_EQ(sweep(scratch.fd(), {}).error().code, Errc::Conflict);
    EXPECT_THAT(generations(scratch.path()), UnorderedElementsAre(first->generation));
}

TEST(Sweep, NeverEntersAMount) {
    const Scratch scratch;
    const std::string mounted = generation_name(WallTime(0s), 1);
    ::mkdir(scratch.at(mounted).c_str(), 0755);
    const std::string found = in_child([&]() -> std::string {
        if (!private_mounts() || ::mount("t", scratch.at(mounted).c_str(), "tmpfs", 0, "size=64k") < 0)
            return kSkip;
        write_whole(scratch.at(mounted + "/precious"), "bytes");
        const UniqueFd volume = *open_root(scratch.path());
        if (sweep(volume, {}) || clear_volume(volume))
            return "no error";
        return read_whole(scratch.at(mounted + "/precious")) == "bytes" ? "" : "removed";
    });
    if (found == kSkip)
        GTEST_SKIP() << "NOT TESTED: needs the right to mount";
    EXPECT_EQ(found, "");
}

TEST(ClearVolume, LeavesWhatIsNotOurs) {
    const Scratch scratch;
    Publisher publisher(scratch.fd());
    ASSERT_TRUE(publisher.publish({{"token", "1"}, {"a/b", "1"}}));
    ASSERT_TRUE(publisher.publish({{"token", "2"}, {"a/b", "1"}}));
    write_whole(scratch.at("foreign"), "");
    std::filesystem::create_symlink("..data/other", scratch.at("foreign-link"));
    ASSERT_TRUE(clear_volume(scratch.fd()));
    std::vector<std::string> left;
    for (const auto& entry : std::filesystem::directory_iterator(scratch.path()))
        left.push_back(entry.path().filename());
    EXPECT_THAT(left, UnorderedElementsAre("foreign", "foreign-link"));
}

TEST(RemoveVolume, TakesTheWholeDirectoryAndFollowsNoLink) {
    const Scratch scratch;
    const Scratch outside;
    write_whole(outside.at("keep"), "bytes");
    const UniqueFd volume = std::move(make_dirs_beneath(scratch.fd(), "v")->dir);
    Publisher publisher(volume);
    ASSERT_TRUE(publisher.publish({{"token", "1"}, {"a/b", "1"}}));
    write_whole(scratch.at("v/foreign"), "");
    std::filesystem::create_symlink(outside.path(), scratch.at("v/link"));
    std::filesystem::create_symlink(outside.path(), scratch.at("w"));
    ASSERT_TRUE(remove_volume(scratch.fd(), "v"));
    ASSERT_TRUE(remove_volume(scratch.fd(), "v")) << "absent is fine";
    ASSERT_TRUE(remove_volume(scratch.fd(), "w")) << "a link goes as a link";
    EXPECT_FALSE(exists(scratch.at("v")) || exists(scratch.at("w")));
    EXPECT_EQ(read_whole(outside.at("keep")), "bytes");
}

}  // namespace
}  // namespace tokenlet::fsatomic
