// SPDX-License-Identifier: Apache-2.0
#include "authority/key_schedule.h"

#include <algorithm>
#include <chrono>

namespace tokenlet::authority {
namespace {

// Verifiers allow clocks to differ by this much. Source: kubernetes pkg/serviceaccount/claims.go, jwt.DefaultLeeway.
constexpr std::chrono::minutes kLeeway{1};

bool is_signer(const KeyRecord& key) {
    return key.signing_since && !key.retired_at;
}

bool is_successor(const KeyRecord& key) {
    return !key.signing_since && !key.retired_at;
}

void no_later_than(std::optional<WallTime>& next, WallTime time) {
    next = next ? std::min(*next, time) : time;
}

// The successor that has been published longest, and the others, which nobody needs.
const KeyRecord* choose_successor(std::span<const KeyRecord> records, Algorithm algorithm,
                                  std::vector<std::string>& superseded) {
    const KeyRecord* chosen = nullptr;
    for (const KeyRecord& key : records) {
        if (is_successor(key) && key.algorithm == algorithm &&
            (chosen == nullptr || key.published_at < chosen->published_at))
            chosen = &key;
    }
    for (const KeyRecord& key : records) {
        if (is_successor(key) && &key != chosen)
            superseded.push_back(key.kid);
    }
    return chosen;
}

void plan_retired(std::span<const KeyRecord> records, WallTime now, KeyPlan& plan) {
    for (const KeyRecord& key : records) {
        if (!key.retired_at)
            continue;
        const WallTime last_use = key.signed_until ? *key.signed_until + kLeeway : *key.retired_at;
        if (now >= last_use)
            plan.drop.push_back(key.kid);
        else
            no_later_than(plan.next, last_use);
    }
}

}  // namespace

const KeyRecord* signer_of(std::span<const KeyRecord> records) {
    const auto found = std::ranges::find_if(records, is_signer);
    return found == records.end() ? nullptr : &*found;
}

KeyPlan plan_keys(std::span<const KeyRecord> records, const KeysConfiguration& config, WallTime now) {
    KeyPlan plan;
    plan_retired(records, now, plan);
    const KeyRecord* successor = choose_successor(records, config.algorithm, plan.drop);
    const KeyRecord* signer = signer_of(records);
    if (signer == nullptr) {
        if (successor != nullptr)
            plan.promote = successor->kid;
        else
            plan.make_successor = true;
        return plan;
    }
    const bool other_algorithm = signer->algorithm != config.algorithm;
    if (!other_algorithm && config.rotate_every == Duration::zero())
        return plan;

    const WallTime due = other_algorithm ? now : *signer->signing_since + config.rotate_every;
    if (successor != nullptr) {
        const WallTime switch_at = std::max(due, successor->published_at + config.publish_before);
        if (now >= switch_at)
            plan.promote = successor->kid;
        else
            no_later_than(plan.next, switch_at);
        return plan;
    }
    const WallTime make_at = other_algorithm ? now : due - config.publish_before;
    if (now >= make_at)
        plan.make_successor = true;
    else
        no_later_than(plan.next, make_at);
    return plan;
}

}  // namespace tokenlet::authority
