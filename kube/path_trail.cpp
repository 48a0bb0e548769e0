// SPDX-License-Identifier: Apache-2.0
#include "kube/path_trail.h"

#include <fcntl.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <deque>
#include <string_view>

namespace tokenlet::kube {
namespace {

constexpr int kMaxLinks = 40;  // the kernel's own limit

std::deque<std::string> split(std::string_view path) {
    std::deque<std::string> parts;
    while (!path.empty()) {
        const std::size_t slash = path.find('/');
        if (const std::string_view part = path.substr(0, slash); !part.empty() && part != ".")
            parts.emplace_back(part);
        path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    }
    return parts;
}

std::string join(const std::string& directory, const std::string& name) {
    return directory == "/" ? directory + name : directory + "/" + name;
}

std::string parent_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

Result<std::string> read_link(const UniqueFd& link, const std::string& path) {
    char target[PATH_MAX];
    const ssize_t size = ::readlinkat(link.get(), "", target, sizeof target);
    if (size < 0)
        return fail_errno(errno, "readlink", path);
    return std::string(target, static_cast<std::size_t>(size));
}

// One walk in progress. The trail's `parent` is where it stands.
class Walk {
public:
    PathTrail run(const std::string& path) {
        left_ = split(path);
        if (Result<> walked = follow(); !walked)
            trail_.error = std::move(walked.error());
        return std::move(trail_);
    }

private:
    Result<> follow() {
        TRY(to_root());
        trail_.steps.push_back(TRY(step("/", trail_.parent)));
        while (!left_.empty()) {
            trail_.name = std::move(left_.front());
            left_.pop_front();
            if (trail_.name == "..") {
                trail_.parent = TRY(open(".."));
                trail_.parent_path = parent_of(trail_.parent_path);
            } else {
                TRY(enter());
            }
        }
        if (!trail_.end) {  // the path is "/", or its last part is ".." or led there
            trail_.name = ".";
            trail_.end = TRY(open("."));
        }
        return {};
    }

    Result<> enter() {
        UniqueFd entry = TRY(open(trail_.name));
        PathStep here = TRY(step(join(trail_.parent_path, trail_.name), entry));
        const mode_t mode = here.status.st_mode;
        trail_.steps.push_back(std::move(here));
        const std::string& path = trail_.steps.back().path;
        if (S_ISLNK(mode)) {
            if (++links_ > kMaxLinks)
                return fail_errno(ELOOP, "open", path);
            const std::string target = TRY(read_link(entry, path));
            std::deque<std::string> parts = split(target);
            left_.insert(left_.begin(), parts.begin(), parts.end());
            return target.starts_with('/') ? to_root() : Result<>{};
        }
        if (S_ISDIR(mode))
            entry = TRY(open(trail_.name, O_DIRECTORY));  // O_DIRECTORY makes an automount happen
        if (left_.empty()) {
            trail_.end = std::move(entry);
            return {};
        }
        if (!S_ISDIR(mode))
            return fail_errno(ENOTDIR, "open", path);
        trail_.parent = std::move(entry);
        trail_.parent_path = path;
        return {};
    }

    Result<> to_root() {
        trail_.parent.reset(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
        trail_.parent_path = "/";
        if (!trail_.parent)
            return fail_errno(errno, "open", "/");
        return {};
    }

    [[nodiscard]] Result<UniqueFd> open(const std::string& name, int flags = 0) const {
        UniqueFd fd(::openat(trail_.parent.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC | flags));
        if (!fd)
            return fail_errno(errno, "open", join(trail_.parent_path, name));
        return fd;
    }

    [[nodiscard]] static Result<PathStep> step(std::string path, const UniqueFd& fd) {
        PathStep result{.path = std::move(path)};
        if (::fstat(fd.get(), &result.status) < 0)
            return fail_errno(errno, "fstat", result.path);
        return result;
    }

    PathTrail trail_;
    std::deque<std::string> left_;
    int links_ = 0;
};

bool is_read_only_mount(const std::string& path) {
    struct statvfs mount{};
    return ::statvfs(path.c_str(), &mount) == 0 && (mount.f_flag & ST_RDONLY) != 0;
}

std::string describe(const PathStep& step) {
    char text[64];
    std::snprintf(text, sizeof text, "mode %04o, owner %u", step.status.st_mode & 07777U, step.status.st_uid);
    return text;
}

}  // namespace

std::string PathTrail::end_path() const {
    return name == "." ? parent_path : join(parent_path, name);
}

PathTrail walk(const std::string& path) {
    return Walk().run(path);
}

Result<> check_strict_modes(const PathTrail& trail, uid_t agent_uid) {
    for (std::size_t i = 0; i < trail.steps.size(); ++i) {
        PathStep step = trail.steps[i];
        const bool is_parent = i + 1 < trail.steps.size();
        // What others put into a sticky directory is theirs, which the next step shows.
        if (is_parent && S_ISDIR(step.status.st_mode) && (step.status.st_mode & S_ISVTX) != 0)
            step.status.st_mode &= ~mode_t{S_IWGRP | S_IWOTH};
        TRY(check_strict_modes(step, agent_uid), step.path);
    }
    return {};
}

Result<> check_strict_modes(const PathStep& step, uid_t agent_uid) {
    const uid_t owner = step.status.st_uid;
    if (owner != 0 && owner != agent_uid)
        return fail(Errc::Denied, describe(step) + ": must belong to root or the agent's user; run: chown " +
                                      (S_ISLNK(step.status.st_mode) ? "-h " : "") + "root " + step.path);
    const mode_t writable = step.status.st_mode & (S_IWGRP | S_IWOTH);
    // Links have no modes. A ConfigMap's directory is 0777 by mode, and safe by its read-only mount.
    if (writable == 0 || S_ISLNK(step.status.st_mode) || is_read_only_mount(step.path))
        return {};
    const char* const who = writable == S_IWGRP ? "g" : writable == S_IWOTH ? "o" : "go";
    return fail(Errc::Denied, describe(step) + ": others may write to it; run: chmod " + who + "-w " + step.path);
}

}  // namespace tokenlet::kube
