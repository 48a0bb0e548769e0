// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/host_id.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "authority/durable_file.h"

namespace tokenlet::agent {
namespace {

constexpr std::size_t kDigits = 32;

bool is_host_id(std::string_view text) {
    return text.size() == kDigits &&
           std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

Result<std::string> read_host_id(const UniqueFd& state_dir, const std::function<std::uint64_t()>& random) {
    const Result<Secret> known = authority::read_file(state_dir, kHostIdFile, authority::Readers::Anyone);
    if (known) {
        std::string_view text = known->view();
        text = text.substr(0, text.find('\n'));
        if (!is_host_id(text))
            return fail(Errc::Invalid, std::string(kHostIdFile) +
                                           ": holds no id of ours; without the file this host becomes another one, and "
                                           "leaves what it made at the API server behind");
        return std::string(text);
    }
    if (known.error().code != Errc::NotFound)
        return std::unexpected(known.error());
    const std::uint64_t first = random();
    std::string drawn = fmt::format("{:016x}{:016x}", first, random());
    TRY(authority::write_file(state_dir, kHostIdFile, drawn + "\n", 0644));
    return drawn;
}

}  // namespace tokenlet::agent
