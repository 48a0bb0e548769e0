// SPDX-License-Identifier: Apache-2.0
// A directory of its own for a test, on a file system of the test's choice, and what a reader sees in it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "base/unique_fd.h"
#include "fsatomic/payload.h"
#include "fsatomic/publish.h"

namespace tokenlet::fsatomic {

inline constexpr const char* kTmpfs = "/dev/shm";
inline constexpr const char* kDisk = "/var/tmp";

inline std::string file_system_name(const testing::TestParamInfo<const char*>& tested) {
    return tested.param == std::string(kTmpfs) ? "Tmpfs" : "Disk";
}

class Scratch {
public:
    explicit Scratch(const std::string& base = kTmpfs) : path_(base + "/tokenlet-fsatomic-XXXXXX") {
        if (::mkdtemp(path_.data()) == nullptr)
            std::abort();
        ::chmod(path_.c_str(), 0755);
        fd_.reset(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    ~Scratch() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    [[nodiscard]] const UniqueFd& fd() const { return fd_; }
    [[nodiscard]] std::string at(const std::string& name) const { return path_ + "/" + name; }
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
    UniqueFd fd_;
};

// Waits until a change leaves another change time than any made before. The kernel stamps with a clock that lags behind
// by a tick, or by more on a busy machine.
inline void next_tick() {
    timespec start{}, stamp{};
    ::clock_gettime(CLOCK_REALTIME, &start);
    do {
        ::sched_yield();
        ::clock_gettime(CLOCK_REALTIME_COARSE, &stamp);
    } while (stamp.tv_sec < start.tv_sec || (stamp.tv_sec == start.tv_sec && stamp.tv_nsec <= start.tv_nsec));
}

struct Seen {
    std::string bytes;
    mode_t mode = 0;
    bool operator==(const Seen&) const = default;
};
using SeenFiles = std::map<std::string, Seen>;

inline void PrintTo(const Seen& seen, std::ostream* out) {
    *out << "'" << seen.bytes.substr(0, 40) << "' " << std::oct << seen.mode << std::dec;
}

inline std::string read_whole(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

inline void write_whole(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}

inline std::string link_of(const std::string& path) {
    std::error_code failed;
    const auto target = std::filesystem::read_symlink(path, failed);
    return failed ? "" : target.string();
}

inline bool exists(const std::string& path) {
    struct stat found{};
    return ::lstat(path.c_str(), &found) == 0;
}

inline struct stat stat_of(const std::string& path) {
    struct stat found{};
    EXPECT_EQ(::stat(path.c_str(), &found), 0) << path;
    return found;
}

// What a reader finds that goes through the names of the volume and follows links.
inline SeenFiles visible(const std::string& volume) {
    namespace fs = std::filesystem;
    SeenFiles files;
    for (const auto& entry : fs::directory_iterator(volume)) {
        const std::string name = entry.path().filename();
        if (name.starts_with(".."))
            continue;
        if (!fs::is_directory(entry.path())) {
            files[name] = {read_whole(entry.path()), stat_of(entry.path()).st_mode & 07777};
            continue;
        }
        for (const auto& below : fs::recursive_directory_iterator(entry.path(), fs::directory_options::none))
            if (!below.is_directory())
                files[fs::relative(below.path(), volume.c_str()).string().empty()
                          ? name
                          : below.path().string().substr(volume.size() + 1)] = {read_whole(below.path()),
                                                                                stat_of(below.path()).st_mode & 07777};
    }
    return files;
}

// Names of generations in the volume.
inline std::vector<std::string> generations(const std::string& volume) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(volume))
        if (is_generation_name(entry.path().filename().string()))
            names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
}

inline File file(std::string_view bytes, mode_t mode = 0644) {
    return {Secret(bytes), {.mode = mode, .owner = {}, .group = {}, .readers = {}}};
}

struct Text {
    std::string path;
    std::string bytes;
    mode_t mode = 0644;
};

inline Payload payload_of(const std::vector<Text>& files) {
    Payload payload;
    for (const Text& text : files)
        payload.files.emplace(text.path, file(text.bytes, text.mode));
    return payload;
}

inline constexpr WallTime kLater{std::chrono::seconds{4102444800}};  // 2100: every stamp of a test is settled

// Publishes and keeps the witness and the clock, as the shell does.
class Publisher {
public:
    explicit Publisher(const UniqueFd& volume) : volume_(volume) {}

    Result<Outcome> publish_payload(const Payload& payload, Options options = {}) {
        options.now = now_;
        options.digits = ++digits_;
        options.witness = std::move(witness);
        auto outcome = fsatomic::publish(volume_, payload, std::move(options));
        witness = outcome ? outcome->witness : Witness{};
        return outcome;
    }
    Result<Outcome> publish(const std::vector<Text>& files) { return publish_payload(payload_of(files)); }

    Witness witness;

private:
    const UniqueFd& volume_;
    WallTime now_ = kLater;
    std::uint64_t digits_ = 0;
};

}  // namespace tokenlet::fsatomic
