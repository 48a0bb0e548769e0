// SPDX-License-Identifier: Apache-2.0
// Who is published in which directory outside of volumes.root: tokenlet.dev/path.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/core/core.h"
#include "tests/sim/world.h"

namespace tokenlet::agent {
namespace {

using sim::volume_yaml;
using sim::World;
using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

// shop/<name> with volume "v", at `path` unless it is empty.
std::string pod_at(const std::string& path, const std::string& name = "web", const std::string& uid = "") {
    std::string text = volume_yaml("shop", name, "      - serviceAccountToken: {path: token}\n");
    std::string more = uid.empty() ? "" : ", uid: " + uid;
    if (!path.empty())
        more += ", annotations: {tokenlet.dev/path: \"v=" + path + "\"}";
    const std::string place = "name: " + name;
    return text.replace(text.find(place), place.size(), place + more);
}

struct CorePlaces : ::testing::Test {
    World world;
    void TearDown() override { EXPECT_EQ(world.trouble, ""); }

    void start_with(const std::string& manifest) {
        world.write("web.yaml", manifest);
        world.start();
        world.pass(1s);
    }
    // The files in a directory, and the Pod whose token they hold.
    [[nodiscard]] const sim::DiskVolume* in(const std::string& directory) const {
        for (const auto& [path, volume] : world.disk)
            if (path.direct == directory)
                return &volume;
        return nullptr;
    }
    [[nodiscard]] std::string owner_of(const std::string& directory) const {
        const sim::DiskVolume* volume = in(directory);
        return volume != nullptr && volume->record ? volume->record->pod : "nobody";
    }
    std::string message(const std::string& pod) {
        const PodStatus* status = world.pod_status("shop", pod);
        return status == nullptr ? "absent" : status->message;
    }
    std::string uid() { return world.pod_status("shop", "web")->uid; }
};

TEST_F(CorePlaces, AVolumeIsPublishedWhereItsPodSaysAndStatusShowsIt) {
    start_with(pod_at("/direct/sa"));
    EXPECT_EQ(owner_of("/direct/sa"), "web");
    EXPECT_EQ(world.disk.size(), 1u);
    EXPECT_TRUE(world.read("shop", "web", "v", "token")) << "the stable name leads there";
    const PodStatus* status = world.pod_status("shop", "web");
    EXPECT_TRUE(status->ready);
    EXPECT_EQ(status->volumes.at(0).path, "/direct/sa");
    EXPECT_TRUE(world.status().settled);
}

TEST_F(CorePlaces, APathThatIsNotAllowedIsRefusedAndTheLastGoodVersionStays) {
    start_with(pod_at("/direct/sa"));
    world.write("web.yaml", pod_at("/etc"));
    world.pass(1h);
    EXPECT_EQ(owner_of("/direct/sa"), "web");
    EXPECT_EQ(world.disk.size(), 1u);
    EXPECT_THAT(message("web"), HasSubstr("'/etc' lies in none of the directories"));
}

TEST_F(CorePlaces, RotatesAndIsAdoptedAsEveryOtherVolume) {
    start_with(pod_at("/direct/sa"));
    const auto first = world.read("shop", "web", "v", "token");
    world.pass(49min);
    const auto second = world.read("shop", "web", "v", "token");
    EXPECT_NE(second, first);
    world.pass(1min);
    EXPECT_EQ(in("/direct/sa")->generations.size(), 1u) << "the grace time is over";
    const std::uint64_t writes = world.writes;
    world.crash();
    world.start();
    world.pass(1s);
    EXPECT_EQ(world.read("shop", "web", "v", "token"), second);
    EXPECT_EQ(world.writes, writes);
    EXPECT_EQ(world.issuer.requests.size(), 2u);
}

TEST_F(CorePlaces, IsLeftAsSlowlyAsEveryOtherVolume) {
    start_with(pod_at("/direct/sa"));
    world.unlink("web.yaml");
    world.pass(9s);
    EXPECT_EQ(owner_of("/direct/sa"), "web");
    world.pass(2s);
    EXPECT_TRUE(world.disk.empty());
    EXPECT_TRUE(world.names.empty());
}

TEST_F(CorePlaces, IsCleanedUpWhenTheManifestWentWhileTheAgentWasDown) {
    start_with(pod_at("/direct/sa"));
    world.crash();
    world.unlink("web.yaml");
    world.start();
    world.pass(9s);
    EXPECT_EQ(owner_of("/direct/sa"), "web");
    world.pass(5s);
    EXPECT_TRUE(world.disk.empty());
}

TEST_F(CorePlaces, AVolumeThatMovesIsAtBothPlacesUntilTheOldOneIsLeft) {
    struct Case {
        std::string_view name;
        std::string from, to;
    };
    const Case cases[] = {
        {"from root", "", "/direct/sa"},
        {"to root", "/direct/sa", ""},
        {"from one directory to another", "/direct/a", "/direct/b"},
        {"into the old directory", "/direct/a", "/direct/a/b"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        World moving;
        moving.write("web.yaml", pod_at(c.from));
        moving.start();
        moving.pass(1s);
        const auto token = moving.read("shop", "web", "v", "token");
        moving.write("web.yaml", pod_at(c.to));
        moving.pass(1s);
        EXPECT_EQ(moving.disk.size(), 2u);
        EXPECT_EQ(moving.read("shop", "web", "v", "token"), token) << "the same token, asked for once";
        EXPECT_EQ(moving.issuer.requests.size(), 1u);
        moving.pass(12s);
        ASSERT_EQ(moving.disk.size(), 1u);
        EXPECT_EQ(moving.disk.begin()->first.direct, c.to);
        EXPECT_EQ(moving.read("shop", "web", "v", "token"), token);
        EXPECT_EQ(moving.trouble, "");
    }
}

TEST_F(CorePlaces, OfTwoPodsThatClaimOneDirectoryTheFirstStaysAndTheSecondIsTheError) {
    struct Case {
        std::string_view name;
        std::string second;
    };
    const Case cases[] = {{"the same", "/direct/sa"}, {"one below it", "/direct/sa/x/y"}, {"one above it", "/direct"}};
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        World shared;
        shared.write("web.yaml", pod_at("/direct/sa"));
        shared.start();
        shared.pass(1s);
        shared.write("db.yaml", pod_at(c.second, "db"));
        shared.pass(1s);
        const PodStatus* db = shared.pod_status("shop", "db");
        ASSERT_NE(db, nullptr);
        EXPECT_FALSE(db->ready);
        EXPECT_THAT(db->message, AllOf(HasSubstr("'" + c.second + "' is taken: volume v of Pod shop/web"),
                                       HasSubstr("published in /direct/sa")));
        EXPECT_TRUE(shared.pod_status("shop", "web")->ready);
        EXPECT_TRUE(shared.status().settled);
        // Also over a restart, whichever of the two is read first.
        shared.crash();
        shared.write("a-db.yaml", pod_at(c.second, "db"));
        shared.unlink("db.yaml");
        shared.start();
        shared.pass(1s);
        EXPECT_TRUE(shared.pod_status("shop", "web")->ready);
        EXPECT_FALSE(shared.pod_status("shop", "db")->ready);
        // And it is the second's when the first has left.
        shared.unlink("web.yaml");
        shared.pass(9s);
        EXPECT_FALSE(shared.pod_status("shop", "db")->ready);
        shared.pass(10s);
        EXPECT_TRUE(shared.pod_status("shop", "db")->ready);
        ASSERT_EQ(shared.disk.size(), 1u);
        EXPECT_EQ(shared.disk.begin()->first.direct, c.second);
        EXPECT_EQ(shared.trouble, "");
    }
}

TEST_F(CorePlaces, ThatHaveANameInCommonAreNotInEachOthersWay) {
    start_with(pod_at("/direct/sa"));
    world.write("db.yaml", pod_at("/direct/sa2", "db"));
    world.pass(1s);
    EXPECT_TRUE(world.pod_status("shop", "db")->ready);
}

TEST_F(CorePlaces, APodWithANewUidTakesItsDirectoryOver) {
    start_with(pod_at("/direct/sa", "web", "one"));
    const auto first = world.read("shop", "web", "v", "token");
    world.removal_ends = [](const VolumePath&) { return sim::End::Fails; };
    world.write("web.yaml", pod_at("/direct/sa", "web", "two"));
    world.pass(1s);
    EXPECT_EQ(uid(), "two");
    EXPECT_TRUE(world.pod_status("shop", "web")->ready);
    const auto second = world.read("shop", "web", "v", "token");
    EXPECT_NE(second, first);
    world.removal_ends = nullptr;
    world.pass(2min);
    EXPECT_EQ(world.read("shop", "web", "v", "token"), second) << "what is left of the old one takes nothing with it";
    EXPECT_EQ(owner_of("/direct/sa"), "web");
}

TEST_F(CorePlaces, AVolumeThatTakesAnothersDirectoryInItsPodGetsItWhenThatOneIsGone) {
    const auto with = [](const std::string& volume) {
        return "apiVersion: v1\nkind: Pod\nmetadata: {namespace: shop, name: web, annotations: {tokenlet.dev/path: \"" +
               volume + "=/direct/sa\"}}\nspec:\n  automountServiceAccountToken: false\n  containers: [{name: c}]\n" +
               "  volumes:\n  - name: " + volume +
               "\n    projected: {sources: [{serviceAccountToken: {path: token}}]}\n";
    };
    start_with(with("a"));
    EXPECT_EQ(owner_of("/direct/sa"), "web");
    world.write("web.yaml", with("b"));
    world.pass(1s);
    EXPECT_FALSE(world.read("shop", "web", "b", "token")) << "it is still the other one's";
    world.pass(15s);
    EXPECT_TRUE(world.read("shop", "web", "b", "token"));
    EXPECT_TRUE(world.pod_status("shop", "web")->ready);
    EXPECT_EQ(world.disk.size(), 1u);
}

}  // namespace
}  // namespace tokenlet::agent
