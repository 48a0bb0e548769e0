// SPDX-License-Identifier: Apache-2.0
// Whether PEM text is what a TLS connection needs, said in words before a handshake says it in numbers.
//
// Shapes   check_authorities(pem): one certificate or more. read_client_pair(certificate, key): they belong together; the
//          times in which the certificate is valid come out.
// Units    WallTime.     Owns  nothing.     Threads  any.
// Errors   Invalid, naming what is wrong, never a byte of a key; check_times(): Unavailable, since files are replaced.
#pragma once

#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace tokenlet::kube {

struct CertificateTimes {
    WallTime not_before;
    WallTime not_after;
};

struct ClientPair {
    std::string_view certificate_pem;
    std::string_view certificate_where;  // for messages
    std::string_view key_pem;
    std::string_view key_where;
};

[[nodiscard]] Result<> check_authorities(std::string_view pem);
[[nodiscard]] Result<CertificateTimes> read_client_pair(const ClientPair& pair);
[[nodiscard]] Result<> check_times(const CertificateTimes& times, WallTime now);

}  // namespace tokenlet::kube
