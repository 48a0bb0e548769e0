// SPDX-License-Identifier: Apache-2.0
// What happens to a core once in a while: objects that go, uids that change hands, volumes that are damaged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/core/core.h"
#include "kube/jwt.h"
#include "tests/sim/world.h"

namespace tokenlet::agent {
namespace {

using sim::End;
using sim::pod_yaml;
using sim::volume_yaml;
using sim::World;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kToken = "      - serviceAccountToken: {path: token}\n";

std::string object(const std::string& kind, const std::string& name, const std::string& rest,
                   const std::string& uid = "") {
    return "apiVersion: v1\nkind: " + kind + "\nmetadata: {namespace: shop, name: " + name +
           (uid.empty() ? "" : ", uid: " + uid) + "}\n" + rest;
}

std::string with_uid(std::string yaml, const std::string& uid) {
    return yaml.replace(yaml.find("metadata: {"), 11, "metadata: {uid: " + uid + ", ");
}

struct CoreRareEvents : ::testing::Test {
    World world;
    void TearDown() override { EXPECT_EQ(world.trouble, ""); }

    std::optional<std::string> token(const std::string& pod = "web") { return world.read("shop", pod, "v", "token"); }
    std::string account_uid() { return kube::read_jwt(*token()).value().service_account->uid; }
    std::string message(const std::string& pod = "web") {
        const PodStatus* status = world.pod_status("shop", pod);
        return status == nullptr ? "no such pod" : status->message;
    }

    // Answers in the world's stead to the publish that is under way.
    void answer_publish(PublishOutcome outcome) {
        ASSERT_TRUE(publishing_);
        world.act([&](Core& core, Now now) { core.on_published(now, *publishing_, outcome); });
    }
    void start_with_a_publish_under_way() {
        world.on_command = [this](const Command& command) {
            if (const auto* publish = std::get_if<PublishVolume>(&command))
                publishing_ = publish->path;
        };
        world.publish_latency = 1h;
        world.write("web.yaml", volume_yaml("shop", "web", kToken));
        world.start();
        world.pass(1s);
    }

    std::optional<VolumePath> publishing_;
};

TEST_F(CoreRareEvents, AnAccountWhoseManifestLeavesIsGoneForTheIssuerToo) {
    world.write("account.yaml", object("ServiceAccount", "web", ""));
    world.write("web.yaml", volume_yaml("shop", "web", kToken) + "  serviceAccountName: web\n");
    world.start();
    world.pass(1s);
    ASSERT_TRUE(world.issuer.accounts.contains({"shop", "web"}));
    world.unlink("account.yaml");
    world.pass(9s);
    EXPECT_TRUE(world.issuer.accounts.contains({"shop", "web"})) << "it may come back";
    world.pass(2s);
    EXPECT_FALSE(world.issuer.accounts.contains({"shop", "web"}));
    EXPECT_TRUE(world.reported("object has left"));
    EXPECT_TRUE(token()) << "and yet no reader loses its file";
    EXPECT_THAT(message(), HasSubstr("web"));
}

TEST_F(CoreRareEvents, TheDefaultAccountGoesOnWithoutItsManifestAsAnotherOne) {
    world.write("account.yaml", object("ServiceAccount", "default", "", "declared"));
    world.write("web.yaml", volume_yaml("shop", "web", kToken));
    world.start();
    world.pass(1s);
    ASSERT_EQ(account_uid(), "declared");
    world.unlink("account.yaml");
    world.pass(15s);
    EXPECT_NE(account_uid(), "declared");
}

TEST_F(CoreRareEvents, AUidIsFreeOnlyOnceTheVolumesOfItsFormerPodAreGone) {
    world.write("a.yaml", with_uid(volume_yaml("shop", "web", kToken), "one"));
    world.start();
    world.pass(1s);
    world.removal_ends = [](const VolumePath&) { return End::Fails; };
    world.write("a.yaml", with_uid(volume_yaml("shop", "web", kToken), "two"));
    world.write("b.yaml", with_uid(volume_yaml("shop", "heir", kToken), "one"));
    world.pass(30s);
    EXPECT_TRUE(token("web"));
    EXPECT_FALSE(token("heir"));
    world.removal_ends = nullptr;
    world.pass(2min);
    ASSERT_TRUE(token("heir"));
    EXPECT_EQ(kube::read_jwt(*token("heir"))->pod->uid, "one");
}

TEST_F(CoreRareEvents, APodThatWasRenamedWhileNobodyLookedTakesItsUidOnceTheOldNameIsGone) {
    world.write("web.yaml", with_uid(volume_yaml("shop", "web", kToken), "one"));
    world.start();
    world.pass(1s);
    world.crash();
    world.unlink("web.yaml");
    world.write("web.yaml", with_uid(volume_yaml("shop", "heir", kToken), "one"));
    world.start();
    world.pass(9s);
    EXPECT_TRUE(token("web")) << "its manifest may come back";
    world.pass(2s);
    EXPECT_FALSE(token("web")) << "readers of the old name would get the new Pod's token";
    EXPECT_TRUE(token("heir"));
}

TEST_F(CoreRareEvents, SecretsAndTrustBundlesReachTheFilesAndTheirEditsToo) {
    world.write("secret.yaml", object("Secret", "tls", "stringData: {key: one}\n"));
    world.write("web.yaml",
                volume_yaml("shop", "web",
                            kToken + "      - secret: {name: tls}\n"
                                     "      - clusterTrustBundle: {name: ca, path: ca.pem, optional: true}\n"));
    world.start();
    world.pass(1s);
    EXPECT_EQ(world.read("shop", "web", "v", "key"), "one");
    EXPECT_EQ(world.read("shop", "web", "v", "ca.pem"), "");
    std::vector<std::string> kinds;
    for (const FileStatus& file : world.pod_status("shop", "web")->volumes.at(0).files)
        kinds.emplace_back(file.kind);
    EXPECT_THAT(kinds, ElementsAre("serviceAccountToken", "secret", "clusterTrustBundle"));
    world.write("secret.yaml", object("Secret", "tls", "stringData: {key: two}\n"));
    world.pass(1s);
    EXPECT_EQ(world.read("shop", "web", "v", "key"), "two");
    EXPECT_EQ(world.issuer.requests.size(), 1U);
    world.unlink("secret.yaml");
    world.pass(15s);
    EXPECT_EQ(world.read("shop", "web", "v", "key"), "two") << "what was published stays";
    EXPECT_THAT(message(), HasSubstr("tls"));
}

TEST_F(CoreRareEvents, AVolumeThatNothingMountsIsNamed) {
    std::string yaml = volume_yaml("shop", "web", kToken);
    yaml.replace(yaml.find("name: v, mountPath"), 7, "name: w");
    world.write("web.yaml", yaml + "  - name: w\n    emptyDir: {}\n");
    world.start();
    world.pass(1s);
    EXPECT_FALSE(token());
    EXPECT_TRUE(world.reported("volume is mounted by no container and not projected"));
}

TEST_F(CoreRareEvents, DamageThatWasMendedIsReported) {
    start_with_a_publish_under_way();
    answer_publish({.wrote = false,
                    .repaired = true,
                    .reason = "token: the link was missing",
                    .generation = "g",
                    .older = {},
                    .blocked = {}});
    EXPECT_TRUE(world.reported("volume was damaged, it has been repaired"));
    EXPECT_EQ(world.status().repairs, 1u);
    EXPECT_TRUE(world.pod_status("shop", "web")->ready);
}

TEST_F(CoreRareEvents, AVolumeThatWasMendedIsLookedAtAgainSoonAndThenLaterAndLater) {
    const PublishOutcome well{
        .wrote = false, .repaired = false, .reason = "", .generation = "g", .older = {}, .blocked = {}};
    PublishOutcome mended = well;
    mended.repaired = true;
    mended.reason = "token: content differs";
    start_with_a_publish_under_way();
    for (const Duration delay : std::vector<Duration>{1s, 2s, 4s, 8s, 16s, 30s, 30s}) {
        SCOPED_TRACE(go_duration(delay));
        answer_publish(mended);
        publishing_.reset();
        world.pass(delay - 1ms);
        EXPECT_FALSE(publishing_);
        world.pass(2ms);
        ASSERT_TRUE(publishing_);
    }
    answer_publish(well);
    publishing_.reset();
    world.pass(1min);
    EXPECT_FALSE(publishing_) << "all was well, so the audit is the next to look";
}

TEST_F(CoreRareEvents, EveryTenMinutesTheBytesOfEveryVolumeAreCompared) {
    std::map<std::string, int> audits, looks;
    world.on_command = [&](const Command& command) {
        if (const auto* publish = std::get_if<PublishVolume>(&command))
            ++(publish->audit ? audits : looks)[publish->record.pod];
    };
    for (const char* name : {"web", "db"})
        world.write(std::string(name) + ".yaml", volume_yaml("shop", name, kToken));
    world.start();
    world.pass(10min - 1s);
    EXPECT_TRUE(audits.empty());
    const std::map<std::string, int> before = looks;
    world.pass(30min);
    EXPECT_EQ(audits, (std::map<std::string, int>{{"db", 3}, {"web", 3}}));
    EXPECT_EQ(looks, before) << "nothing else made anybody look";
}

TEST_F(CoreRareEvents, AVolumeThatWasTouchedIsComparedAtOnceAndNoOther) {
    for (const char* name : {"web", "db"})
        world.write(std::string(name) + ".yaml", volume_yaml("shop", name, kToken));
    world.start();
    world.pass(1min);
    const VolumePath web = world.names.at({"shop", "web", "v"});
    const VolumePath db = world.names.at({"shop", "db", "v"});
    world.disk.erase(web);
    world.disk.erase(db);
    world.act([&](Core& core, Now now) { core.on_touched(now, {{web, VolumePath{"nobodys", "", "", ""}}}); });
    world.pass(1s);
    EXPECT_TRUE(world.disk.contains(web));
    EXPECT_FALSE(world.disk.contains(db));
    world.act([&](Core& core, Now now) { core.on_touched(now, std::nullopt); });
    world.pass(1s);
    EXPECT_TRUE(world.disk.contains(db)) << "it may have been any of them";
    EXPECT_EQ(world.issuer.requests.size(), 2u) << "what is published is what was there";
}

TEST_F(CoreRareEvents, AVolumeThatCannotBePublishedIsNotTriedSoonerForBeingTouched) {
    int tries = 0;
    world.publish_fails = [&](const VolumePath&) -> std::optional<Error> {
        ++tries;
        return Error{Errc::Io, "openat(token): No space left on device"};
    };
    world.write("web.yaml", volume_yaml("shop", "web", kToken));
    world.start();
    world.pass(10min);
    const VolumePath web = world.names.empty() ? VolumePath{} : world.names.begin()->second;
    const int before = tries;
    for (int i = 0; i < 20; ++i)
        world.act([&](Core& core, Now now) { core.on_touched(now, {{web}}); });
    world.act([&](Core& core, Now now) { core.on_touched(now, std::nullopt); });
    EXPECT_EQ(tries, before);
}

TEST_F(CoreRareEvents, AVolumeThatIsTouchedWhileItIsPublishedIsComparedAgain) {
    start_with_a_publish_under_way();
    world.act([&](Core& core, Now now) { core.on_touched(now, {{*publishing_}}); });
    const VolumePath web = *std::exchange(publishing_, std::nullopt);
    world.act([&](Core& core, Now now) { core.on_published(now, web, PublishOutcome{}); });
    world.pass(0s);
    EXPECT_EQ(publishing_, web) << "it may have been after the publish had looked";
}

TEST_F(CoreRareEvents, AVolumeThatIsTouchedWhileItIsTriedAgainIsComparedSoonAfter) {
    start_with_a_publish_under_way();
    const VolumePath web = *publishing_;
    world.act([&](Core& core, Now now) { core.on_published(now, web, fail(Errc::Io, "No space left on device")); });
    world.pass(2s);
    world.act([&](Core& core, Now now) { core.on_touched(now, {{web}}); });
    publishing_.reset();
    world.act([&](Core& core, Now now) { core.on_published(now, web, PublishOutcome{}); });
    world.pass(2s);
    EXPECT_EQ(publishing_, web);
}

TEST_F(CoreRareEvents, AVolumeWithAStrangersDirectoryInTheWayIsNotReady) {
    start_with_a_publish_under_way();
    answer_publish(
        {.wrote = true, .repaired = false, .reason = "", .generation = "g", .older = {}, .blocked = {"token"}});
    EXPECT_FALSE(world.pod_status("shop", "web")->ready);
    EXPECT_THAT(message(), HasSubstr("token: something else stands where the link to the file belongs"));
}

TEST_F(CoreRareEvents, APodThatLeavesWhileItIsPublishedIsRemovedAfterwards) {
    start_with_a_publish_under_way();
    world.unlink("web.yaml");
    world.pass(1min);
    EXPECT_FALSE(world.disk.empty()) << "two hands in one volume would be one too many";
    answer_publish({.wrote = true, .repaired = false, .reason = "", .generation = "g", .older = {}, .blocked = {}});
    world.pass(1s);
    EXPECT_TRUE(world.disk.empty());
}

TEST_F(CoreRareEvents, AVolumeThatIsWantedAgainWhileItIsRemovedIsPublishedAgain) {
    const std::string with = with_uid(volume_yaml("shop", "web", kToken), "one");
    world.write("web.yaml", with);
    world.start();
    world.pass(1s);
    world.on_removal = [&](const VolumePath&, End) { world.write("web.yaml", with); };
    world.write("web.yaml", with_uid(pod_yaml("shop", "web"), "one"));
    world.pass(5s);
    ASSERT_TRUE(token());
    world.pass(30s);
    world.on_removal = nullptr;
    world.pass(1s);
    EXPECT_TRUE(token());
}

TEST_F(CoreRareEvents, AnAnswerToNothingIsOverlooked) {
    world.write("web.yaml", volume_yaml("shop", "web", kToken));
    world.start();
    world.pass(1s);
    const auto before = token();
    const VolumePath path = world.disk.begin()->first;
    VolumePath stranger = path;
    stranger.pod_uid = "stranger";
    world.act([&](Core& core, Now now) {
        core.on_published(now, path, PublishOutcome{});
        core.on_published(now, stranger, PublishOutcome{});
        core.on_removed(now, path, {});
        core.on_removed(now, stranger, {});
        core.on_identities_saved(now, 999, fail(Errc::Io, "late"));
        core.on_issuer_told(now, 999, fail(Errc::Io, "late"));
        core.on_token(now, 999, std::unexpected(TokenFailure{Error{Errc::Internal, "late"}, {}}));
    });
    world.pass(1s);
    EXPECT_EQ(token(), before);
    EXPECT_EQ(message(), "");
}

TEST_F(CoreRareEvents, TheYoungestRecordOfSeveralBootsTellsTheIssuersClock) {
    CoreSettings settings = World::default_settings();
    settings.issuer_clock = IssuerClock::Measured;
    World skewed(settings);
    skewed.issuer.clock_offset = 3h;
    skewed.write("a.yaml", volume_yaml("shop", "a", kToken));
    skewed.start();
    skewed.pass(1min);
    skewed.reboot();
    skewed.start();
    skewed.write("b.yaml", volume_yaml("shop", "b", kToken));
    skewed.pass(1min);
    skewed.reboot();
    skewed.start();
    skewed.write("c.yaml", volume_yaml("shop", "c", kToken));
    skewed.pass(1min);
    skewed.crash();
    skewed.start();
    skewed.pass(1min);
    EXPECT_EQ(skewed.issuer.requests.size(), 3U) << "one for each Pod";
}

}  // namespace
}  // namespace tokenlet::agent
