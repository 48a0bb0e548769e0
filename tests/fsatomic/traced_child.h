// SPDX-License-Identifier: Apache-2.0
// A child whose file system calls are counted, so that one of them can be its last, or fail.
#pragma once

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <functional>

#include "tests/fsatomic/child.h"

namespace tokenlet::fsatomic {

inline constexpr std::array kFileCalls = {
    SYS_openat, SYS_openat2, SYS_mkdirat, SYS_write, SYS_read, SYS_fchmod, SYS_fchown, SYS_fsetxattr, SYS_fgetxattr,
    SYS_symlinkat, SYS_renameat, SYS_renameat2, SYS_unlinkat, SYS_readlinkat, SYS_getdents64, SYS_fsync, SYS_statx,
    SYS_fstat, SYS_newfstatat,
    // SQLite's.
    SYS_pread64, SYS_pwrite64, SYS_ftruncate, SYS_fallocate, SYS_fdatasync, SYS_unlink, SYS_mkdir};

struct Traced {
    bool reached = false;  // there was such a call
    long call = -1;        // its number
    int exit_code = -1;    // -1: killed
};

enum class Fate { Kill, Fail };

#if defined(__x86_64__)
inline bool can_trace() {
    const pid_t child = ::fork();
    if (child == 0)
        ::_exit(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) < 0 ? 1 : 0);
    int status = 0;
    return ::waitpid(child, &status, 0) == child && status == 0;
}

// Runs `work` in a child. Before its file system call number `at` (from 0) the child is killed, or that call fails with
// `os_errno` without being made.
inline Traced run_traced(const std::function<int()>& work, int at, Fate fate, int os_errno = 0) {
    const pid_t child = ::fork();
    if (child == 0) {
        forget_counts();
        ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        ::raise(SIGSTOP);
        const int exit_code = work();
        ::raise(SIGSTOP);  // what follows is none of the work
        keep_counts();
        ::_exit(exit_code);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    constexpr auto kCallAt = offsetof(user_regs_struct, orig_rax);
    constexpr auto kResultAt = offsetof(user_regs_struct, rax);
    Traced traced;
    bool entering = true, failing = false;
    for (int count = 0;;) {
        ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
        ::waitpid(child, &status, 0);
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            traced.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
            return traced;
        }
        if (WSTOPSIG(status) == SIGSTOP) {
            ::ptrace(PTRACE_DETACH, child, nullptr, nullptr);
            ::waitpid(child, &status, 0);
            traced.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
            return traced;
        }
        if (WSTOPSIG(status) != (SIGTRAP | 0x80))
            continue;
        if (entering) {
            const long call = ::ptrace(PTRACE_PEEKUSER, child, kCallAt, nullptr);
            if (std::find(kFileCalls.begin(), kFileCalls.end(), call) != kFileCalls.end() && count++ == at) {
                traced.reached = true;
                traced.call = call;
                if (fate == Fate::Kill)
                    ::kill(child, SIGKILL);
                else
                    ::ptrace(PTRACE_POKEUSER, child, kCallAt, -1L);
                failing = fate == Fate::Fail;
            }
        } else if (failing) {
            ::ptrace(PTRACE_POKEUSER, child, kResultAt, -static_cast<long>(os_errno));
            failing = false;
        }
        entering = !entering;
    }
}
#else
inline bool can_trace() {
    return false;
}
inline Traced run_traced(const std::function<int()>&, int, Fate, int = 0) {
    return {};
}
#endif

}  // namespace tokenlet::fsatomic
