// SPDX-License-Identifier: Apache-2.0
#include "kube/manifest_directory.h"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <random>
#include <string>

#include "tests/kube/manifest_files.h"

namespace tokenlet::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ManifestDirectoryTest : public ::testing::TestWithParam<const char*> {
protected:
    ManifestFiles files_{GetParam()};
    Watched watched_{files_.path()};
};

INSTANTIATE_TEST_SUITE_P(On, ManifestDirectoryTest, ::testing::Values("/dev/shm", "/var/tmp"),
                         [](const auto& place) { return place.param == std::string("/var/tmp") ? "Disk" : "Tmpfs"; });

TEST_P(ManifestDirectoryTest, IsDueAtOnceAndThenOnlyWhenSomethingChanged) {
    EXPECT_TRUE(watched_.look());
    EXPECT_TRUE(watched_.changes.complete);
    EXPECT_FALSE(watched_.is_readable());
    files_.write("web.yaml", pod_text("web"));
    EXPECT_TRUE(watched_.look());
    EXPECT_THAT(watched_.changes.changed, ElementsAre(pod_id("web")));
    EXPECT_FALSE(watched_.is_readable());
    EXPECT_TRUE(watched_.directory.inotify_trusted());
}

TEST_P(ManifestDirectoryTest, ReportsOnlyFilesThatChanged) {
    for (const char* name : {"a", "b", "c"})
        files_.write(name, pod_text(name));
    const Result<Listing> first = watched_.directory.list();
    ASSERT_TRUE(first);
    EXPECT_TRUE(first->whole);
    EXPECT_EQ(first->updates.size(), 3U);

    files_.move_in("b", pod_text("b", "two"));
    const Result<Listing> second = watched_.directory.list();
    ASSERT_TRUE(second);
    EXPECT_FALSE(second->whole);
    ASSERT_EQ(second->updates.size(), 1U);
    EXPECT_EQ(second->updates[0].file, files_ / "b");

    // Rewritten with the same bytes: a new file to stat(), the same manifest.
    files_.move_in("b", pod_text("b", "two"));
    EXPECT_THAT(watched_.directory.list().value().updates, IsEmpty());
}

TEST_P(ManifestDirectoryTest, SeesTwoWritesOfOneSizeWithinOneTickOfTheFileClock) {
    files_.write("web", pod_text("web", "1"));
    watched_.settle();
    for (const char* note : {"2", "3", "4", "5"}) {
        files_.write("web", pod_text("web", note));
        EXPECT_TRUE(watched_.look());
        EXPECT_EQ(watched_.note("web"), note);
    }
}

TEST_P(ManifestDirectoryTest, DoesNotReadAFileThatIsBeingWritten) {
    watched_.settle();
    UniqueFd writer(::open((files_ / "web").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    const std::string text = pod_text("web", "whole");
    ASSERT_EQ(::write(writer.get(), text.data(), 40), 40);
    EXPECT_FALSE(watched_.look());
    // Nor when something else makes a listing due.
    files_.write("other", pod_text("other"));
    EXPECT_TRUE(watched_.look());
    EXPECT_THAT(watched_.changes.changed, ElementsAre(pod_id("other")));
    EXPECT_EQ(watched_.problems(), "");
    ASSERT_EQ(::write(writer.get(), text.data() + 40, text.size() - 40), static_cast<ssize_t>(text.size()) - 40);
    EXPECT_FALSE(watched_.look());
    writer.reset();
    EXPECT_TRUE(watched_.look());
    EXPECT_EQ(watched_.note("web"), "whole");

    // Rewritten in place: empty for a moment, which is not the Pod's end.
    writer.reset(::open((files_ / "web").c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
    files_.write("other", pod_text("other", "again"));
    EXPECT_TRUE(watched_.look());
    EXPECT_THAT(watched_.changes.absent, IsEmpty());
    watched_.resync();
    EXPECT_THAT(watched_.changes.absent, IsEmpty());
    EXPECT_EQ(watched_.note("web"), "whole");
}

TEST_P(ManifestDirectoryTest, ReadsAFileThatIsKeptOpenOnceItsWriterIsQuiet) {
    Watched hasty(files_.path(), {.agent_uid = ::geteuid(), .writer_patience = std::chrono::milliseconds(20)});
    hasty.settle();
    const UniqueFd writer(::open((files_ / "web").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    const std::string text = pod_text("web", "kept open");
    ASSERT_EQ(::write(writer.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    while (hasty.set.pods().empty() && hasty.wait())
        hasty.look();
    EXPECT_EQ(hasty.note("web"), "kept open");
    hasty.settle();
    EXPECT_FALSE(hasty.is_readable());
}

TEST_P(ManifestDirectoryTest, SeesEachWayAFileCanComeAndGo) {
    watched_.settle();
    const std::string elsewhere = files_.top() + "/web";
    struct Case {
        const char* name;
        std::function<void()> act;
        bool is_there;
    };
    const auto in = [&](const char* name) { return files_ / name; };
    const auto make_elsewhere = [&] { write_file(elsewhere, pod_text("web")); };
    const Case cases[] = {
        {"written", [&] { files_.write("a", pod_text("web")); }, true},
        {"removed", [&] { ::unlink(in("a").c_str()); }, false},
        {"moved in", [&] { make_elsewhere(), ::rename(elsewhere.c_str(), in("a").c_str()); }, true},
        {"renamed", [&] { ::rename(in("a").c_str(), in("b").c_str()); }, true},
        {"moved out", [&] { ::rename(in("b").c_str(), elsewhere.c_str()); }, false},
        {"linked", [&] { ::symlink(elsewhere.c_str(), in("a").c_str()); }, true},
        {"link removed", [&] { ::unlink(in("a").c_str()); }, false},
        {"hard link", [&] { ::link(elsewhere.c_str(), in("a").c_str()); }, true},
        {"renamed to a leftover", [&] { ::rename(in("a").c_str(), in("a.bak").c_str()); }, false},
        {"and back", [&] { ::rename(in("a.bak").c_str(), in("a").c_str()); }, true},
        {"renamed to a hidden file", [&] { ::rename(in("a").c_str(), in(".a").c_str()); }, false},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        c.act();
        EXPECT_TRUE(watched_.look());
        EXPECT_EQ(watched_.set.absent().empty(), c.is_there);
        EXPECT_NE(watched_.set.pod({"shop", "web"}), nullptr) << "absent is not gone";
        EXPECT_EQ(watched_.problems(), "");
        EXPECT_FALSE(watched_.is_readable());
    }
}

TEST_P(ManifestDirectoryTest, SeesAFileThatIsLinkedInByItsDescriptor) {
    Watched hasty(files_.path(), {.agent_uid = ::geteuid(), .writer_patience = std::chrono::milliseconds(20)});
    hasty.settle();
    UniqueFd file(::open(files_.path().c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644));
    ASSERT_TRUE(file);
    const std::string text = pod_text("web");
    ASSERT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    const std::string source = "/proc/self/fd/" + std::to_string(file.get());
    ASSERT_EQ(::linkat(AT_FDCWD, source.c_str(), AT_FDCWD, (files_ / "web").c_str(), AT_SYMLINK_FOLLOW), 0);
    file.reset();
    while (hasty.set.pods().empty() && hasty.wait())
        hasty.look();
    EXPECT_NE(hasty.set.pod({"shop", "web"}), nullptr);
}

TEST_P(ManifestDirectoryTest, SaysOfEachThingThatIsNoManifestWhatItIs) {
    files_.write("good", pod_text("good"));
    ASSERT_EQ(::mkfifo((files_ / "fifo").c_str(), 0644), 0);
    ASSERT_EQ(::mkdir((files_ / "directory").c_str(), 0755), 0);
    ASSERT_EQ(::symlink("nowhere", (files_ / "dangling").c_str()), 0);
    ASSERT_EQ(::symlink("loop", (files_ / "loop").c_str()), 0);
    ASSERT_EQ(::symlink("/dev/null", (files_ / "device").c_str()), 0);
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{AF_UNIX, {}};
    std::snprintf(address.sun_path, sizeof address.sun_path, "%s", (files_ / "socket").c_str());
    ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    files_.write("junk", std::string("a\0b", 3));
    {
        const UniqueFd big(::open((files_ / "big").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
        ASSERT_EQ(::ftruncate(big.get(), (10 << 20) + 1), 0);
    }

    watched_.settle();
    EXPECT_THAT(watched_.changes.changed, ElementsAre(pod_id("good")));
    EXPECT_TRUE(watched_.changes.complete) << "what cannot be a manifest must not hold up removals";
    const std::string problems = watched_.problems();
    for (const char* line :
         {"/fifo: is a FIFO, not a file\n", "/directory: is a directory; manifests are read from the directory itself",
          "/dangling: is a link that leads nowhere\n", "/loop: is a link that leads back to itself\n",
          "/device: is a device, not a file\n", "/socket: is a socket, not a file\n",
          "/big: 10485761 bytes; at most 10485760 are read\n", "/junk: line 1: "})
        EXPECT_THAT(problems, HasSubstr(line));
    EXPECT_EQ(watched_.set.problems().size(), 8U);

    std::filesystem::remove_all(files_ / "fifo");
    watched_.settle();
    ASSERT_EQ(watched_.changes.cleared.size(), 1U);
    EXPECT_EQ(watched_.changes.cleared[0].what, "is a FIFO, not a file");
}

TEST_P(ManifestDirectoryTest, JunkAndBombsAreErrorsOnThemselves) {
    std::string junk(10 << 20, '\0');
    std::minstd_rand random(1);
    for (char& byte : junk)
        byte = static_cast<char>(random());
    files_.write("binary", junk);
    files_.write("text", std::string(10 << 20, 'x'));
    std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 9; ++i) {
        const std::string name = "a" + std::to_string(i);
        const std::string before = "*a" + std::to_string(i - 1);
        bomb += name + ": &" + name + " [" + before;
        for (int j = 0; j < 9; ++j)
            bomb += ", " + before;
        bomb += "]\n";
    }
    files_.write("bomb", bomb);
    files_.write("half", pod_text("half").substr(0, 60));
    files_.write("web", pod_text("web") + "---\nkind: [\n---\n" + pod_text("api"));
    watched_.settle();
    EXPECT_THAT(watched_.changes.changed, ElementsAre(pod_id("api"), pod_id("web")));
    EXPECT_EQ(watched_.set.problems().size(), 5U) << watched_.problems();
    for (const Problem& problem : watched_.set.problems())
        EXPECT_LT(problem.what.size(), 200U) << "one clear line";
}

TEST_P(ManifestDirectoryTest, TakesAnyNameThatAFileCanHave) {
    const std::string names[] = {"new\nline", "sp ace", "-rf", std::string(255, 'n'), "\xff\xfe", "a:b", "%s%n"};
    for (std::size_t i = 0; i < std::size(names); ++i)
        files_.write(names[i], pod_text("pod-" + std::to_string(i)));
    watched_.settle();
    EXPECT_EQ(watched_.set.pods().size(), std::size(names));
    EXPECT_EQ(watched_.problems(), "");
}

TEST_P(ManifestDirectoryTest, ASwappedDataLinkIsSeenAsOneChange) {
    const auto generation = [&](const std::string& name, const std::string& note) {
        must(::mkdir((files_ / name).c_str(), 0755) == 0, "mkdir");
        write_file(files_ / name + "/web.yaml", pod_text("web", note));
        must(::symlink(name.c_str(), (files_ / "..data_tmp").c_str()) == 0, "symlink");
        must(::rename((files_ / "..data_tmp").c_str(), (files_ / "..data").c_str()) == 0, "rename");
    };
    generation("..2026_1", "one");
    ASSERT_EQ(::symlink("..data/web.yaml", (files_ / "web.yaml").c_str()), 0);
    watched_.settle();
    EXPECT_EQ(watched_.note("web"), "one");
    EXPECT_TRUE(watched_.directory.inotify_trusted());

    generation("..2026_2", "two");
    std::filesystem::remove_all(files_ / "..2026_1");
    EXPECT_TRUE(watched_.look());
    EXPECT_EQ(watched_.note("web"), "two");
    EXPECT_THAT(watched_.changes.absent, IsEmpty());
    EXPECT_FALSE(watched_.is_readable());
}

TEST_P(ManifestDirectoryTest, TrustsNoWatchWhereAFileIsALink) {
    write_file(files_.top() + "/web", pod_text("web", "one"));
    ASSERT_EQ(::symlink("../web", (files_ / "web").c_str()), 0);
    watched_.settle();
    EXPECT_FALSE(watched_.directory.inotify_trusted());
    write_file(files_.top() + "/web", pod_text("web", "two"));
    watched_.resync();
    EXPECT_EQ(watched_.note("web"), "two");
    ASSERT_EQ(::unlink((files_ / "web").c_str()), 0);
    watched_.settle();
    EXPECT_TRUE(watched_.directory.inotify_trusted());
}

TEST_P(ManifestDirectoryTest, AnOverflowingQueueLeadsToAListing) {
    watched_.settle();
    files_.write("web", pod_text("web"));
    int limit = 0;
    {
        FILE* const file = std::fopen("/proc/sys/fs/inotify/max_queued_events", "re");
        ASSERT_NE(file, nullptr);
        ASSERT_EQ(std::fscanf(file, "%d", &limit), 1);
        std::fclose(file);
    }
    // Hidden names alone make nothing due; the overflow does.
    for (int i = 0; i < limit / 2 + 10; ++i) {
        files_.write(".flood", "x");
        ::unlink((files_ / ".flood").c_str());
    }
    files_.write("late", pod_text("late"));
    EXPECT_TRUE(watched_.look());
    EXPECT_THAT(watched_.changes.changed, ElementsAre(pod_id("late"), pod_id("web")));
}

TEST_P(ManifestDirectoryTest, AThousandManifestsAtOnceAreOneSet) {
    watched_.settle();
    for (int i = 0; i < 1000; ++i)
        files_.write("pod-" + std::to_string(i) + ".yaml", pod_text("pod-" + std::to_string(i)));
    watched_.settle();
    EXPECT_EQ(watched_.set.pods().size(), 1000U);
    EXPECT_EQ(watched_.problems(), "");
    std::filesystem::remove_all(files_.path());
    ASSERT_EQ(::mkdir(files_.path().c_str(), 0755), 0);
    watched_.settle();
    EXPECT_EQ(watched_.set.absent().size(), 1000U);
    EXPECT_EQ(watched_.set.pods().size(), 1000U);
}

TEST_P(ManifestDirectoryTest, MoreFilesThanTheLimitAreReadNotAtAll) {
    Watched limited(files_.path(), {.agent_uid = ::geteuid(), .max_files = 2});
    files_.write("a", pod_text("a"));
    files_.write("b", pod_text("b"));
    limited.settle();
    files_.write("c", pod_text("c"));
    limited.settle();
    EXPECT_THAT(limited.problems(), HasSubstr("more than 2 files, none is read"));
    EXPECT_EQ(limited.set.pods().size(), 2U);
    EXPECT_THAT(limited.set.absent(), IsEmpty());
}

// What events tell adds up to what a fresh look sees, whatever is done in whatever order.
TEST_P(ManifestDirectoryTest, TouchedFilesAddUpToEverything) {
    for (const unsigned seed : {1U, 2U, 3U}) {
        SCOPED_TRACE(seed);
        // Truncating by path is a write that nobody closes.
        Watched watched(files_.path(), {.agent_uid = ::geteuid(), .writer_patience = {}});
        std::minstd_rand random(seed);
        const auto pick = [&](unsigned count) { return static_cast<unsigned>(random() % count); };
        const std::string names[] = {"a", "b", "c.yaml", "d.bak", ".e", "..data"};
        const auto name = [&] { return files_ / names[pick(std::size(names))]; };
        int made = 0;
        for (int step = 0; step < 300; ++step) {
            const std::string path = name();
            const std::string other = name();
            switch (pick(9)) {
                case 0:
                    ::unlink(path.c_str());
                    break;
                case 1:
                    ::rename(path.c_str(), other.c_str());
                    break;
                case 2:
                    ::link(path.c_str(), other.c_str());
                    break;
                case 3:
                    ::symlink(other.substr(other.rfind('/') + 1).c_str(), path.c_str());
                    break;
                case 4:
                    ::truncate(path.c_str(), pick(80));
                    break;
                case 5:
                    ::mkdir(path.c_str(), 0755);
                    break;
                case 6:
                    ::rmdir(path.c_str());
                    break;
                case 7:
                    ::chmod(path.c_str(), pick(2) == 0 ? 0644 : 0666);
                    break;
                default:
                    if (const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
                        file) {
                        const std::string text = pod_text("pod-" + std::to_string(++made));
                        must(::write(file.get(), text.data(), text.size()) > 0, "write");
                    }
            }
            if (pick(3) != 0)
                continue;
            while (watched.is_readable())
                watched.look();
            if (!watched.directory.inotify_trusted())
                watched.resync();
            for (const Identity& identity : watched.set.absent())
                watched.set.forget(identity);
            // As last good versions stay, only what a fresh look finds can be asked for.
            Watched fresh(files_.path());
            fresh.settle();
            for (const Pod* pod : fresh.set.pods())
                EXPECT_NE(watched.set.pod(pod->meta.key()), nullptr) << "step " << step << " " << pod->meta.name;
            EXPECT_EQ(watched.set.problems().size(), fresh.set.problems().size()) << "step " << step << "\n"
                                                                                  << watched.problems() << "fresh:\n"
                                                                                  << fresh.problems();
        }
    }
}

// The directory itself.

TEST_P(ManifestDirectoryTest, WorksBeforeTheDirectoryExists) {
    Watched early(files_.top() + "/not/yet/there");
    EXPECT_TRUE(early.look());
    EXPECT_FALSE(early.changes.complete);
    EXPECT_THAT(early.problems(), HasSubstr("/not): No such file or directory"));
    files_.write("unrelated", "");
    write_file(files_.top() + "/unrelated", "");
    EXPECT_FALSE(early.look());

    std::filesystem::create_directory(files_.top() + "/not");
    EXPECT_TRUE(early.look());
    std::filesystem::create_directories(files_.top() + "/not/yet/there");
    write_file(files_.top() + "/not/yet/there/web", pod_text("web"));
    early.settle();
    EXPECT_EQ(early.problems(), "");
    EXPECT_NE(early.set.pod({"shop", "web"}), nullptr);
}

TEST_P(ManifestDirectoryTest, ARemovedDirectoryTakesNothingAlong) {
    files_.write("web", pod_text("web"));
    watched_.settle();
    std::filesystem::remove_all(files_.path());
    watched_.settle();
    EXPECT_FALSE(watched_.changes.complete);
    EXPECT_THAT(watched_.problems(), HasSubstr("No such file or directory"));
    EXPECT_THAT(watched_.set.absent(), IsEmpty());

    ASSERT_EQ(::mkdir(files_.path().c_str(), 0755), 0);
    watched_.settle();
    EXPECT_TRUE(watched_.changes.complete);
    EXPECT_THAT(watched_.changes.absent, ElementsAre(pod_id("web")));
    files_.write("web", pod_text("web"));
    watched_.settle();
    EXPECT_THAT(watched_.changes.returned, ElementsAre(pod_id("web")));
    EXPECT_THAT(watched_.changes.changed, IsEmpty());
}

TEST_P(ManifestDirectoryTest, AReplacedDirectoryIsKnownToBeAnotherOne) {
    files_.write("web", pod_text("web"));
    watched_.settle();
    const std::string next = files_.top() + "/next";
    ASSERT_EQ(::mkdir(next.c_str(), 0755), 0);
    write_file(next + "/api", pod_text("api"));
    ASSERT_EQ(::renameat2(AT_FDCWD, next.c_str(), AT_FDCWD, files_.path().c_str(), RENAME_EXCHANGE), 0);
    EXPECT_TRUE(watched_.look());
    EXPECT_TRUE(watched_.changes.complete);
    EXPECT_TRUE(watched_.changes.directory_changed);
    EXPECT_THAT(watched_.changes.changed, ElementsAre(pod_id("api")));
    EXPECT_THAT(watched_.changes.absent, ElementsAre(pod_id("web")));
    // The watch has moved along.
    files_.write("late", pod_text("late"));
    EXPECT_TRUE(watched_.look());
    EXPECT_THAT(watched_.changes.changed, ElementsAre(pod_id("late")));
    EXPECT_FALSE(watched_.changes.directory_changed);
}

TEST_P(ManifestDirectoryTest, AReplacedParentIsSeen) {
    const std::string outer = files_.top() + "/outer";
    std::filesystem::create_directories(outer + "/inner/m");
    write_file(outer + "/inner/m/web", pod_text("web", "old"));
    Watched deep(outer + "/inner/m");
    deep.settle();
    std::filesystem::create_directories(files_.top() + "/new/inner/m");
    write_file(files_.top() + "/new/inner/m/web", pod_text("web", "new"));
    ASSERT_EQ(::rename(outer.c_str(), (files_.top() + "/gone").c_str()), 0);
    deep.settle();
    EXPECT_EQ(deep.note("web"), "old");
    EXPECT_FALSE(deep.changes.complete);
    ASSERT_EQ(::rename((files_.top() + "/new").c_str(), outer.c_str()), 0);
    deep.settle();
    EXPECT_EQ(deep.note("web"), "new");
}

TEST_P(ManifestDirectoryTest, ALinkOnTheWayThatIsSwappedIsSeen) {
    for (const char* release : {"1", "2"}) {
        std::filesystem::create_directories(files_.top() + "/releases/" + release);
        write_file(files_.top() + "/releases/" + release + "/web", pod_text("web", release));
    }
    const std::string current = files_.top() + "/current";
    std::filesystem::create_symlink("releases/1", current);
    Watched linked(current);
    linked.settle();
    EXPECT_EQ(linked.note("web"), "1");
    std::filesystem::create_symlink("releases/2", files_.top() + "/next");
    ASSERT_EQ(::rename((files_.top() + "/next").c_str(), current.c_str()), 0);
    EXPECT_TRUE(linked.look());
    EXPECT_EQ(linked.note("web"), "2");
    EXPECT_TRUE(linked.changes.directory_changed);
}

TEST_P(ManifestDirectoryTest, ThePathMayBeOneFile) {
    files_.write("web.yaml", pod_text("web", "one"));
    files_.write("other.yaml", pod_text("other"));
    Watched single(files_ / "web.yaml");
    single.settle();
    EXPECT_EQ(single.set.pods().size(), 1U);
    files_.write("other.yaml", pod_text("other", "changed"));
    EXPECT_FALSE(single.look());
    files_.move_in("web.yaml", pod_text("web", "two"));
    single.settle();
    EXPECT_EQ(single.note("web"), "two");
    EXPECT_FALSE(single.changes.directory_changed) << "an editor replaces the file, not its directory";
    ASSERT_EQ(::unlink((files_ / "web.yaml").c_str()), 0);
    single.settle();
    EXPECT_FALSE(single.changes.complete);
    EXPECT_THAT(single.set.absent(), IsEmpty());
}

}  // namespace
}  // namespace tokenlet::kube
