// SPDX-License-Identifier: Apache-2.0
#include "authority/clock_guard.h"

#include <algorithm>
#include <ctime>
#include <iomanip>
#include <sstream>
#include <utility>

#include "authority/durable_file.h"

namespace tokenlet::authority {
namespace {

constexpr char kFile[] = "clock";

Result<WallTime> parse_time(const Secret& content) {
    std::istringstream text{std::string(content.view())};
    std::tm parts{};
    text >> std::get_time(&parts, "%Y-%m-%dT%H:%M:%SZ");
    if (!text)
        return fail(Errc::Invalid, "no time such as 2026-11-24T05:39:00Z; remove the file if the clock is right now");
    return WallTime(std::chrono::seconds(::timegm(&parts)));
}

}  // namespace

Result<ClockGuard> ClockGuard::load(const UniqueFd& dir, std::string directory) {
    ClockGuard guard(std::move(directory));
    const Result<Secret> content = read_file(dir, kFile, Readers::OwnerOnly);
    if (!content && content.error().code == Errc::NotFound)
        return guard;
    if (!content)
        return std::unexpected(content.error());
    guard.latest_ = guard.written_ = TRY(parse_time(*content), kFile);
    return guard;
}

Result<> ClockGuard::require_not_behind(WallTime now) const {
    if (now >= latest_)
        return {};
    return fail(Errc::Unavailable, "the wall clock says " + rfc3339(now) + ", " + go_duration(latest_ - now) +
                                       " before a time it has already shown (" + rfc3339(latest_) +
                                       "): no token is signed until it has caught up; set the clock, or, if it was "
                                       "wrong then, stop tokenlet and remove " +
                                       directory_ + "/" + kFile);
}

Result<> ClockGuard::note(const UniqueFd& dir, WallTime now) {
    return now - latest_ < kClockPersistInterval ? Result<>() : persist(dir, now);
}

Result<> ClockGuard::persist(const UniqueFd& dir, WallTime now) {
    latest_ = std::max<WallTime>(latest_, std::chrono::floor<std::chrono::seconds>(now));
    return save(dir);
}

Result<> ClockGuard::save(const UniqueFd& dir) {
    if (is_saved())
        return {};
    TRY(write_file(dir, kFile, rfc3339(latest_) + "\n", 0600), directory_);
    written_ = latest_;
    return {};
}

}  // namespace tokenlet::authority
