// SPDX-License-Identifier: Apache-2.0
#include "projector/id_map.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>

namespace tokenlet::projector {
namespace {

constexpr std::uint64_t kIds = std::numeric_limits<std::uint32_t>::max();  // the last one means "none"

std::optional<unsigned> to_number(std::string_view text) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc() || end != text.data() + text.size())
        return {};
    return number;
}

// "name:first:count"; none where the line is about somebody else.
Result<std::optional<IdRange>> read_line(std::string_view line, const Account& account) {
    const std::size_t colon = line.find(':');
    const std::string_view whose = line.substr(0, colon);
    if (colon == line.npos || (whose != account.name && whose != std::to_string(account.uid)))
        return std::optional<IdRange>();
    const std::string_view rest = line.substr(colon + 1);
    const std::size_t second = std::min(rest.find(':'), rest.size());
    const std::optional<unsigned> first = to_number(rest.substr(0, second));
    const std::optional<unsigned> count = to_number(rest.substr(std::min(second + 1, rest.size())));
    if (!first || !count || *count == 0 || std::uint64_t{*first} + *count > kIds)
        return fail(Errc::Invalid, "'" + std::string(line) + "' is not NAME:FIRST:COUNT");
    return std::optional(IdRange{.outside = *first, .count = *count});
}

}  // namespace

Result<std::vector<IdRange>> rootless_ranges(std::string_view text, const Account& account, unsigned own_id) {
    std::vector<IdRange> ranges{{.inside = 0, .outside = own_id, .count = 1}};
    for (unsigned number = 1; !text.empty(); ++number) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        if (const auto range = TRY(read_line(line, account), "line " + std::to_string(number)))
            ranges.push_back(*range);
    }
    if (ranges.size() == 1)
        return fail(Errc::Invalid,
                    "no line gives ids to '" + account.name + "', without which containers have none but root's");
    std::ranges::sort(ranges.begin() + 1, ranges.end(), {}, &IdRange::outside);
    for (std::size_t i = 1; i < ranges.size(); ++i) {
        ranges[i].inside = ranges[i - 1].inside + ranges[i - 1].count;
        if (std::uint64_t{ranges[i].inside} + ranges[i].count > kIds)
            return fail(Errc::Invalid, "more ids than there are for '" + account.name + "'");
    }
    return ranges;
}

Result<unsigned> host_id(const std::vector<IdRange>& ranges, unsigned inside) {
    for (const IdRange& range : ranges)
        if (inside >= range.inside && inside - range.inside < range.count)
            return range.outside + (inside - range.inside);
    return fail(Errc::Invalid, std::to_string(inside) + " is none of the container's ids, which end at " +
                                   std::to_string(ranges.back().inside + ranges.back().count - 1));
}

}  // namespace tokenlet::projector
