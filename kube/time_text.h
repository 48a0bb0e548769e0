// SPDX-License-Identifier: Apache-2.0
// Times as servers write them, and time limits as people read them.
//
// Shapes   parse_http_date("Tue, 24 Nov 2026 05:39:00 GMT"), as in Date and Retry-After headers;
//          parse_api_time("2026-11-24T05:39:00Z"), as in objects: a fraction and an offset ("+02:00") are fine.
// Units    years 1970 to 2261: 64 bits of nanoseconds hold no more.     Owns  nothing.     Threads  any.
// Errors   nullopt for anything else.
// Source   RFC 9110 section 5.6.7, RFC 3339.
// Differs  the two obsolete forms of an HTTP date are not read: no server that speaks TLS 1.2 writes them.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace tokenlet::kube {

[[nodiscard]] std::optional<WallTime> parse_http_date(std::string_view text);
[[nodiscard]] std::optional<WallTime> parse_api_time(std::string_view text);

// A time limit, for messages: "30 s", "80 ms".
[[nodiscard]] std::string in_words(std::chrono::milliseconds time);

}  // namespace tokenlet::kube
