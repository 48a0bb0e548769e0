// SPDX-License-Identifier: Apache-2.0
#include "cli/process.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace tokenlet::cli {

namespace {

#ifndef TOKENLET_SANITIZED
Result<> forbid_dumps() {
    // Both: the limit is inherited by children, the flag also keeps ptrace and /proc/PID/mem out, and pipes to a core
    // handler ignore the limit.
    const rlimit none{.rlim_cur = 0, .rlim_max = 0};
    if (::setrlimit(RLIMIT_CORE, &none) < 0)
        return fail_errno(errno, "setrlimit", "RLIMIT_CORE");
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return fail_errno(errno, "prctl", "PR_SET_DUMPABLE");
    return {};
}
#else
Result<> forbid_dumps() {
    return {};
}
#endif

// The usual soft limit of 1024 is for programs that use select(); a thousand clients would use it up.
void raise_descriptor_limit() {
    constexpr rlim_t kPlenty = 65'536;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, kPlenty));
    (void)::setrlimit(RLIMIT_NOFILE, &limit);  // it works with fewer, too
}

}  // namespace

Result<> harden_process() {
    ::umask(077);
    raise_descriptor_limit();
    return forbid_dumps();
}

}  // namespace tokenlet::cli
