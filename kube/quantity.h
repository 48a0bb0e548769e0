// SPDX-License-Identifier: Apache-2.0
// Resource quantities: "250m", "100Mi", "1e3", "1.5G".
//
// Shapes   parse_quantity reads Kubernetes' grammar; a Quantity is an exact decimal, value * 10^exponent.
// Units    cores, bytes or pieces, as the resource says; thousandths at the finest that tokenlet ever asks for.
// Owns     nothing.     Threads  any.     Errors  Invalid, quoting the text; more than int64 can hold is refused.
// Source   kubernetes apimachinery pkg/api/resource/quantity.go.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace tokenlet::kube {

// In nano units, as upstream's finest scale: nothing finer is kept (rounded up, as upstream does).
struct Quantity {
    __extension__ __int128 nano = 0;
    [[nodiscard]] bool is_zero() const { return nano == 0; }
    bool operator==(const Quantity&) const = default;
};

[[nodiscard]] Result<Quantity> parse_quantity(std::string_view text);

// The quotient rounded up to whole numbers; a zero divisor stands for 1. Source: pkg/api/v1/resource/helpers.go.
[[nodiscard]] std::int64_t divide_rounding_up(Quantity dividend, Quantity divisor);

}  // namespace tokenlet::kube
