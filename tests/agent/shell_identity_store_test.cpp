// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/identity_store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/fsatomic/scratch.h"

namespace tokenlet::agent {
namespace {

using fsatomic::Scratch;

const PodIdentity kWeb{.pod = {"shop", "web"}, .uid = "11111111-2222-4333-8444-555555555555"};
const PodIdentity kDb{.pod = {"shop", "db"}, .uid = "66666666-7777-4888-9999-000000000000"};

std::vector<PodIdentity> loaded(const Scratch& scratch) {
    auto store = IdentityStore::open(scratch.fd());
    EXPECT_TRUE(store) << store.error().what;
    return store ? store->take_loaded() : std::vector<PodIdentity>{};
}

TEST(IdentityStore, KnowsAfterAReopenWhatWasSaved) {
    const Scratch scratch;
    auto store = IdentityStore::open(scratch.fd());
    ASSERT_TRUE(store);
    EXPECT_TRUE(store->take_loaded().empty());
    ASSERT_TRUE(store->save({kWeb, kDb}, {}));
    ASSERT_TRUE(store->save({}, {kWeb}));
    EXPECT_EQ(loaded(scratch), std::vector<PodIdentity>{kDb});
    EXPECT_EQ(loaded(scratch), std::vector<PodIdentity>{kDb}) << "a reopen writes the file anew, and loses nothing";
}

TEST(IdentityStore, KeepsTheNewUidOfAPodThatLeftAndCameBack) {
    const Scratch scratch;
    auto store = IdentityStore::open(scratch.fd());
    const PodIdentity again{.pod = kWeb.pod, .uid = kDb.uid};
    ASSERT_TRUE(store->save({kWeb}, {}));
    ASSERT_TRUE(store->save({again}, {kWeb}));
    EXPECT_EQ(loaded(scratch), std::vector<PodIdentity>{again});
}

TEST(IdentityStore, IsForTheAgentAlone) {
    const Scratch scratch;
    ASSERT_TRUE(IdentityStore::open(scratch.fd()));
    struct stat status{};
    ASSERT_EQ(::stat(scratch.at("identities").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600U);
}

TEST(IdentityStore, PassesOverALastLineThatACrashCutShort) {
    const Scratch scratch;
    std::ofstream(scratch.at("identities")) << "add shop/web " << kWeb.uid << "\nadd shop/db 6666";
    EXPECT_EQ(loaded(scratch), std::vector<PodIdentity>{kWeb});
}

TEST(IdentityStore, RefusesAFileThatIsNotItsOwnAndNamesTheLine) {
    const std::pair<const char*, std::string> cases[] = {
        {"a verb it does not know", "put shop/web " + kWeb.uid},
        {"no uid", "add shop/web"},
        {"a path for a uid", "add shop/web ../../etc"},
        {"a path for a name", "add ../x " + kWeb.uid},
        {"more than there should be", "add shop/web " + kWeb.uid + " x"},
        {"a blank at its end", "add shop/web " + kWeb.uid + " "},
        {"NUL bytes, as a lost disk block leaves", std::string(40, '\0')},
    };
    for (const auto& [name, line] : cases) {
        SCOPED_TRACE(name);
        const Scratch scratch;
        const std::string text = "add shop/db " + kDb.uid + "\n" + line + "\n";
        std::ofstream(scratch.at("identities")) << text;
        const auto store = IdentityStore::open(scratch.fd());
        ASSERT_FALSE(store);
        EXPECT_EQ(store.error().code, Errc::Invalid);
        EXPECT_NE(store.error().what.find("identities: line 2: "), std::string::npos) << store.error().what;
        EXPECT_EQ(fsatomic::read_whole(scratch.at("identities")), text) << "what cannot be read is not touched";
    }
}

// A limit on file sizes cuts a write short as a full disk does.
TEST(IdentityStore, LeavesNoHalfLineWhenTheDiskIsFull) {
    const Scratch scratch;
    auto store = IdentityStore::open(scratch.fd());
    ASSERT_TRUE(store->save({kWeb}, {}));
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    auto* const handler = ::signal(SIGXFSZ, SIG_IGN);
    const rlimit tight{.rlim_cur = std::filesystem::file_size(scratch.at("identities")) + 10,
                       .rlim_max = before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
    const auto full = store->save({kDb}, {});
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    ::signal(SIGXFSZ, handler);
    EXPECT_FALSE(full);
    EXPECT_EQ(loaded(scratch), std::vector<PodIdentity>{kWeb});
}

TEST(IdentityStore, SavesOnTheSecondTryWhatTheFirstCouldNot) {
    const Scratch scratch;
    auto store = IdentityStore::open(scratch.fd());
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    auto* const handler = ::signal(SIGXFSZ, SIG_IGN);
    const rlimit tight{.rlim_cur = 10, .rlim_max = before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
    EXPECT_FALSE(store->save({kWeb}, {}));
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    ::signal(SIGXFSZ, handler);
    ASSERT_TRUE(store->save({kWeb}, {}));
    EXPECT_EQ(loaded(scratch), std::vector<PodIdentity>{kWeb});
}

}  // namespace
}  // namespace tokenlet::agent
