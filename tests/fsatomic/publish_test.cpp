// SPDX-License-Identifier: Apache-2.0
// What publish() leaves for a reader, what it repairs and what it leaves alone. Faults are in publish_faults_test.cpp,
// readers and watchers during the switch in publish_readers_test.cpp.
#include "fsatomic/publish.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/xattr.h>

#include <array>
#include <cstring>

#include "fsatomic/acl.h"
#include "fsatomic/link.h"
#include "tests/fsatomic/child.h"
#include "tests/fsatomic/scratch.h"

namespace tokenlet::fsatomic {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

class Publish : public testing::TestWithParam<const char*> {
protected:
    // Every step through the names leads to exactly the payload.
    void expect_visible(const std::vector<Text>& files) {
        SeenFiles want;
        for (const Text& text : files)
            want[text.path] = {text.bytes, text.mode};
        EXPECT_EQ(visible(scratch_.path()), want);
    }
    void expect_published(const std::vector<Text>& files) {
        const auto outcome = publisher_.publish(files);
        ASSERT_TRUE(outcome) << outcome.error().what;
        EXPECT_EQ(outcome->change, Change::Published);
        expect_visible(files);
    }
    void expect_change(const std::vector<Text>& files, Change change, std::string_view reason) {
        const auto outcome = publisher_.publish(files);
        ASSERT_TRUE(outcome) << outcome.error().what;
        EXPECT_EQ(outcome->change, change) << outcome->reason;
        EXPECT_THAT(outcome->reason, HasSubstr(std::string(reason)));
        expect_visible(files);
    }

    Scratch scratch_{GetParam()};
    Publisher publisher_{scratch_.fd()};
};

INSTANTIATE_TEST_SUITE_P(On, Publish, testing::Values(kTmpfs, kDisk), file_system_name);

const std::string kElf(
    "\x7f"
    "ELF\x02\x01\x01\x00\x00\xff\xfe\x00binary",
    18);

TEST_P(Publish, ShowsExactlyThePayloadTheFirstTime) {
    struct Case {
        std::string_view name;
        std::vector<Text> files;
    };
    const Case cases[] = {
        {"two files", {{"foo", "foo"}, {"bar", "bar"}}},
        {"a binary", {{"elf", kElf}}},
        {"dot files", {{".foo", "a"}, {".foo.bar", "b"}}},
        {"exact modes", {{"a", "a", 0777}, {"b", "b", 0400}, {"c", "c", 0407}, {".d", "d", 0440}, {"e/f", "f", 0666}}},
        {"sub-directories", {{"a/token", "1"}, {"a/b/token", "2"}, {"c/token", "3"}}},
        {"ten levels", {{"a/b/c/d/e/f/g/h/i/j", "deep"}}},
        {"an empty file", {{"empty", ""}}},
        {"more than a buffer", {{"big", std::string(1 << 20, 'b')}}},
        {"names of 255 bytes",
         {{std::string(255, 'n'), "1"}, {std::string(255, 'd') + "/" + std::string(255, 'n'), "2"}}},
        {"a name with two dots deeper down", {{"a/..b", "x"}}},
        {"everything at once", {{"a", "1", 0600}, {".b", "2", 0444}, {"c/d/e", kElf, 0755}, {"c/f", "", 0640}}},
        {"nothing", {}},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const Scratch scratch(GetParam());
        Publisher publisher(scratch.fd());
        const mode_t before = ::umask(0);
        const auto outcome = publisher.publish(c.files);
        ::umask(before);
        ASSERT_TRUE(outcome) << outcome.error().what;
        EXPECT_EQ(outcome->change, Change::Published);
        EXPECT_TRUE(outcome->content_changed);
        EXPECT_FALSE(outcome->previous);
        SeenFiles want;
        for (const Text& text : c.files)
            want[text.path] = {text.bytes, text.mode};
        EXPECT_EQ(visible(scratch.path()), want);
        EXPECT_EQ(link_of(scratch.at("..data")), outcome->generation);
        EXPECT_EQ(stat_of(scratch.at("..data")).st_mode & 07777, 0755u);
        EXPECT_FALSE(exists(scratch.at("..data_tmp")));
        const auto again = publisher.publish(c.files);
        EXPECT_EQ(again->change, Change::None) << again->reason;
    }
}

TEST_P(Publish, CleansPathsAndSharesOneLinkPerFirstComponent) {
    ASSERT_TRUE(publisher_.publish({{"a////b", "1"}, {"./a/c", "2"}, {"d/", "3"}}));
    expect_visible({{"a/b", "1"}, {"a/c", "2"}, {"d", "3"}});
    EXPECT_EQ(link_of(scratch_.at("a")), "..data/a");
    EXPECT_EQ(link_of(scratch_.at("d")), "..data/d");
}

TEST_P(Publish, TakesAPathOf4096Bytes) {
    std::string path;
    for (int i = 0; i < 15; ++i)
        path += std::string(255, 'n').append("/");
    path += std::string(254, 'm') + "/x";
    ASSERT_EQ(path.size(), 4096u);
    for (const auto& change : {Change::Published, Change::None}) {
        const auto outcome = publisher_.publish({{path, "deep"}});
        ASSERT_TRUE(outcome) << outcome.error().what;
        EXPECT_EQ(outcome->change, change);
    }
    const auto bytes = read_current(scratch_.fd(), path, 100);
    ASSERT_TRUE(bytes) << bytes.error().what;
    EXPECT_EQ(bytes->view(), "deep");
    EXPECT_EQ(publisher_.publish({{"x", ""}})->retained.size(), 1u);
    EXPECT_EQ(sweep(scratch_.fd(), {})->size(), 1u);
}

TEST_P(Publish, TouchesNothingForAPayloadItRefuses) {
    ASSERT_TRUE(publisher_.publish({{"a", "1"}}));
    struct Case {
        std::string_view name;
        std::vector<Text> files;
    };
    const Case cases[] = {
        {"a bad path among good ones", {{"a", "2"}, {"../b", ""}}},
        {"reserved", {{"..data", ""}}},
        {"a file that is also a directory", {{"a", ""}, {"a/b", ""}}},
        {"the same, with a name sorted in between", {{"a", ""}, {"a.b", ""}, {"a/b", ""}}},
        {"the same, found from the file", {{"a//b/c", ""}, {"a/b", ""}}},
        {"two spellings of one path", {{"a//b", "1"}, {"a/b", "2"}}},
        {"empty", {{"", ""}}},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const auto outcome = publisher_.publish(c.files);
        ASSERT_FALSE(outcome);
        EXPECT_EQ(outcome.error().code, Errc::Invalid);
        EXPECT_THAT(outcome.error().what, HasSubstr("path '"));
        expect_visible({{"a", "1"}});
        EXPECT_EQ(generations(scratch_.path()).size(), 1u);
    }
}

TEST_P(Publish, FollowsEveryKindOfUpdate) {
    expect_published({{"a", "1"}, {"b", "1"}});
    expect_published({{"a", "2", 0600}, {"b", "1"}});                          // content with mode
    expect_published({{"a", "2", 0600}, {"b", "1"}, {"c", "1"}});              // one more
    expect_published({{"a", "2"}, {"b", "1"}, {"d/e/f", "1"}});                // one less, a deep new directory
    expect_published({{"a", "2"}, {"b", "1"}, {"d/e/f", "1"}, {"d/g", "1"}});  // in an existing directory
    expect_published({{"a", "2"}, {"d/g", "1"}});                              // a deep part goes
    expect_published({{"a/b", "2"}, {"d", "1"}});                              // file and directory change places
    expect_published({{"x/y", "1"}});                                          // everything replaced
    expect_published({});                                                      // everything goes
    EXPECT_THAT(visible(scratch_.path()), IsEmpty());
    EXPECT_TRUE(exists(scratch_.at("..data")));
    expect_published({{"a", "1"}});
}

TEST_P(Publish, WritesNothingWhenNothingChanged) {
    const std::vector<Text> files{{"token", "t", 0600}, {"d/ca.crt", "c"}};
    ASSERT_TRUE(publisher_.publish(files));
    const ino_t inode = stat_of(scratch_.at("token")).st_ino;
    for (const bool with_witness : {true, false, true}) {
        if (!with_witness)
            publisher_.witness = {};
        const auto outcome = publisher_.publish(files);
        ASSERT_TRUE(outcome) << outcome.error().what;
        EXPECT_EQ(outcome->change, Change::None) << outcome->reason;
        EXPECT_EQ(outcome->reason, "");
        EXPECT_FALSE(outcome->previous);
        EXPECT_TRUE(outcome->witness.settled);
    }
    EXPECT_EQ(stat_of(scratch_.at("token")).st_ino, inode);
    EXPECT_EQ(generations(scratch_.path()).size(), 1u);
}

TEST_P(Publish, TellsTheCallerWhatItReplaced) {
    const auto first = publisher_.publish({{"a", "1"}, {"b", "22"}});
    const auto second = publisher_.publish({{"a", "3"}});
    ASSERT_TRUE(first && second);
    EXPECT_EQ(second->previous, (Generation{first->generation, 3}));
    EXPECT_THAT(second->retained, ElementsAre(Generation{first->generation, 3}));
    EXPECT_EQ(second->reason, "content differs");
    EXPECT_TRUE(second->content_changed);
    EXPECT_THAT(generations(scratch_.path()), ElementsAre(first->generation, second->generation));
}

TEST_P(Publish, SharesNoFileBetweenGenerations) {
    ASSERT_TRUE(publisher_.publish({{"same", "s"}, {"token", "1"}}));
    const ino_t before = stat_of(scratch_.at("same")).st_ino;
    ASSERT_TRUE(publisher_.publish({{"same", "s"}, {"token", "2"}}));
    EXPECT_NE(stat_of(scratch_.at("same")).st_ino, before);
}

// Each of these is done to a published volume; the next pass must find it, with a settled witness and without one.
struct Damage {
    const char* name;
    std::function<void(const Scratch&)> harm;
    Change want;
    const char* reason;
};

const Damage kDamages[] = {
    {"bytes changed, same length", [](const Scratch& s) { write_whole(s.at("token"), "T"); }, Change::Published,
     "token"},
    {"bytes appended", [](const Scratch& s) { write_whole(s.at("token"), "tt"); }, Change::Published, "token"},
    {"mode widened", [](const Scratch& s) { ::chmod(s.at("token").c_str(), 0644); }, Change::Published, "mode is 0644"},
    {"owner changed", [](const Scratch& s) { (void)!::chown(s.at("token").c_str(), 7, -1); }, Change::Published,
     "owner"},
    {"group changed", [](const Scratch& s) { (void)!::chown(s.at("token").c_str(), -1, 7); }, Change::Published,
     "group"},
    {"a reader let in by an access list",
     [](const Scratch& s) {
         const auto list = encode_acl({.mode = 0600, .readers = {{Reader::Kind::User, 7}}}, Node::File);
         ASSERT_EQ(::setxattr(s.at("token").c_str(), "system.posix_acl_access", list.data(), list.size(), 0), 0);
     },
     Change::Published, "token"},
    {"file gone", [](const Scratch& s) { ::unlink(s.at("..data/token").c_str()); }, Change::Published, "token"},
    {"an extra file", [](const Scratch& s) { write_whole(s.at("..data/extra"), ""); }, Change::Published, "extra"},
    {"an extra file deeper down", [](const Scratch& s) { write_whole(s.at("d/extra"), ""); }, Change::Published,
     "extra"},
    {"a directory's mode", [](const Scratch& s) { ::chmod(s.at("d").c_str(), 0777); }, Change::Published, "mode"},
    {"the generation's mode", [](const Scratch& s) { ::chmod(s.at("..data").c_str(), 0700); }, Change::Published,
     "mode"},
    {"a link to elsewhere instead of a file",
     [](const Scratch& s) {
         ::unlink(s.at("..data/token").c_str());
         std::filesystem::create_symlink("/etc/shadow", s.at("..data/token"));
     },
     Change::Published, "token"},
    {"a FIFO instead of a file",
     [](const Scratch& s) {
         ::unlink(s.at("..data/token").c_str());
         ::mkfifo(s.at("..data/token").c_str(), 0600);
     },
     Change::Published, "token"},
    {"a directory instead of a file",
     [](const Scratch& s) {
         ::unlink(s.at("..data/token").c_str());
         ::mkdir(s.at("..data/token").c_str(), 0700);
     },
     Change::Published, "token"},
    {"the generation gone, ..data dangling",
     [](const Scratch& s) { std::filesystem::remove_all(s.at(link_of(s.at("..data")))); }, Change::Published, ".."},
    {"the generation replaced by a link",
     [](const Scratch& s) {
         const std::string generation = s.at(link_of(s.at("..data")));
         std::filesystem::rename(generation, s.at("elsewhere"));
         std::filesystem::create_symlink("elsewhere", generation);
     },
     Change::Published, "symbolic link"},
    {"..data gone", [](const Scratch& s) { ::unlink(s.at("..data").c_str()); }, Change::Published, "..data"},
    {"..data to /etc",
     [](const Scratch& s) {
         ::unlink(s.at("..data").c_str());
         std::filesystem::create_symlink("/etc", s.at("..data"));
     },
     Change::Published, "..data"},
    {"..data a file",
     [](const Scratch& s) {
         ::unlink(s.at("..data").c_str());
         write_whole(s.at("..data"), "");
     },
     Change::Published, "..data"},
    {"..data a directory",
     [](const Scratch& s) {
         ::unlink(s.at("..data").c_str());
         ::mkdir(s.at("..data").c_str(), 0700);
         write_whole(s.at("..data/f"), "");
     },
     Change::Published, "..data"},
    {"a visible link gone", [](const Scratch& s) { ::unlink(s.at("token").c_str()); }, Change::Repaired, "token"},
    {"a visible link to /etc/shadow",
     [](const Scratch& s) {
         ::unlink(s.at("token").c_str());
         std::filesystem::create_symlink("/etc/shadow", s.at("token"));
     },
     Change::Repaired, "token"},
    {"a file at a visible name",
     [](const Scratch& s) {
         ::unlink(s.at("token").c_str());
         write_whole(s.at("token"), "fake");
     },
     Change::Repaired, "token"},
    {"a link of ours left over from a lost generation",
     [](const Scratch& s) { std::filesystem::create_symlink("..data/gone", s.at("gone")); }, Change::Repaired, "gone"},
    {"the volume's mode", [](const Scratch& s) { ::chmod(s.path().c_str(), 0700); }, Change::Repaired, "mode"},
};

TEST_P(Publish, RepairsOnEachPassWhatWasDamaged) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "NOT TESTED: changing owners needs root";
    const std::vector<Text> files{{"token", "t", 0600}, {"d/ca.crt", "c"}};
    for (const Damage& damage : kDamages) {
        for (const bool with_witness : {true, false}) {
            SCOPED_TRACE(std::string(damage.name) + (with_witness ? ", witness" : ", after a restart"));
            const Scratch scratch(GetParam());
            Publisher publisher(scratch.fd());
            ASSERT_TRUE(publisher.publish(files));
            ASSERT_TRUE(publisher.publish(files)->witness.settled);
            next_tick();
            damage.harm(scratch);
            if (!with_witness)
                publisher.witness = {};
            const auto outcome = publisher.publish(files);
            ASSERT_TRUE(outcome) << outcome.error().what;
            EXPECT_EQ(outcome->change, damage.want);
            EXPECT_THAT(outcome->reason, HasSubstr(damage.reason));
            EXPECT_EQ(outcome->was_damaged, with_witness || damage.want == Change::Repaired);
            const SeenFiles want{{"token", {"t", 0600}}, {"d/ca.crt", {"c", 0644}}};
            SeenFiles found = visible(scratch.path());
            std::erase_if(found, [](const auto& seen) { return seen.first.starts_with("elsewhere"); });
            EXPECT_EQ(found, want);
            EXPECT_EQ(stat_of(scratch.path()).st_mode & 07777, 0755u);
            EXPECT_EQ(stat_of(scratch.at("token")).st_uid, 0u);
            EXPECT_FALSE(exists(scratch.at("..data_tmp")));
            EXPECT_FALSE(exists(scratch.at(kLinkTemp)));
            EXPECT_EQ(publisher.publish(files)->change, Change::None) << "one repair is enough";
        }
    }
}

// Change times come in ticks: what is removed right after a publish leaves the volume with the time that the publish gave it.
TEST_P(Publish, MissesNoNameThatGoesInTheTickOfTheLastPublish) {
    for (const char* name : {"token", "..data"}) {
        for (int i = 0; i < 50; ++i) {
            const std::vector<Text> same{{"token", std::to_string(i), 0600}, {"ca.crt", "c"}};
            ASSERT_TRUE(publisher_.publish(same));
            ASSERT_EQ(::unlinkat(scratch_.fd().get(), name, 0), 0);
            ASSERT_TRUE(
                publisher_.publish(i % 2 == 0 ? same : std::vector<Text>{{"token", "x", 0600}, {"ca.crt", "c"}}));
            ASSERT_EQ(read_whole(scratch_.at("token")), i % 2 == 0 ? std::to_string(i) : "x") << name << " " << i;
        }
    }
}

TEST_P(Publish, TellsAChangeOfContentFromOneOfAccess) {
    ASSERT_TRUE(publisher_.publish({{"token", "t", 0600}}));
    for (const bool with_witness : {true, false}) {
        SCOPED_TRACE(with_witness ? "witness" : "after a restart");
        const mode_t mode = with_witness ? 0640 : 0444;
        if (!with_witness)
            publisher_.witness = {};
        const auto outcome = publisher_.publish({{"token", "t", mode}});
        ASSERT_TRUE(outcome);
        EXPECT_EQ(outcome->change, Change::Published);
        EXPECT_FALSE(outcome->content_changed);
        EXPECT_FALSE(outcome->was_damaged);
        EXPECT_EQ(stat_of(scratch_.at("token")).st_mode & 07777, mode);
    }
}

TEST_P(Publish, LeavesAForeignDirectoryAndForeignNamesAlone) {
    ::mkdir(scratch_.at("nested").c_str(), 0700);
    write_whole(scratch_.at("foreign"), "mine");
    std::filesystem::create_symlink("/etc/hosts", scratch_.at("foreign-link"));
    for (int pass = 0; pass < 3; ++pass) {
        const auto outcome = publisher_.publish({{"nested/x", "1"}, {"token", "t"}});
        ASSERT_TRUE(outcome) << outcome.error().what;
        EXPECT_THAT(outcome->blocked, ElementsAre("nested"));
    }
    ASSERT_TRUE(publisher_.publish({{"nested/x", "1"}, {"token", "u"}}));
    EXPECT_THAT(publisher_.publish({{"token", "t"}})->blocked, IsEmpty());
    EXPECT_TRUE(std::filesystem::is_directory(scratch_.at("nested")));
    EXPECT_EQ(read_whole(scratch_.at("foreign")), "mine");
    EXPECT_EQ(link_of(scratch_.at("foreign-link")), "/etc/hosts");
}

TEST_P(Publish, LinksTheNameOnceTheForeignDirectoryIsGone) {
    ::mkdir(scratch_.at("nested").c_str(), 0700);
    ASSERT_TRUE(publisher_.publish({{"nested/x", "1"}}));
    ASSERT_TRUE(publisher_.publish({{"nested/x", "1"}}));
    next_tick();
    ::rmdir(scratch_.at("nested").c_str());
    const auto outcome = publisher_.publish({{"nested/x", "1"}});
    EXPECT_EQ(outcome->change, Change::Repaired);
    EXPECT_EQ(link_of(scratch_.at("nested")), "..data/nested");
}

TEST_P(Publish, IsNotHeldUpByWhatACrashLeft) {
    ASSERT_TRUE(publisher_.publish({{"token", "1"}}));
    std::filesystem::create_symlink("..2020_01_01_00_00_00.1", scratch_.at("..data_tmp"));
    EXPECT_TRUE(publisher_.publish({{"token", "2"}}));
    std::filesystem::create_directories(scratch_.at("..data_tmp/d"));
    EXPECT_TRUE(publisher_.publish({{"token", "3"}}));
    EXPECT_FALSE(exists(scratch_.at("..data_tmp")));
    expect_visible({{"token", "3"}});
}

TEST_P(Publish, CountsUpWhereTheNameIsTaken) {
    ::mkdir(scratch_.at(generation_name(kLater, 5)).c_str(), 0700);
    ::mkdir(scratch_.at(generation_name(kLater, 6)).c_str(), 0700);
    const auto outcome = publish(scratch_.fd(), payload_of({{"a", "1"}}), {.now = kLater, .digits = 5});
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->generation, generation_name(kLater, 7));
}

TEST_P(Publish, RemovesTheOldestOverTheCapsOnly) {
    struct Case {
        std::string_view name;
        Caps caps;
        std::size_t want;
    };
    const Case cases[] = {{"number", {.generations = 2, .size_bytes = 1 << 20}, 2},
                          {"bytes", {.generations = 8, .size_bytes = 3 * 100}, 3},
                          {"none may stay", {.generations = 0, .size_bytes = 1 << 20}, 0}};
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const Scratch scratch(GetParam());
        Publisher publisher(scratch.fd());
        std::vector<Generation> retained;
        std::vector<std::string> all;
        for (int i = 0; i < 6; ++i) {
            const auto outcome =
                publisher.publish_payload(payload_of({{"token", std::string(100, static_cast<char>('a' + i))}}),
                                          {.retained = retained, .caps = c.caps});
            ASSERT_TRUE(outcome) << outcome.error().what;
            retained = outcome->retained;
            all.push_back(outcome->generation);
        }
        EXPECT_EQ(retained.size(), c.want);
        EXPECT_THAT(generations(scratch.path()),
                    testing::ElementsAreArray(all.end() - static_cast<std::ptrdiff_t>(c.want) - 1, all.end()));
    }
}

TEST_P(Publish, SyncsWhereItIsToldTo) {
    for (const auto& change : {Change::Published, Change::None}) {
        const auto outcome =
            publisher_.publish_payload(payload_of({{"d/token", "1"}}), {.durability = Durability::Disk});
        ASSERT_TRUE(outcome) << outcome.error().what;
        EXPECT_EQ(outcome->change, change);
    }
    expect_visible({{"d/token", "1"}});
}

TEST_P(Publish, SetsOwnersModesAndListsOfFilesAndDirectories) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "NOT TESTED: needs root";
    Payload payload;
    payload.directories = {.mode = 02550, .owner = {}, .group = 2000, .readers = {{Reader::Kind::User, 42}}};
    payload.files["d/token"] = {Secret("t"),
                                {.mode = 0440, .owner = 1000, .group = 2000, .readers = {{Reader::Kind::Group, 33}}}};
    for (const auto& change : {Change::Published, Change::None}) {
        const auto outcome = publisher_.publish_payload(payload);
        ASSERT_TRUE(outcome) << outcome.error().what;
        EXPECT_EQ(outcome->change, change) << outcome->reason;
        publisher_.witness = {};
    }
    const struct stat token = stat_of(scratch_.at("d/token"));
    EXPECT_EQ(token.st_uid, 1000u);
    EXPECT_EQ(token.st_gid, 2000u);
    EXPECT_EQ(token.st_mode & 07777, 0440u);
    const struct stat directory = stat_of(scratch_.at("d"));
    EXPECT_EQ(directory.st_mode & 07777, 02550u);
    EXPECT_EQ(directory.st_gid, 2000u);
    // Who is neither named nor in a group stays out; who is named comes in.
    for (const auto& [id, may] : std::map<unsigned, bool>{{42, false}, {1000, false}, {2000, true}, {77, false}}) {
        const unsigned gid = id == 2000 ? 2000 : 77;
        EXPECT_EQ(
            in_child([&]() -> std::string {
                if (::setgroups(0, nullptr) != 0 || ::setresgid(gid, gid, gid) != 0 || ::setresuid(id, id, id) != 0)
                    return "no";
                return read_whole(scratch_.at("d/token")) == "t" ? "read" : "";
            }),
            may ? "read" : "")
            << id;
    }
}

TEST_P(Publish, InheritsNothingFromADefaultListOnTheVolume) {
    const auto list = encode_acl({.mode = 0750, .readers = {{Reader::Kind::User, 7}}}, Node::Directory);
    ASSERT_EQ(::setxattr(scratch_.path().c_str(), "system.posix_acl_default", list.data(), list.size(), 0), 0);
    for (const auto& change : {Change::Published, Change::None}) {
        const auto outcome = publisher_.publish({{"d/token", "t", 0640}});
        ASSERT_TRUE(outcome) << outcome.error().what;
        EXPECT_EQ(outcome->change, change) << outcome->reason;
        publisher_.witness = {};
    }
    EXPECT_LT(::getxattr(scratch_.at("d/token").c_str(), "system.posix_acl_access", nullptr, 0), 0);
}

TEST_P(Publish, LeavesTheAccessTimeOfFilesAlone) {
    ASSERT_TRUE(publisher_.publish({{"token", "t"}}));
    const std::array<timespec, 2> old{{{1000, 0}, {1001, 0}}};
    ASSERT_EQ(::utimensat(AT_FDCWD, scratch_.at("token").c_str(), old.data(), 0), 0);
    publisher_.witness = {};
    ASSERT_EQ(publisher_.publish({{"token", "t"}})->change, Change::None);
    EXPECT_EQ(read_current(scratch_.fd(), "token", 100)->view(), "t");
    EXPECT_EQ(stat_of(scratch_.at("token")).st_atim.tv_sec, 1000);
}

// The change time alone cannot show a change within one tick of the look.
TEST_P(Publish, DoesNotTrustAWitnessThatIsAsYoungAsTheFile) {
    ASSERT_TRUE(publisher_.publish({{"token", "t"}}));
    const struct stat found = stat_of(scratch_.at("token"));
    const WallTime changed{std::chrono::seconds(found.st_ctim.tv_sec) +
                           std::chrono::nanoseconds(found.st_ctim.tv_nsec)};
    for (const auto& [age, settled] : std::map<Duration, bool>{{1ms, false}, {-1h, false}, {1h, true}}) {
        const auto outcome = publish(scratch_.fd(), payload_of({{"token", "t"}}), {.now = changed + age});
        EXPECT_EQ(outcome->change, Change::None);
        EXPECT_EQ(outcome->witness.settled, settled) << age.count();
    }
}

// Nothing shows the kernel that a page which is mapped and dirty is written to once more.
TEST_P(Publish, FindsWhatNoStampTellsWhenItIsToReadTheBytes) {
    const std::vector<Text> files{{"token", "genuine"}};
    ASSERT_TRUE(publisher_.publish(files));
    const UniqueFd file(::open(scratch_.at("token").c_str(), O_RDWR | O_CLOEXEC));
    void* const mapped = ::mmap(nullptr, 7, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    ASSERT_NE(mapped, MAP_FAILED);
    std::memcpy(mapped, "genuine", 7);
    next_tick();
    ASSERT_EQ(publisher_.publish(files)->change, Change::None);
    std::memcpy(mapped, "forged!", 7);
    ::munmap(mapped, 7);
    const auto outcome = publisher_.publish_payload(payload_of(files), {.trust = Trust::Bytes});
    ASSERT_TRUE(outcome) << outcome.error().what;
    EXPECT_TRUE(outcome->was_damaged);
    EXPECT_EQ(read_whole(scratch_.at("token")), "genuine");
}

TEST_P(Publish, KeepsItsWitnessAcrossARetire) {
    ASSERT_TRUE(publisher_.publish({{"token", "1"}}));
    const auto second = publisher_.publish({{"token", "2"}});
    ASSERT_TRUE(retire(scratch_.fd(), second->previous->name, &publisher_.witness));
    EXPECT_FALSE(publisher_.witness.settled);
    EXPECT_EQ(publisher_.publish({{"token", "2"}})->change, Change::None);
    EXPECT_TRUE(publisher_.witness.settled);
}

TEST_P(Publish, WorksWithoutRights) {
    const std::string found = in_child([]() -> std::string {
        if (!drop_root())
            return kSkip;
        const Scratch scratch(GetParam());
        Publisher publisher(scratch.fd());
        // Modes that shut out their own writer, and directories that do.
        Payload payload = payload_of({{"a", "1", 0040}, {"d/b", "2", 0}});
        payload.directories.mode = 0555;
        payload.files["acl"] = {Secret("3"), {.mode = 0600, .readers = {{{}, 1000}}}};
        for (const Change want : {Change::Published, Change::None, Change::None}) {
            const auto outcome = publisher.publish_payload(payload);
            if (!outcome)
                return outcome.error().what;
            if (outcome->change != want)
                return "not as wanted: " + outcome->reason;
        }
        payload.files["a"] = file("4", 0040);
        const auto next = publisher.publish_payload(payload);
        if (!next)
            return next.error().what;
        if (const auto done = retire(scratch.fd(), next->previous->name); !done)
            return done.error().what;
        payload.files["a"].access.owner = 1;
        const auto refused = publisher.publish_payload(payload);
        if (refused || refused.error().code != Errc::Denied)
            return "a foreign owner was not refused";
        if (generations(scratch.path()).size() != 1 || link_of(scratch.at("..data")) != next->generation)
            return "the old set does not stand alone";
        const auto cleared = clear_volume(scratch.fd());
        return cleared ? "" : cleared.error().what;
    });
    if (found == kSkip)
        GTEST_SKIP() << "NOT TESTED: needs root to become somebody else";
    EXPECT_EQ(found, "");
}

TEST_P(Publish, WorksWhereOpenat2IsRefused) {
    EXPECT_EQ(in_child([]() -> std::string {
                  if (!refuse_openat2(EPERM))
                      return "no seccomp";
                  const Scratch scratch(GetParam());
                  Publisher publisher(scratch.fd());
                  for (const char* bytes : {"1", "2"}) {
                      const auto outcome = publisher.publish({{"a/b/token", bytes}});
                      if (!outcome)
                          return outcome.error().what;
                      publisher.witness = {};
                  }
                  if (read_current(scratch.fd(), "a/b/token", 10)->view() != "2")
                      return "wrong bytes";
                  const auto swept = sweep(scratch.fd(), {});
                  return swept && swept->size() == 1 ? "" : "not swept";
              }),
              "");
}

}  // namespace
}  // namespace tokenlet::fsatomic
