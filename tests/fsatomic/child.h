// SPDX-License-Identifier: Apache-2.0
// Work in a child process, for what cannot be undone in a test: other users, refused system calls, private mounts.
#pragma once

#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <functional>
#include <string>

// In a coverage build, whose preset links them, libgcov's: writes what was counted so far. A child that leaves by _exit()
// would take it along.
extern "C" void __gcov_dump() __attribute__((weak));
extern "C" void __gcov_reset() __attribute__((weak));

namespace tokenlet::fsatomic {

inline void forget_counts() {
    if (__gcov_reset != nullptr)
        __gcov_reset();
}

inline void keep_counts() {
    if (__gcov_dump != nullptr)
        __gcov_dump();
}

// What a child answers when the machine does not let it try.
inline constexpr const char* kSkip = "skip";

// Runs `work` in a child and returns its answer; "" means that all was well.
inline std::string in_child(const std::function<std::string()>& work) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0)
        return "pipe2";
    const pid_t child = ::fork();
    if (child == 0) {
        ::close(ends[0]);
        forget_counts();
        const std::string answer = work();
        (void)!::write(ends[1], answer.data(), answer.size());
        keep_counts();
        ::_exit(0);
    }
    ::close(ends[1]);
    std::string answer;
    char buffer[1024];
    for (ssize_t size; (size = ::read(ends[0], buffer, sizeof buffer)) > 0;)
        answer.append(buffer, static_cast<std::size_t>(size));
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return "the child died: " + std::to_string(status);
    return answer;
}

inline constexpr unsigned kNobody = 65534;

// Becomes a user without rights. False when there are none to give up.
inline bool drop_root(unsigned id = kNobody) {
    return ::setgroups(0, nullptr) == 0 && ::setresgid(id, id, id) == 0 && ::setresuid(id, id, id) == 0;
}

// Not in a container that knows one user only.
inline bool can_drop_root() {
    return in_child([] { return drop_root() ? "" : "no"; }).empty();
}

inline bool private_mounts() {
    return ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

// From here on openat2() fails with `os_errno`, as under an old kernel or a container manager's filter.
inline bool refuse_openat2(int os_errno) {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<unsigned>(offsetof(seccomp_data, nr))),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(os_errno)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog program{.len = 4, .filter = filter};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace tokenlet::fsatomic
