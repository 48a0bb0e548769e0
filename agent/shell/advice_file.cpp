// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/advice_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace tokenlet::agent {

Result<bool> AdviceFile::add(const std::string& yaml) {
    if (!added_.insert(yaml).second)
        return false;
    if (added_.size() == 1 && ::unlinkat(state_dir_.get(), kAdviceFile, 0) < 0 && errno != ENOENT)
        return fail_errno(errno, "unlink", kAdviceFile);
    // Opened each time, because a person may delete it once it is applied.
    constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC;
    const UniqueFd file(::openat(state_dir_.get(), kAdviceFile, kFlags, 0644));
    if (!file)
        return fail_errno(errno, "open", kAdviceFile);
    const std::string document = "---\n" + yaml;
    const ssize_t written = ::write(file.get(), document.data(), document.size());
    if (written != static_cast<ssize_t>(document.size()))
        return fail_errno(written < 0 ? errno : ENOSPC, "write", kAdviceFile);
    return true;
}

}  // namespace tokenlet::agent
