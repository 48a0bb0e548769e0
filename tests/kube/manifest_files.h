// SPDX-License-Identifier: Apache-2.0
// A scratch manifest directory for tests, and the daemon's way of looking at it.
//
// Shapes   ManifestFiles makes a directory and removes it; Watched lists it into a set. run_in_child() isolates what a
//          process cannot take back: another user, another mount table.
// Owns     the directory.     Threads  any.     Errors  failed system calls end the test program: nothing works then.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "base/unique_fd.h"
#include "kube/manifest_directory.h"
#include "kube/manifest_set.h"

namespace tokenlet::kube {

inline constexpr int kSkipChild = 77;

inline void must(bool done, const char* what) {
    if (done)
        return;
    std::perror(what);
    std::abort();
}

inline void write_file(const std::string& path, std::string_view text) {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    must(static_cast<bool>(file), path.c_str());
    must(::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()), path.c_str());
}

inline std::string pod_text(std::string_view name, std::string_view note = "") {
    return "apiVersion: v1\nkind: Pod\nmetadata:\n  namespace: shop\n  name: " + std::string(name) +
           "\n  annotations: {note: \"" + std::string(note) +
           "\"}\nspec:\n  containers: [{name: app, image: registry.example/app}]\n";
}

inline Identity pod_id(std::string name) {
    return {"Pod", {"shop", std::move(name)}};
}

class ManifestFiles {
public:
    // `root` lies on tmpfs (/dev/shm) or on a disk (/tmp).
    explicit ManifestFiles(const std::string& root = "/dev/shm") {
        std::string pattern = root + "/tokenlet-manifests-XXXXXX";
        must(::mkdtemp(pattern.data()) != nullptr, "mkdtemp");
        top_ = pattern;
        must(::mkdir(path().c_str(), 0755) == 0, "mkdir");
    }
    ManifestFiles(const ManifestFiles&) = delete;
    ManifestFiles& operator=(const ManifestFiles&) = delete;
    ~ManifestFiles() {
        std::error_code ignored;
        std::filesystem::remove_all(top_, ignored);
    }

    [[nodiscard]] const std::string& top() const { return top_; }  // the parent of path()
    [[nodiscard]] std::string path() const { return top_ + "/manifests"; }
    [[nodiscard]] std::string operator/(std::string_view name) const { return path() + "/" + std::string(name); }
    void write(std::string_view name, std::string_view text) const { write_file(*this / name, text); }
    void move_in(std::string_view name, std::string_view text) const {
        write(".incoming", text);
        must(::rename((*this / ".incoming").c_str(), (*this / name).c_str()) == 0, "rename");
    }

private:
    std::string top_;
};

class Watched {
public:
    explicit Watched(const std::string& path, ManifestDirectoryOptions options = {.agent_uid = ::geteuid()})
        : directory(ManifestDirectory::open(path, options).value()) {}

    [[nodiscard]] bool is_readable() const { return poll(0); }
    // Until there is something to look at; false after 10 s.
    [[nodiscard]] bool wait() const { return poll(10'000); }
    // As the daemon does it: only when told so. False: nothing was due.
    bool look() {
        if (!is_readable() || !directory.drain())
            return false;
        changes = set.apply(directory.list(Look::Touched));
        return true;
    }
    void resync() { changes = set.apply(directory.list()); }
    // Looks until nothing is due any more.
    void settle() {
        while (look()) {
        }
    }
    [[nodiscard]] std::string note(const std::string& pod) const {
        const Pod* const found = set.pod({"shop", pod});
        return found == nullptr ? "no such pod" : found->meta.annotations.at("note");
    }
    [[nodiscard]] std::string problems() const {
        std::string text;
        for (const Problem& problem : set.problems())
            text += problem.str() + "\n";
        return text;
    }

    ManifestDirectory directory;
    ManifestSet set;
    Changes changes;

private:
    [[nodiscard]] bool poll(int timeout_ms) const {
        pollfd poll{directory.fd(), POLLIN, 0};
        return ::poll(&poll, 1, timeout_ms) == 1;
    }
};

// The child's exit status: kSkipChild, or whether an expectation failed in it.
template <class Body>
int run_in_child(Body&& body) {
    const pid_t child = ::fork();
    must(child >= 0, "fork");
    if (child == 0) {
        body();
        std::fflush(nullptr);
        ::_exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    must(::waitpid(child, &status, 0) == child, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace tokenlet::kube
