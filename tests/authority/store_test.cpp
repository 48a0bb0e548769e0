// SPDX-License-Identifier: Apache-2.0
#include "authority/store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/authority/scratch.h"

namespace tokenlet::authority {
namespace {

using namespace std::chrono_literals;

PodRecord pod(std::string name, std::optional<WallTime> deleted = {}) {
    return {.key = {"shop", name},
            .uid = name + "-uid",
            .service_account = "frontend",
            .node_name = "edge-7",
            .deletion_timestamp = deleted};
}

const ServiceAccountRecord kFrontend{
    .key = {"shop", "frontend"}, .uid = "sa", .origin = ServiceAccountRecord::Origin::Declared};
const ServiceAccountRecord kDefault{
    .key = {"shop", "default"}, .uid = "d", .origin = ServiceAccountRecord::Origin::Implied};

TEST(Store, GivesBackWhatWasSavedAfterAReopening) {
    const Scratch scratch;
    {
        Store store = Store::open(scratch.at("a.db")).value();
        ASSERT_TRUE(store.save({.accounts = {kFrontend, kDefault},
                                .removed_accounts = {},
                                .pods = {pod("web"), pod("leaving", kNow)},
                                .removed_pods = {},
                                .nodes = {{"edge-7", "node-uid"}}}));
    }
    const Registry registry = Store::open(scratch.at("a.db"))->load_registry().value();
    EXPECT_EQ(*registry.service_account(kFrontend.key), kFrontend);
    EXPECT_EQ(*registry.service_account(kDefault.key), kDefault);
    EXPECT_EQ(*registry.pod({"shop", "web"}), pod("web"));
    EXPECT_EQ(*registry.pod({"shop", "leaving"}), pod("leaving", kNow));
    EXPECT_EQ(registry.next_pod_expiry(), kNow + 60s + 1ns);
    EXPECT_EQ(registry.node("edge-7")->uid, "node-uid");
}

TEST(Store, ForgetsWhatWasRemoved) {
    const Scratch scratch;
    Store store = Store::open(scratch.at("a.db")).value();
    ASSERT_TRUE(store.save(
        {.accounts = {kFrontend}, .removed_accounts = {}, .pods = {pod("web")}, .removed_pods = {}, .nodes = {}}));
    ASSERT_TRUE(store.save({.accounts = {},
                            .removed_accounts = {kFrontend.key},
                            .pods = {},
                            .removed_pods = {{"shop", "web"}},
                            .nodes = {}}));
    const Registry registry = store.load_registry().value();
    EXPECT_TRUE(registry.service_accounts().empty());
    EXPECT_TRUE(registry.pods().empty());
}

TEST(Store, KeepsEveryFieldOfAKey) {
    const Scratch scratch;
    const std::vector<KeyRecord> keys = {
        {.kid = "a",
         .algorithm = Algorithm::Rs256,
         .jwk = R"({"kid":"a"})",
         .published_at = kNow,
         .signing_since = kNow + 1h,
         .retired_at = kNow + 2h,
         .signed_until = kNow + 3h},
        {.kid = "b",
         .algorithm = Algorithm::Es512,
         .jwk = "{}",
         .published_at = kNow,
         .signing_since = {},
         .retired_at = {},
         .signed_until = {}},
    };
    ASSERT_TRUE(Store::open(scratch.at("a.db"))->save_keys(keys));
    Store store = Store::open(scratch.at("a.db")).value();
    EXPECT_EQ(store.load_keys(), keys);
    ASSERT_TRUE(store.save_keys(std::span(keys).first(1)));
    EXPECT_EQ(store.load_keys()->size(), 1u);
}

TEST(Store, IsPrivateWhateverTheUmask) {
    const Scratch scratch;
    const mode_t old = ::umask(0);
    Store store = Store::open(scratch.at("a.db")).value();
    ASSERT_TRUE(
        store.save({.accounts = {kFrontend}, .removed_accounts = {}, .pods = {}, .removed_pods = {}, .nodes = {}}));
    ::umask(old);
    EXPECT_EQ(scratch.mode("a.db"), 0600u);
    EXPECT_EQ(scratch.mode("a.db-wal"), 0600u);
    EXPECT_EQ(scratch.mode("a.db-shm"), 0600u);
}

TEST(Store, NamesTheCallThatFailedAndWhy) {
    const Scratch scratch;
    std::filesystem::create_directory(scratch.at("a.db-wal"));
    const auto store = Store::open(scratch.at("a.db"));
    ASSERT_FALSE(store);
    EXPECT_NE(store.error().what.find(scratch.at("a.db")), std::string::npos) << store.error().what;
    EXPECT_NE(store.error().what.find("unlink: Is a directory"), std::string::npos) << store.error().what;
    EXPECT_EQ(store.error().os_errno, EISDIR);
}

TEST(Store, SaysWhatIsWrongWithAFileThatIsNoDatabase) {
    const Scratch scratch;
    scratch.write("junk.db", std::string(8192, 'x'));
    const Result<Store> junk = Store::open(scratch.at("junk.db"));
    ASSERT_FALSE(junk);
    EXPECT_EQ(junk.error().what, scratch.at("junk.db") +
                                     ": file is not a database; restore it from a backup, or move "
                                     "it away to start with new uids and keys");
    EXPECT_EQ(junk.error().code, Errc::Io);
    ASSERT_EQ(::mkdir(scratch.at("folder.db").c_str(), 0700), 0);
    EXPECT_EQ(Store::open(scratch.at("folder.db")).error().what,
              "open(" + scratch.at("folder.db") + "): Is a directory");
    ASSERT_EQ(::symlink("junk.db", scratch.at("link.db").c_str()), 0);
    EXPECT_EQ(Store::open(scratch.at("link.db")).error().what,
              scratch.at("link.db") + " is a symbolic link; put the file itself there");
}

}  // namespace
}  // namespace tokenlet::authority
