// SPDX-License-Identifier: Apache-2.0
// Runs a program, counts its system calls on files, and lets one of them be the last, fail, or come out short.
//
//     inject --below DIR [--user ID] [--at N --fate kill|short|ERRNO] [--step] [--lie] --log FILE -- PROGRAM [ARGUMENT...]
//
// Shapes   counted are calls of any thread on files below DIR and, once the first of those was made, calls that make
//          descriptors without a file (sockets, timers, pipes). The log has a line a call: number, name, path. --step
//          prints each line before the call is made and waits for a line on stdin, so that somebody can look meanwhile.
//          --lie: every sync succeeds, and none is made.
// Units    ERRNO is a number. N counts from 0.
// Owns     the child: it goes when we go.     Threads  one.
// Errors   the exit status is the program's, 128 + signal when one ended it, 125 when we failed.
//
// Only the calls of kCalls stop the program (a seccomp filter sees to that), so that a run costs little more than one alone.
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

// Where a call names its file: in a descriptor, in a path, or in a path beneath a descriptor.
enum class Where { Fd, Path, At, TargetAt, Map, Bind, Nowhere };

struct Call {
    long number;
    const char* name;
    Where where;
};

constexpr Call kCalls[] = {
    {SYS_open, "open", Where::Path},
    {SYS_openat, "openat", Where::At},
    {SYS_openat2, "openat2", Where::At},
    {SYS_read, "read", Where::Fd},
    {SYS_pread64, "pread64", Where::Fd},
    {SYS_write, "write", Where::Fd},
    {SYS_pwrite64, "pwrite64", Where::Fd},
    {SYS_fstat, "fstat", Where::Fd},
    {SYS_stat, "stat", Where::Path},
    {SYS_lstat, "lstat", Where::Path},
    {SYS_newfstatat, "newfstatat", Where::At},
    {SYS_statx, "statx", Where::At},
    {SYS_statfs, "statfs", Where::Path},
    {SYS_fstatfs, "fstatfs", Where::Fd},
    {SYS_access, "access", Where::Path},
    {SYS_faccessat, "faccessat", Where::At},
    {SYS_faccessat2, "faccessat2", Where::At},
    {SYS_mkdir, "mkdir", Where::Path},
    {SYS_mkdirat, "mkdirat", Where::At},
    {SYS_rmdir, "rmdir", Where::Path},
    {SYS_unlink, "unlink", Where::Path},
    {SYS_unlinkat, "unlinkat", Where::At},
    {SYS_rename, "rename", Where::Path},
    {SYS_renameat, "renameat", Where::At},
    {SYS_renameat2, "renameat2", Where::At},
    {SYS_symlinkat, "symlinkat", Where::TargetAt},
    {SYS_readlink, "readlink", Where::Path},
    {SYS_readlinkat, "readlinkat", Where::At},
    {SYS_getdents64, "getdents64", Where::Fd},
    {SYS_lseek, "lseek", Where::Fd},
    {SYS_ftruncate, "ftruncate", Where::Fd},
    {SYS_fallocate, "fallocate", Where::Fd},
    {SYS_fsync, "fsync", Where::Fd},
    {SYS_fdatasync, "fdatasync", Where::Fd},
    {SYS_chmod, "chmod", Where::Path},
    {SYS_fchmod, "fchmod", Where::Fd},
    {SYS_fchmodat, "fchmodat", Where::At},
    {SYS_chown, "chown", Where::Path},
    {SYS_fchown, "fchown", Where::Fd},
    {SYS_fchownat, "fchownat", Where::At},
    {SYS_fsetxattr, "fsetxattr", Where::Fd},
    {SYS_fgetxattr, "fgetxattr", Where::Fd},
    {SYS_fremovexattr, "fremovexattr", Where::Fd},
    {SYS_flock, "flock", Where::Fd},
    {SYS_fcntl, "fcntl", Where::Fd},
    {SYS_mmap, "mmap", Where::Map},
    {SYS_inotify_add_watch, "inotify_add_watch", Where::TargetAt},
    {SYS_bind, "bind", Where::Bind},
    {SYS_socket, "socket", Where::Nowhere},
    {SYS_inotify_init1, "inotify_init1", Where::Nowhere},
    {SYS_epoll_create1, "epoll_create1", Where::Nowhere},
    {SYS_timerfd_create, "timerfd_create", Where::Nowhere},
    {SYS_eventfd2, "eventfd2", Where::Nowhere},
    {SYS_pipe2, "pipe2", Where::Nowhere},
};

enum class Fate { None, Kill, Fail, Short };

struct Options {
    std::string below;
    std::optional<uid_t> user;
    long at = -1;
    Fate fate = Fate::None;
    int os_errno = 0;
    bool step = false;
    bool lie = false;
    std::string log;
    char** program = nullptr;
};

[[noreturn]] void give_up(const char* what) {
    std::perror(what);
    std::_Exit(125);
}

#if defined(__x86_64__)

std::string link_of(const std::string& path) {
    std::array<char, PATH_MAX> target;
    const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
    return size < 0 ? std::string() : std::string(target.data(), static_cast<std::size_t>(size));
}

std::string file_of(pid_t thread, int fd) {
    const std::string process = "/proc/" + std::to_string(thread);
    return link_of(fd == AT_FDCWD ? process + "/cwd" : process + "/fd/" + std::to_string(fd));
}

// The text at an address of the stopped thread, up to its NUL.
std::string text_at(pid_t thread, unsigned long long address) {
    std::string text;
    for (;;) {
        errno = 0;
        const long word = ::ptrace(PTRACE_PEEKDATA, thread, address + text.size(), nullptr);
        if (errno != 0)
            return text;
        std::array<char, sizeof word> bytes;
        std::memcpy(bytes.data(), &word, sizeof word);
        for (const char c : bytes) {
            if (c == '\0' || text.size() >= PATH_MAX)
                return text;
            text.push_back(c);
        }
    }
}

std::string beneath(pid_t thread, int fd, std::string path) {
    if (path.starts_with('/'))
        return path;
    std::string dir = file_of(thread, fd);
    return path.empty() || path == "." ? dir : dir + "/" + path;
}

std::string path_of(const Call& call, pid_t thread, const user_regs_struct& regs) {
    const auto fd = static_cast<int>(regs.rdi);
    switch (call.where) {
        case Where::Fd:
            return file_of(thread, fd);
        case Where::Path:
            return beneath(thread, AT_FDCWD, text_at(thread, regs.rdi));
        case Where::At:
            return beneath(thread, fd, text_at(thread, regs.rsi));
        case Where::TargetAt:
            return call.number == SYS_symlinkat ? beneath(thread, static_cast<int>(regs.rsi), text_at(thread, regs.rdx))
                                                : text_at(thread, regs.rsi);
        case Where::Map:
            return static_cast<int>(regs.r8) < 0 ? std::string() : file_of(thread, static_cast<int>(regs.r8));
        case Where::Bind:
            return text_at(thread, regs.rsi + offsetof(sockaddr_un, sun_path));
        case Where::Nowhere:
            return "-";
    }
    return {};
}

bool makes_file(const Call& call, const user_regs_struct& regs, pid_t thread) {
    if (call.number == SYS_openat)
        return (regs.rdx & O_CREAT) != 0;
    if (call.number == SYS_open)
        return (regs.rsi & O_CREAT) != 0;
    // struct open_how begins with its flags.
    return call.number == SYS_openat2 && (::ptrace(PTRACE_PEEKDATA, thread, regs.rdx, nullptr) & O_CREAT) != 0;
}

// Of fcntl() only what takes a lock or makes a descriptor can fail.
bool is_harmless(const Call& call, const user_regs_struct& regs) {
    if (call.number != SYS_fcntl)
        return false;
    constexpr std::array kCan = {F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW, F_DUPFD, F_DUPFD_CLOEXEC};
    return std::find(kCan.begin(), kCan.end(), static_cast<int>(regs.rsi)) == kCan.end();
}

class Tracer {
public:
    explicit Tracer(const Options& options) : options_(options), log_(std::fopen(options.log.c_str(), "we")) {
        if (log_ == nullptr)
            give_up(options.log.c_str());
    }

    int run() {
        child_ = ::fork();
        if (child_ < 0)
            give_up("fork");
        if (child_ == 0)
            become_program();
        int status = 0;
        ::waitpid(child_, &status, 0);
        if (!WIFSTOPPED(status))
            return 125;  // it has said why
        if (::ptrace(PTRACE_SETOPTIONS, child_, nullptr,
                     PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL) < 0)
            give_up("ptrace");
        std::fprintf(log_, "pid %d\n", static_cast<int>(child_));
        std::fflush(log_);
        ::ptrace(PTRACE_CONT, child_, nullptr, nullptr);
        int result = 125;
        for (pid_t thread; (thread = ::waitpid(-1, &status, __WALL)) > 0;) {
            if (WIFSTOPPED(status))
                go_on(thread, status);
            else if (thread == child_)
                result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        std::fclose(log_);
        return result;
    }

private:
    void go_on(pid_t thread, int status) {
        const int event = status >> 16;
        long signal = 0;
        if (event == PTRACE_EVENT_SECCOMP)
            on_call(thread);
        else if (event == 0 && WSTOPSIG(status) != SIGTRAP && WSTOPSIG(status) != SIGSTOP)
            signal = WSTOPSIG(status);
        ::ptrace(PTRACE_CONT, thread, nullptr, signal);
    }

    void on_call(pid_t thread) {
        user_regs_struct regs{};
        if (::ptrace(PTRACE_GETREGS, thread, nullptr, &regs) < 0)
            return;
        const auto* call = std::find_if(std::begin(kCalls), std::end(kCalls), [&](const Call& known) {
            return known.number == static_cast<long>(regs.orig_rax);
        });
        if (call == std::end(kCalls) || is_harmless(*call, regs))
            return;
        const std::string path = path_of(*call, thread, regs);
        const bool below = path == options_.below || path.starts_with(options_.below + "/");
        if (!below && (call->where != Where::Nowhere || count_ == 0))
            return;
        const std::string line = std::to_string(count_) + " " + call->name +
                                 (makes_file(*call, regs, thread) ? "+" : "") + " " + path + "\n";
        std::fputs(line.c_str(), log_);
        if (options_.step)
            wait_for_step(line);
        if (count_++ != options_.at) {
            if (options_.lie && (call->number == SYS_fsync || call->number == SYS_fdatasync))
                skip(thread, regs, 0);
            return;
        }
        std::fflush(log_);
        meet_fate(*call, thread, regs);
    }

    static void wait_for_step(const std::string& line) {
        std::fputs(line.c_str(), stdout);
        std::fflush(stdout);
        for (int c; (c = std::getchar()) != '\n' && c != EOF;) {
        }
    }

    void meet_fate(const Call& call, pid_t thread, user_regs_struct regs) {
        if (options_.fate == Fate::Kill) {
            ::kill(child_, SIGKILL);
            return;
        }
        // With threads, another run's call of this number may be one of another kind.
        const bool is_write = call.number == SYS_write || call.number == SYS_pwrite64;
        if (options_.fate == Fate::Short && is_write) {
            regs.rdx = std::max(regs.rdx / 2, 1ULL);
            ::ptrace(PTRACE_SETREGS, thread, nullptr, &regs);
        } else if (options_.fate == Fate::Fail) {
            skip(thread, regs, -options_.os_errno);
        }
    }

    // The call is not made, and seems to have returned `result`.
    static void skip(pid_t thread, user_regs_struct regs, long long result) {
        regs.orig_rax = static_cast<unsigned long long>(-1);
        regs.rax = static_cast<unsigned long long>(result);
        ::ptrace(PTRACE_SETREGS, thread, nullptr, &regs);
    }

    [[noreturn]] void become_program() {
        // While we still are who we were: the kernel looks at the credentials of now when the memory of a program that
        // forbids it is read later.
        if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) < 0)
            give_up("ptrace");
        if (const auto user = options_.user;
            user && (::setgroups(0, nullptr) < 0 || ::setresgid(*user, *user, *user) < 0 ||
                     ::setresuid(*user, *user, *user) < 0))
            give_up("setresuid");
        ::raise(SIGSTOP);

        std::vector<sock_filter> filter{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
        for (const Call& call : kCalls) {
            filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call.number), 0, 1));
            filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE));
        }
        filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
        const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
            give_up("seccomp");
        ::execv(options_.program[0], options_.program);
        give_up(options_.program[0]);
    }

    const Options& options_;
    std::FILE* log_;
    pid_t child_ = -1;
    long count_ = 0;
};

#endif

std::optional<Options> parse(int count, char** arguments) {
    Options options;
    for (int i = 1; i < count; ++i) {
        const std::string_view option = arguments[i];
        if (option == "--") {
            options.program = arguments + i + 1;
            break;
        }
        if (option == "--step") {
            options.step = true;
            continue;
        }
        if (option == "--lie") {
            options.lie = true;
            continue;
        }
        if (++i == count)
            return std::nullopt;
        const std::string value = arguments[i];
        if (option == "--below")
            options.below = value;
        else if (option == "--user")
            options.user = static_cast<uid_t>(std::stoul(value));
        else if (option == "--at")
            options.at = std::stol(value);
        else if (option == "--log")
            options.log = value;
        else if (option == "--fate" && value == "kill")
            options.fate = Fate::Kill;
        else if (option == "--fate" && value == "short")
            options.fate = Fate::Short;
        else if (option == "--fate")
            options.fate = Fate::Fail, options.os_errno = std::stoi(value);
        else
            return std::nullopt;
    }
    if (options.below.empty() || options.log.empty() || options.program == nullptr || *options.program == nullptr)
        return std::nullopt;
    return options;
}

}  // namespace

int main(int count, char** arguments) {
    const auto options = parse(count, arguments);
    if (!options) {
        std::fputs(
            "usage: inject --below DIR [--user ID] [--at N --fate kill|short|ERRNO] [--step] --log FILE -- "
            "PROGRAM...\n",
            stderr);
        return 125;
    }
#if defined(__x86_64__)
    return Tracer(*options).run();
#else
    std::fputs("inject: knows the registers of x86-64 only\n", stderr);
    return 125;
#endif
}
