// SPDX-License-Identifier: Apache-2.0
#include "cli/outcome.h"

#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/file_bytes.h"
#include "cli/text.h"

namespace tokenlet::cli {

namespace {

void complain(std::string_view line) {
    // One write, so that lines of several processes do not mix. Where stderr is gone there is nobody left to tell.
    (void)write_all(STDERR_FILENO, "tokenlet: " + printable(line) + "\n", "stderr");
}

}  // namespace

Outcome failed(Error error) {
    return {.code = ExitCode::Failed, .complaints = {std::move(error.what)}};
}

Outcome misconfigured(Error error) {
    return {.code = ExitCode::Configuration, .complaints = {std::move(error.what)}};
}

ExitCode print(const Outcome& outcome) {
    const Result<> written = write_all(STDOUT_FILENO, outcome.out, "stdout");
    for (const std::string& line : outcome.complaints)
        complain(line);
    if (written || written.error().os_errno == EPIPE)
        return outcome.code;
    complain("stdout: " + errno_text(written.error().os_errno));
    return ExitCode::Failed;
}

}  // namespace tokenlet::cli
