// SPDX-License-Identifier: Apache-2.0
// Manifests under the hands of real programs: whatever they unlink, create and rename on the way, the Pod stays the same
// Pod, each edit arrives, and nothing is left to complain of. The directory is looked at all the time while they run.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/kube/manifest_files.h"

namespace tokenlet::kube {
namespace {

class ManifestWriters : public ::testing::TestWithParam<const char*> {
protected:
    ManifestFiles files_{GetParam()};
    Watched watched_{files_.path()};

    // Runs the program and looks at the directory whenever there is something to see. False: there is no such program.
    bool run(const std::vector<std::string>& command) {
        std::vector<char*> argv;
        for (const std::string& word : command)
            argv.push_back(const_cast<char*>(word.c_str()));
        argv.push_back(nullptr);
        const pid_t child = ::fork();
        must(child >= 0, "fork");
        if (child == 0) {
            const int null = ::open("/dev/null", O_RDWR);
            for (int fd : {0, 1, 2})
                ::dup2(null, fd);
            must(::chdir(files_.path().c_str()) == 0, "chdir");
            ::execvp(argv[0], argv.data());
            ::_exit(127);
        }
        int status = 0;
        while (::waitpid(child, &status, WNOHANG) == 0)
            step();
        step();
        EXPECT_EQ(status & ~(127 << 8), 0);
        return WEXITSTATUS(status) != 127;
    }

    void step() {
        while (watched_.look()) {
            EXPECT_TRUE(watched_.changes.complete);
            EXPECT_NE(watched_.set.pod({"shop", "web"}), nullptr);
            for (const Problem& problem : watched_.changes.raised)
                seen_problems_ += problem.str() + "\n";
        }
    }

    void edit_with(const std::vector<std::string>& command, const std::string& want) {
        if (!run(command))
            GTEST_SKIP() << command[0] << " is not installed";
        EXPECT_EQ(watched_.note("web"), want);
        EXPECT_EQ(seen_problems_, "");
        EXPECT_TRUE(watched_.set.absent().empty());
        EXPECT_EQ(watched_.set.pods().size(), 1U);
    }

    void start() {
        files_.write("web.yaml", pod_text("web", "one"));
        watched_.settle();
        ASSERT_EQ(watched_.note("web"), "one");
    }

    std::string seen_problems_;
};

INSTANTIATE_TEST_SUITE_P(On, ManifestWriters, ::testing::Values("/dev/shm", "/var/tmp"),
                         [](const auto& place) { return place.param == std::string("/var/tmp") ? "Disk" : "Tmpfs"; });

TEST_P(ManifestWriters, Vim) {
    const std::string vim = std::filesystem::exists("/usr/bin/vim.tiny") ? "vim.tiny" : "vim";
    start();
    edit_with({vim, "-u", "NONE", "-es", "-c", "%s/one/two/", "-c", "wq", "web.yaml"}, "two");
    edit_with({vim, "-u", "NONE", "-es", "-c", "set backup backupskip= backupcopy=no", "-c", "%s/two/three/", "-c",
               "wq", "web.yaml"},
              "three");
    EXPECT_TRUE(std::filesystem::exists(files_ / "web.yaml~"));
    edit_with({vim, "-u", "NONE", "-es", "-c", "set backup backupskip= backupcopy=yes", "-c", "%s/three/four/", "-c",
               "wq", "web.yaml"},
              "four");
    ASSERT_EQ(::unlink((files_ / "web.yaml").c_str()), 0);
    watched_.settle();
    EXPECT_TRUE(watched_.set.is_absent(pod_id("web"))) << "its backup must not take over";
}

TEST_P(ManifestWriters, Sed) {
    start();
    edit_with({"sed", "-i", "s/one/two/", "web.yaml"}, "two");
    edit_with({"sed", "-i.bak", "s/two/three/", "web.yaml"}, "three");
}

TEST_P(ManifestWriters, Git) {
    start();
    const auto git = [&](std::vector<std::string> words) {
        std::vector<std::string> command{
            "git", "-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "init.defaultBranch=main"};
        command.insert(command.end(), words.begin(), words.end());
        return command;
    };
    if (!run(git({"init", "-q"})))
        GTEST_SKIP() << "git is not installed";
    run(git({"add", "web.yaml"}));
    run(git({"commit", "-q", "-m", "one"}));
    run(git({"checkout", "-q", "-b", "next"}));
    files_.write("web.yaml", pod_text("web", "two"));
    run(git({"commit", "-q", "-a", "-m", "two"}));
    edit_with(git({"checkout", "-q", "main"}), "one");
    edit_with(git({"checkout", "-q", "next"}), "two");
    edit_with(git({"reset", "-q", "--hard", "main"}), "one");
    edit_with(git({"stash", "list"}), "one");
}

TEST_P(ManifestWriters, Rsync) {
    start();
    const std::string source = files_.top() + "/source/";
    std::filesystem::create_directory(source);
    write_file(source + "web.yaml", pod_text("web", "rsynced"));
    edit_with({"rsync", "-a", "--delete", source, "./"}, "rsynced");
    write_file(source + "web.yaml", pod_text("web", "in place"));
    edit_with({"rsync", "-a", "--delete", "--inplace", source, "./"}, "in place");
}

TEST_P(ManifestWriters, CopyMoveInstallAndShell) {
    start();
    const std::string source = files_.top() + "/source.yaml";
    write_file(source, pod_text("web", "copied"));
    edit_with({"cp", source, "web.yaml"}, "copied");
    write_file(source, pod_text("web", "forced"));
    edit_with({"cp", "--remove-destination", source, "web.yaml"}, "forced");
    write_file(source, pod_text("web", "backed up"));
    edit_with({"cp", "-b", source, "web.yaml"}, "backed up");
    write_file(source, pod_text("web", "installed"));
    edit_with({"install", "-m", "0644", source, "web.yaml"}, "installed");
    write_file(source, pod_text("web", "moved"));
    edit_with({"mv", source, "web.yaml"}, "moved");
    write_file(source, pod_text("web", "poured"));
    edit_with({"sh", "-c", "cat ../source.yaml > web.yaml"}, "poured");
    write_file(source, pod_text("web", "dripped"));
    edit_with({"sh", "-c", "while IFS= read -r l; do printf '%s\\n' \"$l\"; done < ../source.yaml > web.yaml"},
              "dripped");
}

// Truncated and written in two pieces, over and over, while every resync reads what is there.
TEST_P(ManifestWriters, NoHalfOfAFileIsReadWhileItIsRewritten) {
    constexpr int kRewrites = 1000;
    start();
    const pid_t child = ::fork();
    must(child >= 0, "fork");
    if (child == 0) {
        for (int i = 1; i <= kRewrites; ++i) {
            const std::string text = pod_text("web", std::to_string(i));
            const UniqueFd file(::open((files_ / "web.yaml").c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
            (void)!::write(file.get(), text.data(), 30);
            (void)!::write(file.get(), text.data() + 30, text.size() - 30);
        }
        ::_exit(0);
    }
    int halves = 0;
    const auto judge = [&] { halves += watched_.set.absent().empty() && watched_.set.problems().empty() ? 0 : 1; };
    while (::waitpid(child, nullptr, WNOHANG) == 0) {
        watched_.resync();
        judge();
        watched_.look();
        judge();
    }
    watched_.settle();
    EXPECT_EQ(halves, 0);
    EXPECT_EQ(watched_.note("web"), std::to_string(kRewrites)) << "the last one must not be missed";
}

}  // namespace
}  // namespace tokenlet::kube
