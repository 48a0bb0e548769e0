// SPDX-License-Identifier: Apache-2.0
#include "kube/path_trail.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "tests/kube/manifest_files.h"

namespace tokenlet::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The last steps of a walk, below the scratch directory.
std::vector<std::string> steps_below(const std::string& top, const PathTrail& trail) {
    std::vector<std::string> names;
    for (const PathStep& step : trail.steps)
        if (step.path.starts_with(top + "/"))
            names.push_back(step.path.substr(top.size() + 1));
    return names;
}

TEST(PathTrail, NamesEachDirectoryAndLinkOnTheWay) {
    const ManifestFiles files;
    std::filesystem::create_directories(files.top() + "/a/b");
    std::filesystem::create_symlink("../a/b", files.top() + "/a/up");
    std::filesystem::create_symlink(files.top() + "/a/up", files.top() + "/absolute");
    write_file(files.top() + "/a/b/file", "");

    const PathTrail trail = walk(files.top() + "/absolute/file");
    ASSERT_FALSE(trail.error);
    EXPECT_EQ(trail.steps.front().path, "/");
    EXPECT_THAT(steps_below(files.top(), trail), ElementsAre("absolute", "a", "a/up", "a", "a/b", "a/b/file"));
    EXPECT_EQ(trail.end_path(), files.top() + "/a/b/file");
    EXPECT_TRUE(trail.end);

    EXPECT_EQ(walk(files.top() + "/a/b/..//./b/..").end_path(), files.top() + "/a");
    EXPECT_EQ(walk("/").end_path(), "/");
    EXPECT_EQ(walk("/..").end_path(), "/");
}

TEST(PathTrail, SaysWhereItEndedEarly) {
    const ManifestFiles files;
    files.write("file", "");
    std::filesystem::create_symlink("loop", files / "loop");
    const PathTrail missing = walk(files / "no/such");
    ASSERT_TRUE(missing.error);
    EXPECT_EQ(missing.error->code, Errc::NotFound);
    EXPECT_EQ(missing.parent_path, files.path());
    EXPECT_EQ(missing.name, "no");
    EXPECT_EQ(walk(files / "file/below").error->os_errno, ENOTDIR);
    EXPECT_EQ(walk(files / "loop").error->os_errno, ELOOP);
}

TEST(StrictModes, NameWhatIsWrongAndTheCommandThatMendsIt) {
    const ManifestFiles files;
    const std::string path = files.path();
    const uid_t self = ::geteuid();
    files.write("web", "");
    const auto verdict = [&](const std::string& of) {
        const Result<> checked = check_strict_modes(walk(of), self);
        return checked ? "fine" : checked.error().what;
    };
    EXPECT_EQ(verdict(path), "fine");
    struct Case {
        const char* name;
        mode_t directory, file;
        std::string want;
    };
    const Case cases[] = {
        {"private", 0700, 0600, "fine"},
        {"readable by all", 0755, 0644, "fine"},
        {"the file's group", 0755, 0664,
         path + "/web: mode 0664, owner " + std::to_string(self) + ": others may write to it; run: chmod g-w " + path +
             "/web"},
        {"everybody's file", 0755, 0646, "chmod o-w " + path + "/web"},
        {"everybody's directory", 0777, 0644, "chmod go-w " + path},
        {"a sticky directory is fine as a parent", 01777, 0644, "fine"},
        {"a sticky directory does not excuse the file", 01777, 0666, "chmod go-w " + path + "/web"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        ASSERT_EQ(::chmod(path.c_str(), c.directory), 0);
        ASSERT_EQ(::chmod((files / "web").c_str(), c.file), 0);
        EXPECT_THAT(verdict(files / "web"), HasSubstr(c.want));
    }
    ASSERT_EQ(::chmod(path.c_str(), 01777), 0);
    EXPECT_THAT(verdict(path), HasSubstr("chmod go-w")) << "as the manifest directory itself it is not";
    ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
    ASSERT_EQ(::chmod(files.top().c_str(), 0770), 0);
    EXPECT_THAT(verdict(path), HasSubstr("run: chmod g-w " + files.top()));
}

TEST(StrictModes, RefuseAStrangersFilesAndLinks) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root to give files away";
    const ManifestFiles files;
    files.write("web", "");
    files.write("mine", "");
    ASSERT_EQ(::symlink("mine", (files / "link").c_str()), 0);
    ASSERT_EQ(::lchown((files / "web").c_str(), 1234, 0), 0);
    ASSERT_EQ(::lchown((files / "link").c_str(), 1234, 0), 0);
    EXPECT_THAT(check_strict_modes(walk(files / "web"), 0).error().what,
                HasSubstr("owner 1234: must belong to root or the agent's user; run: chown root " + (files / "web")));
    EXPECT_THAT(check_strict_modes(walk(files / "link"), 0).error().what, HasSubstr("run: chown -h root"));
    EXPECT_TRUE(check_strict_modes(walk(files / "web"), 1234)) << "the agent's own file";
}

TEST(StrictModes, TheDirectoryIsReadOnceItsModeIsMended) {
    const ManifestFiles files;
    files.write("web", pod_text("web"));
    ASSERT_EQ(::chmod(files.path().c_str(), 0775), 0);
    Watched watched(files.path());
    EXPECT_TRUE(watched.look());
    EXPECT_THAT(watched.problems(), HasSubstr("run: chmod g-w " + files.path()));
    EXPECT_EQ(watched.set.pods().size(), 0U);
    ASSERT_EQ(::chmod(files.path().c_str(), 0755), 0);
    EXPECT_TRUE(watched.look());
    EXPECT_EQ(watched.set.pods().size(), 1U);
    // A file alone, and one reached by a link.
    write_file(files.top() + "/api", pod_text("api"));
    ASSERT_EQ(::chmod((files.top() + "/api").c_str(), 0666), 0);
    ASSERT_EQ(::symlink("../api", (files / "api").c_str()), 0);
    ASSERT_EQ(::chmod((files / "web").c_str(), 0662), 0);
    watched.settle();
    EXPECT_EQ(watched.set.problems().size(), 2U);
    EXPECT_TRUE(watched.changes.complete);
    EXPECT_EQ(watched.set.pods().size(), 1U) << "the last good version of the one, never the other";
    // A parent's mode is seen as well.
    ASSERT_EQ(::chmod(files.top().c_str(), 0777), 0);
    EXPECT_TRUE(watched.look());
    EXPECT_FALSE(watched.changes.complete);
    Watched any(files.path(), {.modes = Modes::Any, .agent_uid = ::geteuid()});
    any.settle();
    EXPECT_EQ(any.problems(), "");
    EXPECT_EQ(any.set.pods().size(), 2U);
}

}  // namespace
}  // namespace tokenlet::kube
