// SPDX-License-Identifier: Apache-2.0
// Which key signs, which are published, and when that changes.
//
// Shapes   plan_keys(records, configuration, now) -> what to do now, and when to look again. Pure.
// Units    WallTime: keys live for months and across boots.
// Owns     nothing.     Threads  any.     Errors  none.
//
// A key is published, then signs, then stays published until the last token it signed has expired:
//
//   successor ──publishBefore or more──► signer ──rotateEvery──► retired ──signed_until + leeway──► gone
//
// so that a verifier that cached the JWKS for publishBefore never meets a token of a key it has not seen. The very
// first key signs at once: no verifier can hold a cached set yet. Another algorithm in the configuration is a rotation
// that is due now. However late the clock says it is, a successor is published for publishBefore before it signs.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "authority/config.h"
#include "authority/records.h"
#include "base/time.h"

namespace tokenlet::authority {

struct KeyPlan {
    bool make_successor = false;         // make, publish and record a key of the configured algorithm, then plan again
    std::optional<std::string> promote;  // this one signs from now on, the present signer retires
    std::vector<std::string> drop;       // no longer published: expired, or superseded before they ever signed
    std::optional<WallTime> next;        // when there is something to do again; unset: never
    bool operator==(const KeyPlan&) const = default;
};

[[nodiscard]] KeyPlan plan_keys(std::span<const KeyRecord> records, const KeysConfiguration& config, WallTime now);

// The record that signs, or null at the very first start.
[[nodiscard]] const KeyRecord* signer_of(std::span<const KeyRecord> records);

}  // namespace tokenlet::authority
