// SPDX-License-Identifier: Apache-2.0
// libcurl, started once in this process, with memory that it wipes when it gives it back.
//
// Shapes   start_curl() as often as one likes. Tokens pass through libcurl's buffers in both directions; with the C library's
//          own free() they would stay in memory that anybody may get next.
// Units    none.     Owns  libcurl's global state, until the process ends.
// Threads  any.
// Errors   Internal: libcurl cannot be started.
// Differs  what OpenSSL and nghttp2 take for themselves is not wiped here; OpenSSL clears its own keys.
#pragma once

#include "base/result.h"

namespace tokenlet::kube {

[[nodiscard]] Result<> start_curl();

}  // namespace tokenlet::kube
