// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/make_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "fsatomic/confined_dir.h"
#include "kube/path_trail.h"

namespace tokenlet::agent {

Result<UniqueFd> make_directory(const std::string& path, const DirectoryModes& modes) {
    for (std::size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
        const std::string part = path.substr(0, slash);
        const bool last = slash == std::string::npos;
        if (::mkdir(part.c_str(), 0700) == 0) {
            // Whatever the umask says, and only on what was made here.
            if (::chmod(part.c_str(), last ? modes.last : modes.above) < 0)
                return fail_errno(errno, "chmod", part);
        } else if (errno != EEXIST) {
            return fail_errno(errno, "mkdir", part);
        }
        if (last)
            return fsatomic::open_root(path);
    }
}

Result<UniqueFd> make_safe_directory(const std::string& path, const DirectoryModes& modes) {
    UniqueFd directory = TRY(make_directory(path, modes));
    kube::PathStep step{.path = path, .status = {}};
    // Of what was opened, which nobody can exchange any more.
    if (::fstat(directory.get(), &step.status) < 0)
        return fail_errno(errno, "fstat", path);
    TRY(kube::check_strict_modes(step, ::geteuid()), path);
    return directory;
}

}  // namespace tokenlet::agent
