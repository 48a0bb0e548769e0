// SPDX-License-Identifier: Apache-2.0
// When to look at the manifest directory again.
//
// Shapes   fd() is readable when there is something to drain(); drain() says whether a listing is due. The one who lists
//          walks the path, calls watch() with the trail, lists, and calls catch_up() before it trusts what it has read.
// Owns     an inotify instance, an open mountinfo, an eventfd, a timer, and an epoll instance over the four: fd().
// Threads  one at a time.
// Errors   make(): only when the kernel refuses epoll or eventfd. Without inotify or mountinfo it works, and
//          sees less: watch() says whether the directory is watched.
//
// Watched are the directory itself, and each directory and link on the way to it for being moved, removed or changed in
// mode. Inotify does not see mounts, so mountinfo is polled: each change of the mount table compares what stands at the
// path with what stood there.
//
// A file that is created or written to is waited for until its writer closes it. One that nobody closes in sight (kept
// open, or made with O_TMPFILE and linked in) makes a listing due when the patience ends: while one is waited for, and
// only then, there is a timer.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "kube/manifest_listing.h"
#include "kube/path_trail.h"

namespace tokenlet::kube {

class DirectoryWatch {
public:
    [[nodiscard]] static Result<DirectoryWatch> make(std::string path, Duration patience);

    [[nodiscard]] int fd() const noexcept { return poll_.get(); }
    [[nodiscard]] bool drain();

    // A listing begins: what was due is being done. Watches the trail, and nothing else from now on.
    void watch(const PathTrail& trail);
    // The names that events have spoken of since the last call; unset when everything has to be looked at. After watch().
    [[nodiscard]] std::optional<std::set<std::string>> take_touched();
    // Takes in what happened meanwhile; when that makes another listing due, fd() becomes readable.
    void catch_up();

    [[nodiscard]] bool is_watched() const noexcept { return directory_ >= 0; }
    // Written to, and not closed yet.
    [[nodiscard]] bool is_being_written(const std::string& name) const { return writing_.contains(name); }
    // Spoken of by events since take_touched().
    [[nodiscard]] bool is_touched(const std::string& name) const { return touched_.contains(name); }
    void wait_for(const std::string& name) { writing_.insert(name); }
    void stop_waiting_for(const std::string& name) { writing_.erase(name); }

private:
    DirectoryWatch(std::string path, Duration patience) : path_(std::move(path)), patience_(patience) {}

    void read_events();
    void arm_timer();
    void set_all_due() { due_ = is_all_due_ = true; }
    void set_due(const std::string& name);
    void on_event(int watch, std::uint32_t mask, std::string_view name);
    void on_directory_event(std::uint32_t mask, const std::string& name);
    [[nodiscard]] bool is_complete_at_birth(const std::string& name) const;
    [[nodiscard]] std::optional<DirectoryIdentity> look() const;

    std::string path_;
    Duration patience_;
    UniqueFd inotify_;
    UniqueFd mounts_;
    UniqueFd again_;
    UniqueFd timer_;
    UniqueFd poll_;
    bool due_ = true;
    bool is_all_due_ = true;
    std::set<std::string> touched_;
    bool is_timer_armed_ = false;
    std::optional<DirectoryIdentity> seen_;  // what stood at the path when watch() was called
    std::map<int, std::string> watches_;     // on the way: the entry that leads on
    int directory_ = -1;                     // the directory's own watch
    std::string directory_path_;
    std::string only_;  // the path is a file: its name
    std::set<std::string> writing_;
};

}  // namespace tokenlet::kube
