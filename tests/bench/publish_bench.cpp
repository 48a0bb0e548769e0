// SPDX-License-Identifier: Apache-2.0
// What publishing costs beyond the system calls that nobody can do without, and against the kubelet's AtomicWriter.
//
// Scenarios, a three-file volume each
//   publish    one token changed: new generation, swap, the old generation's removal; on tmpfs, on the disk, and on the
//              disk with fsync
//   unchanged  a pass over a volume in which nothing changed; on tmpfs
//   --count N  publishes N times on tmpfs and prints nothing: for counting instructions (instructions_bench.py)
//
// The AtomicWriter is in the program that CONTROL_PLANE names (tests/cluster/build.sh makes it); without it only its system
// calls are there to compare with.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "base/unique_fd.h"
#include "fsatomic/generation.h"
#include "fsatomic/publish.h"
#include "tests/bench/figures.h"

namespace tokenlet::fsatomic {
namespace {

constexpr std::array<const char*, 3> kNames = {"ca.crt", "namespace", "token"};

using bench::must;
using bench::stop;

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
    [[nodiscard]] const std::string& path() const { return path_; }

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

// The kubelet's own writer, a process that answers each line with the nanoseconds it took.
class AtomicWriter {
public:
    AtomicWriter(const char* program, const char* base) : directory_(base) {
        std::array<int, 2> requests{}, answers{};
        must(::pipe2(requests.data(), O_CLOEXEC) == 0 && ::pipe2(answers.data(), O_CLOEXEC) == 0, "pipe2");
        child_ = ::fork();
        must(child_ >= 0, "fork");
        if (child_ == 0) {
            ::dup2(requests[0], STDIN_FILENO);
            ::dup2(answers[1], STDOUT_FILENO);
            ::execl(program, program, "atomic-writer", directory_.path().c_str(), nullptr);
            ::_exit(127);
        }
        ::close(requests[0]);
        ::close(answers[1]);
        requests_.reset(requests[1]);
        answers_.reset(answers[0]);
    }
    ~AtomicWriter() {
        requests_.reset();
        (void)::waitpid(child_, nullptr, 0);  // it ends with its input
    }
    AtomicWriter(const AtomicWriter&) = delete;
    AtomicWriter& operator=(const AtomicWriter&) = delete;

    [[nodiscard]] bench::Turn turn(const char* what, int rounds) {
        return [this, request = std::string(what) + " " + std::to_string(rounds) + "\n"] {
            must(::write(requests_.get(), request.data(), request.size()) > 0, "write to the AtomicWriter");
            std::istringstream line(read_line());
            std::vector<double> times;
            for (double nanoseconds = 0; line >> nanoseconds;)
                times.push_back(nanoseconds / 1000);
            if (times.empty())
                stop("the AtomicWriter gave no answer");
            return times;
        };
    }

private:
    std::string read_line() {
        std::string line;
        for (char c = 0; ::read(answers_.get(), &c, 1) == 1 && c != '\n';)
            line += c;
        return line;
    }

    Directory directory_;
    pid_t child_ = -1;
    UniqueFd requests_;
    UniqueFd answers_;
};

constexpr int kRoundsMemory = 60;
constexpr int kRoundsDisk = 10;
constexpr int kRoundsSynced = 1;

void run_memory() {
    Ours ours("/dev/shm", Durability::Memory);
    Plain plain("/dev/shm", Durability::Memory);
    const char* program = std::getenv("CONTROL_PLANE");
    std::unique_ptr<AtomicWriter> upstream;
    if (program != nullptr)
        upstream = std::make_unique<AtomicWriter>(program, "/dev/shm");

    const bench::Turn publish = bench::turn(kRoundsMemory, [&] { ours.rotate(); });
    bench::compare({.what = "publish, tmpfs", .against = "plain calls", .target = "<= 1.25", .bound = 1.25}, publish,
                   bench::turn(kRoundsMemory, [&] { plain.rotate(); }));
    if (upstream)
        bench::compare(
            {.what = "publish, tmpfs", .against = "AtomicWriter", .target = "<= 0.43 (2.3 x faster)", .bound = 1 / 2.3},
            publish, upstream->turn("rotate", kRoundsMemory));

    ::usleep(200'000);  // a witness counts once it is older than a tick
    const bench::Turn check = bench::turn(kRoundsMemory, [&] { ours.check(); });
    bench::compare({.what = "unchanged, tmpfs", .against = "AtomicWriter's calls", .target = ""}, check,
                   bench::turn(kRoundsMemory, [&] { plain.check(); }));
    if (upstream)
        bench::compare({.what = "unchanged, tmpfs", .against = "AtomicWriter", .target = "<= 0.2", .bound = 0.2}, check,
                       upstream->turn("check", kRoundsMemory));
}

void run_disk(const char* what, Durability durability, int rounds) {
    Ours ours("/var/tmp", durability);
    Plain plain("/var/tmp", durability);
    bench::compare(
        {.what = what, .against = "plain calls", .target = ""}, rounds, [&] { ours.rotate(); },
        [&] { plain.rotate(); });
}

}  // namespace
}  // namespace tokenlet::fsatomic

int main(int argc, char** argv) {
    using namespace tokenlet::fsatomic;
    if (argc == 3 && std::string_view(argv[1]) == "--count") {
        Ours ours("/dev/shm", Durability::Memory);
        for (int i = std::atoi(argv[2]); i > 0; --i)
            ours.rotate();
        return 0;
    }
    run_memory();
    run_disk("publish, disk", Durability::Memory, kRoundsDisk);
    run_disk("publish, disk, fsync on both sides", Durability::Disk, kRoundsSynced);
}
