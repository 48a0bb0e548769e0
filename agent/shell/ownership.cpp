// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/ownership.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>

namespace tokenlet::agent {

namespace {

struct Needed {
    unsigned capability;
    std::string_view name;
};

// To give a file away; to set mode and access list of what is no longer ours; to compare its bytes on the next pass.
constexpr std::array<Needed, 3> kNeeded = {
    {{CAP_CHOWN, "CAP_CHOWN"}, {CAP_FOWNER, "CAP_FOWNER"}, {CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"}}};

std::uint64_t effective_capabilities() {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    if (::syscall(SYS_capget, &header, sets.data()) < 0)
        return 0;  // not to know is not to have
    return std::uint64_t{sets[1].effective} << 32 | sets[0].effective;
}

std::string missing_capabilities() {
    const std::uint64_t held = effective_capabilities();
    // Root's CAP_DAC_OVERRIDE reads what CAP_DAC_READ_SEARCH does.
    const bool reads_all = (held >> CAP_DAC_OVERRIDE & 1) != 0;
    std::string missing;
    for (const Needed& needed : kNeeded)
        if ((held >> needed.capability & 1) == 0 && !(needed.capability == CAP_DAC_READ_SEARCH && reads_all))
            missing.append(missing.empty() ? "" : ", ").append(needed.name);
    return missing;
}

}  // namespace

Result<Ownership> choose_ownership(Ownership asked) {
    if (asked == Ownership::Acl)
        return Ownership::Acl;
    const std::string missing = missing_capabilities();
    if (missing.empty())
        return Ownership::Chown;
    if (asked == Ownership::Auto)
        return Ownership::Acl;
    return fail(Errc::Denied, "volumes.ownership: chown needs " + missing +
                                  ", which this process does not hold; grant them, or say acl");
}

}  // namespace tokenlet::agent
