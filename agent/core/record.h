// SPDX-License-Identifier: Apache-2.0
// What is known of a published token after the process that asked for it is gone.
//
// Shapes   one VolumeRecord beside each volume, written after its files; one TokenRecord for each token in it. What
//          matches the plan and the bytes on disk, and is not due, is adopted at the next start: no request, no write.
// Units    see rotation/schedule.h; received counts on CLOCK_BOOTTIME of the boot that boot_id names.
// Owns     names and times, no token.     Threads  any.     Errors  none here; agent/shell/record_file.h reads and writes.
#pragma once

#include <string>
#include <vector>

#include "rotation/schedule.h"

namespace tokenlet::agent {

struct TokenRecord {
    std::string path;    // the file in the volume that holds it
    std::string key;     // kube::TokenRequest::key()
    std::string issuer;  // the token's iss
    std::string key_id;  // the kid that signed it
    std::string service_account_uid;
    std::string sha256;      // of the token, in hex; the shell fills it in
    WallTime received_wall;  // the wall clock when times.received was read
    Duration jitter{};
    rotation::TokenTimes times;
    WallTime valid_until;  // rotation::HeldToken's
    bool operator==(const TokenRecord&) const = default;
};

struct VolumeRecord {
    std::string pod_uid;
    std::string ns;
    std::string pod;
    std::string volume;
    std::string boot_id;  // /proc/sys/kernel/random/boot_id
    std::vector<TokenRecord> tokens;
    bool operator==(const VolumeRecord&) const = default;
};

}  // namespace tokenlet::agent
