// SPDX-License-Identifier: Apache-2.0
// What publishing costs beyond the system calls that nobody can do without.
//
// Scenarios, each on tmpfs and on the disk (first argument: rounds, default 2000)
//   rotate     a three-file volume whose token changed: new generation, swap, the old generation's removal
//   rotate, synced   the same with fsync, on the disk only
//   unchanged  a pass over a volume in which nothing changed, against the calls that the kubelet's AtomicWriter makes for it
//
// Both sides of a pair alternate round by round in one run, so that whatever else the machine does falls on both; the
// figures are medians, and what counts is their ratio.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/time.h"
#include "base/unique_fd.h"
#include "fsatomic/generation.h"
#include "fsatomic/publish.h"

namespace tokenlet::fsatomic {
namespace {

constexpr std::array<const char*, 3> kNames = {"ca.crt", "namespace", "token"};

[[noreturn]] void stop(const std::string& why) {
    std::fprintf(stderr, "publish_bench: %s\n", why.c_str());
    std::exit(1);
}

void must(bool done, const char* call) {
    if (!done)
        stop(std::string(call) + ": " + errno_text(errno));
}

std::string token(int number) {
    return std::to_string(number) + std::string(1000, 't');
}

std::string bytes_of(const char* name, int number) {
    if (name == kNames[0])
        return std::string(1100, 'c');
    return name == kNames[1] ? "production" : token(number);
}

class Directory {
public:
    explicit Directory(const char* base) : path_(std::string(base) + "/publish-bench-XXXXXX") {
        must(::mkdtemp(path_.data()) != nullptr, "mkdtemp");
        must(::chmod(path_.c_str(), 0755) == 0, "chmod");
        fd_.reset(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        must(static_cast<bool>(fd_), "open");
    }
    ~Directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    [[nodiscard]] const UniqueFd& fd() const { return fd_; }

private:
    std::string path_;
    UniqueFd fd_;
};

// The plain calls: the same files and modes, one swap, the old directory removed; nothing looked at, nothing checked.
class Plain {
public:
    Plain(const char* base, Durability durability) : directory_(base), durability_(durability) {
        rotate();
        for (const char* name : kNames)
            must(::symlinkat(("..data/" + std::string(name)).c_str(), at(), name) == 0, "symlinkat");
    }

    void rotate() {
        const std::string old = std::exchange(current_, generation_name(read_clocks().wall, number_));
        must(::mkdirat(at(), current_.c_str(), 0700) == 0, "mkdirat");
        const UniqueFd generation(::openat(at(), current_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        for (const char* name : kNames) {
            const UniqueFd file(::openat(generation.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
            const std::string bytes = bytes_of(name, number_);
            must(::write(file.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()), "write");
            must(::fchmod(file.get(), 0644) == 0, "fchmod");
            sync(file);
        }
        must(::fchmod(generation.get(), 0755) == 0, "fchmod");
        sync(generation);
        must(::symlinkat(current_.c_str(), at(), kNewDataLink) == 0, "symlinkat");
        must(::renameat(at(), kNewDataLink, at(), kDataLink) == 0, "renameat");
        sync(directory_.fd());
        if (!old.empty()) {
            for (const char* name : kNames)
                must(::unlinkat(at(), (old + "/" + name).c_str(), 0) == 0, "unlinkat");
            must(::unlinkat(at(), old.c_str(), AT_REMOVEDIR) == 0, "unlinkat");
        }
        ++number_;
    }

    // What AtomicWriter asks the kernel when nothing changed: ..data, a walk over the old files, their bytes, the links.
    void check() {
        std::array<char, 4096> buffer;
        must(::readlinkat(at(), kDataLink, buffer.data(), buffer.size()) > 0, "readlinkat");
        struct stat found{};
        must(::fstatat(at(), current_.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0, "fstatat");
        {
            const UniqueFd generation(::openat(at(), current_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
            while (::getdents64(generation.get(), buffer.data(), buffer.size()) > 0) {
            }
        }
        for (const char* name : kNames)
            must(::fstatat(at(), (current_ + "/" + name).c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0, "fstatat");
        for (const char* name : kNames) {
            must(::fstatat(at(), (current_ + "/" + name).c_str(), &found, 0) == 0, "fstatat");
            const UniqueFd file(::openat(at(), (current_ + "/" + name).c_str(), O_RDONLY | O_CLOEXEC));
            must(::fstat(file.get(), &found) == 0, "fstat");
            while (::read(file.get(), buffer.data(), buffer.size()) > 0) {
            }
        }
        for (const char* name : kNames)
            must(::readlinkat(at(), name, buffer.data(), buffer.size()) > 0, "readlinkat");
    }

private:
    [[nodiscard]] int at() const { return directory_.fd().get(); }
    void sync(const UniqueFd& fd) const {
        if (durability_ == Durability::Disk)
            must(::fsync(fd.get()) == 0, "fsync");
    }

    Directory directory_;
    Durability durability_;
    std::string current_;
    int number_ = 0;
};

class Ours {
public:
    Ours(const char* base, Durability durability) : directory_(base), durability_(durability) {
        for (const char* name : kNames)
            payload_.files[name] = {Secret(bytes_of(name, 0)), {}};
        publish_payload();
    }

    void rotate() {
        payload_.files["token"].bytes = Secret(token(++number_));
        const Outcome outcome = publish_payload();
        if (auto retired = retire(directory_.fd(), outcome.previous->name, &witness_); !retired)
            stop(retired.error().what);
    }

    void check() {
        if (publish_payload().change != Change::None)
            stop("a change where there was none");
    }

private:
    Outcome publish_payload() {
        auto outcome = publish(directory_.fd(), payload_,
                               {.now = read_clocks().wall,
                                .digits = static_cast<std::uint64_t>(number_),
                                .durability = durability_,
                                .witness = std::move(witness_)});
        if (!outcome)
            stop(outcome.error().what);
        witness_ = std::move(outcome->witness);
        return std::move(*outcome);
    }

    Directory directory_;
    Durability durability_;
    Payload payload_;
    Witness witness_;
    int number_ = 0;
};

double microseconds(const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
    std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
    return values[values.size() / 2];
}

void compare(const char* scenario, int rounds, const std::function<void()>& ours, const std::function<void()>& theirs) {
    for (int i = 0; i < rounds / 10; ++i) {
        ours();
        theirs();
    }
    std::vector<double> our_times, their_times;
    for (int i = 0; i < rounds; ++i) {
        our_times.push_back(microseconds(ours));
        their_times.push_back(microseconds(theirs));
    }
    const double our_median = median(std::move(our_times)), their_median = median(std::move(their_times));
    std::printf("%-28s ours %9.2f us   plain calls %9.2f us   ratio %5.2f\n", scenario, our_median, their_median,
                our_median / their_median);
    std::fflush(stdout);
}

void run(const char* name, const char* base, Durability durability, int rounds) {
    Ours ours(base, durability);
    Plain plain(base, durability);
    compare((std::string(name) + ": rotate").c_str(), rounds, [&] { ours.rotate(); }, [&] { plain.rotate(); });
    if (durability == Durability::Memory) {
        ::usleep(200'000);  // a witness counts once it is older than a tick
        compare((std::string(name) + ": unchanged").c_str(), rounds, [&] { ours.check(); }, [&] { plain.check(); });
    }
}

}  // namespace
}  // namespace tokenlet::fsatomic

int main(int argc, char** argv) {
    using namespace tokenlet::fsatomic;
    const int rounds = argc > 1 ? std::max(std::atoi(argv[1]), 10) : 2000;
    run("tmpfs", "/dev/shm", Durability::Memory, rounds);
    run("disk", "/tmp", Durability::Memory, rounds);
    run("disk, synced", "/tmp", Durability::Disk, std::max(rounds / 20, 10));
}
