// SPDX-License-Identifier: Apache-2.0
#include "fsatomic/list_dir.h"

#include <dirent.h>

#include <array>
#include <cerrno>

namespace tokenlet::fsatomic {

Result<std::vector<DirEntry>> list_dir(const UniqueFd& dir, std::string_view name) {
    // getdents64() instead of fdopendir(): no 32 KiB on the heap and no second descriptor for directories of five entries.
    std::vector<DirEntry> entries;
    alignas(dirent64) std::array<char, 4096> buffer;
    for (;;) {
        const ssize_t size = ::getdents64(dir.get(), buffer.data(), buffer.size());
        if (size < 0)
            return fail_errno(errno, "getdents64", name);
        if (size == 0)
            return entries;
        for (ssize_t at = 0; at < size;) {
            const auto* entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
            at += entry->d_reclen;
            const std::string_view found = entry->d_name;
            if (found != "." && found != "..")
                entries.push_back({std::string(found), entry->d_type});
        }
    }
}

}  // namespace tokenlet::fsatomic
