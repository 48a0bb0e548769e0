// SPDX-License-Identifier: Apache-2.0
#include "cli/input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file_bytes.h"
#include "base/unique_fd.h"

namespace tokenlet::cli {

Result<Secret> read_input(const std::string& path, std::size_t limit_bytes) {
    if (path == "-")
        return read_all(STDIN_FILENO, limit_bytes, "stdin");
    // Opened without waiting, for nobody may ever open the other end of a FIFO; read with waiting, for <(command) may
    // take its time.
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!file)
        return fail_errno(errno, "open", path);
    struct stat status{};
    if (::fstat(file.get(), &status) < 0 || ::fcntl(file.get(), F_SETFL, 0) < 0)
        return fail_errno(errno, "open", path);
    Secret bytes = TRY(read_all(file.get(), limit_bytes, path));
    if (bytes.empty() && S_ISFIFO(status.st_mode))
        return fail(Errc::Invalid, path + ": is a FIFO, and nobody writes to it");
    return bytes;
}

}  // namespace tokenlet::cli
