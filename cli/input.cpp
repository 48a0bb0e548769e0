// SPDX-License-Identifier: Apache-2.0
#include "cli/input.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.h"

namespace tokenlet::cli {

Result<Secret> read_input(const std::string& path, std::size_t limit_bytes) {
    const bool is_stdin = path == "-";
    const std::string name = is_stdin ? "stdin" : path;
    UniqueFd file;
    if (!is_stdin) {
        // Blocking on purpose: <(command) and FIFOs are fine here.
        file.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
        if (!file)
            return fail_errno(errno, "open", path);
    }
    Secret bytes;
    char buffer[4096];
    while (true) {
        const ssize_t n = ::read(is_stdin ? STDIN_FILENO : file.get(), buffer, sizeof buffer);
        const int trouble = errno;
        if (n > 0)
            bytes.append({buffer, static_cast<std::size_t>(n)});
        wipe_memory(buffer, sizeof buffer);
        if (n == 0)
            return bytes;
        if (n < 0 && trouble != EINTR)
            return fail_errno(trouble, "read", name);
        if (bytes.size() > limit_bytes)
            return fail(Errc::Invalid, name + ": is longer than " + std::to_string(limit_bytes) + " bytes");
    }
}

}  // namespace tokenlet::cli
