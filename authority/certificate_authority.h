// SPDX-License-Identifier: Apache-2.0
// The authority's own certificate authority: what kube-root-ca.crt holds.
//
// Shapes   open() finds or makes ca.key (0600, PKCS#8) and ca.crt (0644) in a directory: P-256, ten years.
// Owns     the certificate's text; the key stays in its file until something must be signed with it.
// Threads  any.
// Errors   as durable_file.h, and Invalid where the two files do not belong together, or one is lost.
#pragma once

#include <string>

#include "base/result.h"
#include "base/time.h"
#include "base/unique_fd.h"

namespace tokenlet::authority {

class CertificateAuthority {
public:
    [[nodiscard]] static Result<CertificateAuthority> open(const UniqueFd& dir, WallTime now);
    [[nodiscard]] const std::string& certificate_pem() const { return certificate_pem_; }

private:
    explicit CertificateAuthority(std::string certificate_pem) : certificate_pem_(std::move(certificate_pem)) {}
    std::string certificate_pem_;
};

}  // namespace tokenlet::authority
