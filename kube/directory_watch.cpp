// SPDX-License-Identifier: Apache-2.0
#include "kube/directory_watch.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>

#include "kube/manifest_name.h"

namespace tokenlet::kube {
namespace {

constexpr char kDataLink[] = "..data";
// IN_EXCL_UNLINK: who still writes to a file that was replaced does not speak for the file that has its name now.
constexpr std::uint32_t kDirectoryEvents = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB |
                                           IN_CREATE | IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF | IN_EXCL_UNLINK |
                                           IN_ONLYDIR;
// Without IN_CREATE and IN_MOVED_TO: /etc and /tmp are busy places.
constexpr std::uint32_t kWayEvents = IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;
constexpr std::uint32_t kMissingEvents = kWayEvents | IN_CREATE | IN_MOVED_TO;

Result<> add(const UniqueFd& poll, const UniqueFd& fd, std::uint32_t events) {
    if (!fd)
        return {};
    epoll_event event{};
    event.events = events;
    if (::epoll_ctl(poll.get(), EPOLL_CTL_ADD, fd.get(), &event) < 0)
        return fail_errno(errno, "epoll_ctl", "manifest directory watch");
    return {};
}

std::string last_part(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

}  // namespace

Result<DirectoryWatch> DirectoryWatch::make(std::string path, Duration patience) {
    DirectoryWatch watch(std::move(path), patience);
    watch.inotify_.reset(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    watch.mounts_.reset(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
    watch.again_.reset(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!watch.again_)
        return fail_errno(errno, "eventfd", "manifest directory watch");
    watch.timer_.reset(::timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC));
    if (!watch.timer_)
        return fail_errno(errno, "timerfd_create", "manifest directory watch");
    watch.poll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    if (!watch.poll_)
        return fail_errno(errno, "epoll_create1", "manifest directory watch");
    TRY(add(watch.poll_, watch.inotify_, EPOLLIN));
    TRY(add(watch.poll_, watch.mounts_, EPOLLPRI));
    TRY(add(watch.poll_, watch.again_, EPOLLIN));
    TRY(add(watch.poll_, watch.timer_, EPOLLIN));
    return watch;
}

bool DirectoryWatch::drain() {
    // Takes the mount table's change off the list; which descriptor it was does not matter.
    epoll_event events[4];
    (void)::epoll_wait(poll_.get(), events, 4, 0);
    std::uint64_t count = 0;
    (void)!::read(again_.get(), &count, sizeof count);  // empty is fine
    if (::read(timer_.get(), &count, sizeof count) > 0) {
        is_timer_armed_ = false;
        for (const std::string& name : writing_)
            set_due(name);
    }
    read_events();
    if (look() != seen_)
        set_all_due();
    arm_timer();
    return std::exchange(due_, false);
}

void DirectoryWatch::watch(const PathTrail& trail) {
    read_events();
    due_ = false;
    std::map<int, std::string> before = std::exchange(watches_, {});
    directory_ = -1;
    const auto add_watch = [this](const std::string& path, std::uint32_t mask, const std::string& next) {
        const int watch = inotify_ ? ::inotify_add_watch(inotify_.get(), path.c_str(), mask) : -1;
        if (watch >= 0)
            watches_.insert_or_assign(watch, next);
        return watch;
    };

    const std::optional<DirectoryIdentity> seen_before = std::exchange(seen_, std::nullopt);
    directory_path_.clear();
    struct stat end{};
    if (trail.end && ::fstat(trail.end.get(), &end) == 0) {
        seen_ = DirectoryIdentity{end.st_dev, end.st_ino};
        only_ = S_ISDIR(end.st_mode) ? "" : trail.name;
        directory_path_ = S_ISDIR(end.st_mode) ? trail.end_path() : trail.parent_path;
        directory_ = add_watch(directory_path_, kDirectoryEvents, "");
    }
    for (std::size_t i = 0; i < trail.steps.size(); ++i) {
        // A second watch on the same directory would replace the first.
        if (trail.steps[i].path == directory_path_)
            continue;
        const std::string next = i + 1 < trail.steps.size() ? last_part(trail.steps[i + 1].path) : trail.name;
        (void)add_watch(trail.steps[i].path, kWayEvents | IN_DONT_FOLLOW, next);  // one less is no harm
    }
    if (!trail.end)
        (void)add_watch(trail.parent_path, kMissingEvents, trail.name);
    for (const auto& [watch, next] : before)
        if (!watches_.contains(watch))
            ::inotify_rm_watch(inotify_.get(), watch);
    if (seen_ != seen_before || !before.contains(directory_))
        is_all_due_ = true;
    // The path may have come to mean something else before the watches stood.
    if (look() != seen_)
        set_all_due();
}

std::optional<std::set<std::string>> DirectoryWatch::take_touched() {
    std::set<std::string> touched = std::exchange(touched_, {});
    if (std::exchange(is_all_due_, due_))
        return std::nullopt;
    return touched;
}

void DirectoryWatch::catch_up() {
    read_events();
    arm_timer();
    if (due_) {
        const std::uint64_t one = 1;
        (void)!::write(again_.get(), &one, sizeof one);  // cannot fail: the counter is far from full
    }
}

void DirectoryWatch::arm_timer() {
    if (writing_.empty() || is_timer_armed_)
        return;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(patience_);
    itimerspec relative{};
    relative.it_value = {.tv_sec = seconds.count(), .tv_nsec = (patience_ - seconds).count() + 1};
    is_timer_armed_ = ::timerfd_settime(timer_.get(), 0, &relative, nullptr) == 0;
}

void DirectoryWatch::read_events() {
    alignas(inotify_event) char buffer[64 * 1024];
    while (inotify_) {
        const ssize_t size = ::read(inotify_.get(), buffer, sizeof buffer);
        if (size <= 0)
            return;
        for (const char* at = buffer; at < buffer + size;) {
            inotify_event event;
            std::memcpy(&event, at, sizeof event);
            const char* const name = at + sizeof event;
            on_event(event.wd, event.mask, {name, event.len == 0 ? 0 : ::strnlen(name, event.len)});
            at += sizeof event + event.len;
        }
    }
}

void DirectoryWatch::on_event(int watch, std::uint32_t mask, std::string_view name) {
    if ((mask & IN_Q_OVERFLOW) != 0) {
        writing_.clear();  // their closing may be among what was lost
        set_all_due();
        return;
    }
    const auto found = watches_.find(watch);
    if (found == watches_.end())
        return;
    if ((mask & IN_IGNORED) != 0) {  // the kernel has taken it off: removed or unmounted
        watches_.erase(found);
        if (watch == directory_)
            directory_ = -1;
        set_all_due();
    } else if (name.empty()) {
        set_all_due();
    } else if (watch == directory_) {
        on_directory_event(mask, std::string(name));
    } else if (name == found->second) {
        set_all_due();
    }
}

void DirectoryWatch::on_directory_event(std::uint32_t mask, const std::string& name) {
    if (!only_.empty() ? name != only_ : name != kDataLink && !is_manifest_name(name))
        return;
    if ((mask & IN_MODIFY) != 0) {
        writing_.insert(name);
        return;
    }
    if ((mask & IN_CREATE) != 0 && !is_complete_at_birth(name)) {
        writing_.insert(name);
        return;
    }
    if ((mask & (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE)) != 0)
        writing_.erase(name);
    if (name == kDataLink)
        set_all_due();
    else
        set_due(name);
}

void DirectoryWatch::set_due(const std::string& name) {
    due_ = true;
    touched_.insert(name);
}

// Links, hard links and whatever is no file have nobody who would close them.
bool DirectoryWatch::is_complete_at_birth(const std::string& name) const {
    struct stat status{};
    if (::lstat((directory_path_ + "/" + name).c_str(), &status) < 0)
        return false;
    return !S_ISREG(status.st_mode) || status.st_nlink > 1;
}

std::optional<DirectoryIdentity> DirectoryWatch::look() const {
    struct stat status{};
    if (::stat(path_.c_str(), &status) < 0)
        return std::nullopt;
    return DirectoryIdentity{status.st_dev, status.st_ino};
}

}  // namespace tokenlet::kube
