// SPDX-License-Identifier: Apache-2.0
#include "cli/outcome.h"

#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "cli/text.h"

namespace tokenlet::cli {

namespace {

// The errno of the write that failed, or 0.
int write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return 0;
}

void complain(std::string_view line) {
    // One write, so that lines of several processes do not mix. Where stderr is gone there is nobody left to tell.
    (void)write_all(STDERR_FILENO, "tokenlet: " + printable(line) + "\n");
}

}  // namespace

Outcome failed(Error error) {
    return {.code = ExitCode::Failed, .complaints = {std::move(error.what)}};
}

Outcome misconfigured(Error error) {
    return {.code = ExitCode::Configuration, .complaints = {std::move(error.what)}};
}

ExitCode print(const Outcome& outcome) {
    const int trouble = write_all(STDOUT_FILENO, outcome.out);
    for (const std::string& line : outcome.complaints)
        complain(line);
    if (trouble == 0 || trouble == EPIPE)
        return outcome.code;
    complain("stdout: " + errno_text(trouble));
    return ExitCode::Failed;
}

}  // namespace tokenlet::cli
