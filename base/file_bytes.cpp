// SPDX-License-Identifier: Apache-2.0
#include "base/file_bytes.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace tokenlet {

Result<Secret> read_all(int fd, std::size_t limit_bytes, std::string_view name) {
    Secret bytes;
    std::array<char, 8192> buffer;
    std::size_t used = 0;
    ssize_t size = 0;
    int os_errno = 0;
    do {
        size = ::read(fd, buffer.data(), buffer.size());
        os_errno = errno;
        if (size > 0) {
            used = std::max(used, static_cast<std::size_t>(size));
            bytes.append({buffer.data(), static_cast<std::size_t>(size)});
        }
    } while (bytes.size() <= limit_bytes && (size > 0 || (size < 0 && os_errno == EINTR)));
    wipe_memory(buffer.data(), used);
    if (size < 0)
        return fail_errno(os_errno, "read", name);
    if (bytes.size() > limit_bytes)
        return fail(Errc::Invalid, std::string(name) + ": is longer than " + std::to_string(limit_bytes) + " bytes");
    return bytes;
}

Result<> write_all(int fd, std::string_view bytes, std::string_view name) {
    while (!bytes.empty()) {
        const ssize_t size = ::write(fd, bytes.data(), bytes.size());
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return fail_errno(errno, "write", name);
        bytes.remove_prefix(static_cast<std::size_t>(size));
    }
    return {};
}

}  // namespace tokenlet
