// SPDX-License-Identifier: Apache-2.0
// What stands after a kill or an error at every single system call of publish(), on a full and on a read-only disk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include "fsatomic/link.h"
#include "fsatomic/publish.h"
#include "tests/fsatomic/child.h"
#include "tests/fsatomic/scratch.h"
#include "tests/fsatomic/traced_child.h"

namespace tokenlet::fsatomic {
namespace {

using testing::HasSubstr;

const std::vector<Text> kOld{{"token", "old", 0600}, {"d/key", "old"}, {"gone", "old"}};
const std::vector<Text> kNew{{"token", "new", 0600}, {"d/key", "new"}, {"added", "new"}};

SeenFiles seen_of(const std::vector<Text>& files) {
    SeenFiles seen;
    for (const Text& text : files)
        seen[text.path] = {text.bytes, text.mode};
    return seen;
}

enum class Rights { Root, None };

struct Setting {
    const char* name;
    const char* base;
    Durability durability;
    bool remembered;  // what is known of the old set; after a restart nothing is
    Rights rights = Rights::Root;
};

// A volume with the old set.
struct Volume {
    explicit Volume(const Setting& of) : setting(of), scratch(of.base), publisher(scratch.fd()) {
        if (setting.rights == Rights::None) {
            EXPECT_EQ(::fchown(scratch.fd().get(), kNobody, kNobody), 0);
        }
        EXPECT_EQ(as_publisher([&] { return publisher.publish(kOld).has_value() ? "" : "the old set"; }), "");
        if (setting.remembered) {
            EXPECT_TRUE(publisher.publish(kOld));
            EXPECT_TRUE(publisher.publish(kOld));
        }
    }
    // Runs `work` in a child with the rights of the setting.
    std::string as_publisher(const std::function<std::string()>& work) const {
        return in_child(
            [&] { return setting.rights == Rights::None && !drop_root() ? "cannot give up root" : work(); });
    }
    int publish_new() {
        if (setting.rights == Rights::None && !drop_root())
            return -1;
        const auto outcome = publisher.publish_payload(payload_of(kNew), {.durability = setting.durability});
        // An error that says nothing is none.
        return outcome ? 0 : outcome.error().what.find('(') == std::string::npos ? 2 : 1;
    }
    // The current set, which must be one of the two; reads as a reader that keeps to one generation.
    [[nodiscard]] std::string current_set() const {
        const std::string data = scratch.at("..data");
        for (const auto& [name, files] : {std::pair("old", kOld), std::pair("new", kNew)})
            if (SeenFiles found = visible(data); found == seen_of(files))
                return name;
        return "a mix";
    }
    // Whether a half-made generation is shut to everybody else: it is opened up when it is complete, not before.
    [[nodiscard]] bool is_half_made_shut() const {
        for (const std::string& name : generations(scratch.path())) {
            const std::string path = scratch.at(name);
            const SeenFiles files = visible(path);
            if ((stat_of(path).st_mode & 077) != 0 && files != seen_of(kOld) && files != seen_of(kNew))
                return false;
        }
        return true;
    }
    // As an agent does after a restart: publishes and sweeps.
    void expect_healed() {
        publisher.witness = {};
        ASSERT_EQ(as_publisher([&]() -> std::string {
                      if (const auto outcome = publisher.publish(kNew); !outcome)
                          return outcome.error().what;
                      const auto swept = sweep(scratch.fd(), {});
                      return swept ? "" : swept.error().what;
                  }),
                  "");
        EXPECT_EQ(visible(scratch.path()), seen_of(kNew));
        EXPECT_EQ(generations(scratch.path()).size(), 1u);
        EXPECT_FALSE(exists(scratch.at("..data_tmp")));
        EXPECT_FALSE(exists(scratch.at(kLinkTemp)));
        EXPECT_FALSE(exists(scratch.at("gone")));
    }

    const Setting& setting;
    Scratch scratch;
    Publisher publisher;
};

class PublishFaults : public testing::TestWithParam<Setting> {
protected:
    void SetUp() override {
        if (!can_trace())
            GTEST_SKIP() << "NOT TESTED: system calls cannot be counted here (not x86-64, or no ptrace)";
        if (GetParam().rights == Rights::None && !can_drop_root())
            GTEST_SKIP() << "NOT TESTED: nobody here can become a user without rights";
    }
};

INSTANTIATE_TEST_SUITE_P(On, PublishFaults,
                         testing::Values(Setting{"TmpfsRemembered", kTmpfs, Durability::Memory, true},
                                         Setting{"TmpfsAfterARestart", kTmpfs, Durability::Memory, false},
                                         Setting{"TmpfsWithoutRights", kTmpfs, Durability::Memory, false, Rights::None},
                                         Setting{"DiskRemembered", kDisk, Durability::Disk, true},
                                         Setting{"DiskAfterARestart", kDisk, Durability::Disk, false},
                                         Setting{"DiskWithoutRights", kDisk, Durability::Disk, false, Rights::None}),
                         [](const testing::TestParamInfo<Setting>& tested) { return std::string(tested.param.name); });

TEST_P(PublishFaults, LeaveTheOldOrTheNewSetAfterAKillAtAnySystemCall) {
    int at = 0;
    for (;; ++at) {
        Volume volume(GetParam());
        const Traced traced = run_traced([&] { return volume.publish_new(); }, at, Fate::Kill);
        if (!traced.reached) {
            EXPECT_EQ(traced.exit_code, 0);
            break;
        }
        SCOPED_TRACE("killed before call " + std::to_string(at) + ", number " + std::to_string(traced.call));
        EXPECT_THAT(volume.current_set(), testing::AnyOf("old", "new"));
        EXPECT_TRUE(volume.is_half_made_shut());
        volume.expect_healed();
    }
    EXPECT_GT(at, 20);
}

TEST_P(PublishFaults, LeaveTheOldOrTheNewSetAfterAnErrorOfAnySystemCall) {
    for (const int os_errno : {ENOSPC, EIO, EACCES, EROFS, EMFILE, EINTR}) {
        int at = 0, failed = 0;
        for (;; ++at) {
            Volume volume(GetParam());
            const Traced traced = run_traced([&] { return volume.publish_new(); }, at, Fate::Fail, os_errno);
            if (!traced.reached)
                break;
            SCOPED_TRACE("errno " + std::to_string(os_errno) + " from call " + std::to_string(at) + ", number " +
                         std::to_string(traced.call));
            ASSERT_THAT(traced.exit_code, testing::AnyOf(0, 1)) << "killed, or an error without call and file";
            const std::string current = volume.current_set();
            if (traced.exit_code == 0) {
                EXPECT_EQ(current, "new");
                EXPECT_EQ(visible(volume.scratch.path()), seen_of(kNew));
            } else {
                ++failed;
                EXPECT_THAT(current, testing::AnyOf("old", "new"));
                EXPECT_FALSE(exists(volume.scratch.at("..data_tmp")));
            }
            if (current == "old") {
                EXPECT_EQ(visible(volume.scratch.path()), seen_of(kOld));
                EXPECT_EQ(generations(volume.scratch.path()).size(), 1u) << "the half-made generation stays";
            }
            volume.expect_healed();
        }
        EXPECT_GT(failed, 15);
    }
}

// Runs `work` with a small tmpfs of its own; the answer as in_child().
std::string on_small_tmpfs(const char* options, const std::function<std::string(const std::string&)>& work) {
    const Scratch scratch;
    return in_child([&]() -> std::string {
        if (!private_mounts() || ::mount("t", scratch.path().c_str(), "tmpfs", 0, options) < 0)
            return kSkip;
        return work(scratch.path());
    });
}

TEST(PublishOnAFullDisk, KeepsTheOldSetAndWorksAgainOnceThereIsRoom) {
    for (const char* options : {"size=64k", "size=1m,nr_inodes=11"}) {
        SCOPED_TRACE(options);
        const std::string found = on_small_tmpfs(options, [](const std::string& path) -> std::string {
            const UniqueFd volume = *open_root(path);
            Publisher publisher(volume);
            const std::vector<Text> old{{"a", "old"}, {"token", "old"}};
            if (!publisher.publish(old))
                return "the first time fails";
            std::vector<Text> large{{"a", "new"}, {"token", std::string(100'000, 'x')}};
            for (int i = 0; i < 10; ++i)
                large.push_back({"f" + std::to_string(i), "x"});
            for (int attempt = 0; attempt < 3; ++attempt) {
                const auto outcome = publisher.publish(large);
                if (outcome || outcome.error().code != Errc::Io || outcome.error().os_errno != ENOSPC)
                    return "no such error";
                if (outcome.error().what.find("(token)") == std::string::npos &&
                    outcome.error().what.find("(f") == std::string::npos)
                    return "names no file: " + outcome.error().what;
                if (visible(path) != SeenFiles{{"a", {"old", 0644}}, {"token", {"old", 0644}}})
                    return "the old set is gone";
                if (generations(path).size() != 1)
                    return "something is left over";
            }
            const auto outcome = publisher.publish({{"a", "new"}, {"token", "new"}});
            return outcome ? "" : outcome.error().what;
        });
        if (found == kSkip)
            GTEST_SKIP() << "NOT TESTED: needs the right to mount";
        EXPECT_EQ(found, "");
    }
}

// A token is its reader's own file where the agent may give files away.
TEST(PublishOnAFullDisk, IsNotHeldUpByAFileThatAReaderHasGrown) {
    for (const char* next : {"old", "new"}) {
        for (const bool with_witness : {true, false}) {
            SCOPED_TRACE(std::string(next) + (with_witness ? ", witness" : ", after another failure"));
            const std::string found = on_small_tmpfs("size=4m", [&](const std::string& path) -> std::string {
                const UniqueFd volume = *open_root(path);
                Publisher publisher(volume);
                if (!publisher.publish({{"a", "old"}, {"d/token", "old"}}))
                    return "the first time fails";
                UniqueFd grown(::open((path + "/d/token").c_str(), O_WRONLY | O_CLOEXEC));
                while (::posix_fallocate(grown.get(), stat_of(path + "/d/token").st_size, 4096) == 0) {
                }
                if (!with_witness)
                    publisher.witness = {};
                if (publisher.publish({{"a", "old"}, {"d/token", next}}))
                    return "there is room while the reader has the file open";
                if (read_whole(path + "/a") != "old")
                    return "what nobody had grown is gone";
                grown.reset();
                const auto outcome = publisher.publish({{"a", "old"}, {"d/token", next}});
                return outcome ? "" : outcome.error().what;
            });
            if (found == kSkip)
                GTEST_SKIP() << "NOT TESTED: needs the right to mount";
            EXPECT_EQ(found, "");
        }
    }
}

TEST(PublishOnAReadOnlyDisk, KeepsTheOldSetAndWorksAgainOnceItIsWritable) {
    const std::string found = on_small_tmpfs("size=1m", [](const std::string& path) -> std::string {
        const UniqueFd volume = *open_root(path);
        Publisher publisher(volume);
        if (!publisher.publish({{"token", "old"}}))
            return "the first time fails";
        if (::mount("t", path.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) < 0)
            return kSkip;
        if (!publisher.publish({{"token", "old"}}))
            return "nothing to write and still an error";
        const auto refused = publisher.publish({{"token", "new"}});
        if (refused || refused.error().os_errno != EROFS)
            return "no such error";
        if (read_whole(path + "/token") != "old")
            return "the old set is gone";
        if (::mount("t", path.c_str(), "tmpfs", MS_REMOUNT, nullptr) < 0)
            return kSkip;
        const auto outcome = publisher.publish({{"token", "new"}});
        return outcome ? "" : outcome.error().what;
    });
    if (found == kSkip)
        GTEST_SKIP() << "NOT TESTED: needs the right to mount";
    EXPECT_EQ(found, "");
}

TEST(PublishInAVanishedDirectory, IsAnErrorThatSaysSo) {
    const Scratch scratch;
    const UniqueFd volume = std::move(make_dirs_beneath(scratch.fd(), "v")->dir);
    Publisher publisher(volume);
    ASSERT_TRUE(publisher.publish({{"token", "1"}}));
    std::filesystem::remove_all(scratch.at("v"));
    const auto outcome = publisher.publish({{"token", "2"}});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Errc::NotFound) << outcome.error().what;
    const UniqueFd again = std::move(make_dirs_beneath(scratch.fd(), "v")->dir);
    EXPECT_TRUE(Publisher(again).publish({{"token", "2"}}));
}

}  // namespace
}  // namespace tokenlet::fsatomic
