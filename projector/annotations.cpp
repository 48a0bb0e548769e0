// SPDX-License-Identifier: Apache-2.0
#include "projector/annotations.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "base/did_you_mean.h"
#include "kube/fields.h"
#include "projector/access.h"

namespace tokenlet::projector {
namespace {

constexpr std::string_view kPrefix = "tokenlet.dev/";
constexpr std::string_view kKnown[] = {kReadersAnnotation, kGraceAnnotation};
constexpr std::string_view kLater[] = {"tokenlet.dev/path", "tokenlet.dev/notify", "tokenlet.dev/in-place",
                                       "tokenlet.dev/uid-map"};

Result<> check_name(std::string_view name) {
    if (std::ranges::find(kLater, name) != std::end(kLater))
        return fail(Errc::Invalid, "this version does not carry it out; remove it");
    if (std::ranges::find(kKnown, name) == std::end(kKnown))
        return fail(Errc::Invalid, "unknown annotation" + did_you_mean(name, kKnown));
    return {};
}

Result<Duration> read_grace(std::string_view text) {
    const Duration grace = TRY(kube::parse_duration(text));
    if (grace < Duration::zero() || grace > kMaxGrace)
        return fail(Errc::Invalid, "'" + std::string(text) + "' is not between 0s and 1h");
    return grace;
}

}  // namespace

Result<Annotations> read_annotations(const kube::StringMap& annotations) {
    Annotations read;
    for (const auto& [name, value] : annotations) {
        if (!name.starts_with(kPrefix))
            continue;
        const std::string field = "metadata.annotations['" + name + "']";
        TRY(check_name(name), field);
        if (name == kGraceAnnotation)
            read.grace = TRY(read_grace(value), field);
    }
    return read;
}

}  // namespace tokenlet::projector
