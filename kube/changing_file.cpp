// SPDX-License-Identifier: Apache-2.0
#include "kube/changing_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <ctime>
#include <utility>

#include "base/file_bytes.h"
#include "base/unique_fd.h"

namespace tokenlet::kube {
namespace {

// The kernel's file times advance in steps of up to 10 ms: a file changed this recently may change again unseen.
constexpr std::int64_t kTimestampDoubtNs = 50'000'000;

std::int64_t to_ns(const timespec& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

Result<bool> ChangingFile::look() {
    struct stat status{};
    if (::stat(path_.c_str(), &status) < 0)
        return fail_errno(errno, "stat", path_);
    const auto identity = [](const struct stat& of) {
        return Identity{of.st_dev, of.st_ino, of.st_size, to_ns(of.st_mtim), to_ns(of.st_ctim)};
    };
    if (seen_ == identity(status))
        return false;
    // A FIFO must not hold us up.
    const UniqueFd fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!fd)
        return fail_errno(errno, "open", path_);
    if (::fstat(fd.get(), &status) < 0)
        return fail_errno(errno, "fstat", path_);
    if (!S_ISREG(status.st_mode))
        return fail(Errc::Invalid, path_ + ": is no regular file");
    Secret read = TRY(read_all(fd.get(), limit_bytes_, path_));
    timespec now{};
    (void)::clock_gettime(CLOCK_REALTIME, &now);  // fails only without such a clock
    seen_ = identity(status);
    if (to_ns(now) - seen_->ctime_ns < kTimestampDoubtNs)
        seen_.reset();
    if (read == bytes_)
        return false;
    bytes_ = std::move(read);
    return true;
}

}  // namespace tokenlet::kube
