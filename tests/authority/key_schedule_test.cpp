// SPDX-License-Identifier: Apache-2.0
#include "authority/key_schedule.h"

#include <gtest/gtest.h>

namespace tokenlet::authority {
namespace {

using namespace std::chrono_literals;

constexpr WallTime kStart{1'800'000'000s};
constexpr KeysConfiguration kConfig{.algorithm = Algorithm::Es256, .rotate_every = 100h, .publish_before = 1h};

KeyRecord signer(std::string kid, WallTime since) {
    return {.kid = std::move(kid),
            .jwk = "{}",
            .published_at = since,
            .signing_since = since,
            .retired_at = {},
            .signed_until = since + 101h};
}

KeyRecord successor(std::string kid, WallTime published) {
    return {.kid = std::move(kid),
            .jwk = "{}",
            .published_at = published,
            .signing_since = {},
            .retired_at = {},
            .signed_until = {}};
}

KeyRecord retired(std::string kid, WallTime at, std::optional<WallTime> signed_until) {
    KeyRecord key = signer(std::move(kid), at - 100h);
    key.retired_at = at;
    key.signed_until = signed_until;
    return key;
}

KeyRecord with(Algorithm algorithm, KeyRecord key) {
    key.algorithm = algorithm;
    return key;
}

TEST(KeySchedule, DecidesFromTheRecordsAndTheTimeAlone) {
    struct Case {
        std::string_view name;
        std::vector<KeyRecord> records;
        Duration now;  // after kStart
        KeyPlan want;
    };
    const Case cases[] = {
        {"first start: a key is made", {}, 0h, {.make_successor = true, .promote = {}, .drop = {}, .next = {}}},
        {"the first key signs at once, nobody can have cached a set",
         {successor("a", kStart)},
         0h,
         {.make_successor = false, .promote = "a", .drop = {}, .next = {}}},
        {"in its time: wait until the successor must be made",
         {signer("a", kStart)},
         98h,
         {.make_successor = false, .promote = {}, .drop = {}, .next = kStart + 99h}},
        {"publishBefore ahead of the rotation: make it",
         {signer("a", kStart)},
         99h,
         {.make_successor = true, .promote = {}, .drop = {}, .next = {}}},
        {"published in time: wait for the day",
         {signer("a", kStart), successor("b", kStart + 99h)},
         99h,
         {.make_successor = false, .promote = {}, .drop = {}, .next = kStart + 100h}},
        {"the day",
         {signer("a", kStart), successor("b", kStart + 99h)},
         100h,
         {.make_successor = false, .promote = "b", .drop = {}, .next = {}}},
        {"off for a month: still published for publishBefore",
         {signer("a", kStart), successor("b", kStart + 800h)},
         800h,
         {.make_successor = false, .promote = {}, .drop = {}, .next = kStart + 801h}},
        {"other algorithm: due now, published first",
         {with(Algorithm::Rs256, signer("a", kStart))},
         1h,
         {.make_successor = true, .promote = {}, .drop = {}, .next = {}}},
        {"other algorithm: and then waits",
         {with(Algorithm::Rs256, signer("a", kStart)), successor("b", kStart + 1h)},
         90min,
         {.make_successor = false, .promote = {}, .drop = {}, .next = kStart + 2h}},
        {"changed its mind: the successor of the other algorithm goes",
         {signer("a", kStart), with(Algorithm::Es512, successor("b", kStart + 1h))},
         2h,
         {.make_successor = false, .promote = {}, .drop = {"b"}, .next = kStart + 99h}},
        {"two successors: the longer published stays",
         {signer("a", kStart), successor("c", kStart + 2h), successor("b", kStart + 1h)},
         3h,
         {.make_successor = false, .promote = {}, .drop = {"c"}, .next = kStart + 100h}},
        {"retired: published until its last token is dead",
         {retired("a", kStart, kStart + 1h), signer("b", kStart)},
         1h,
         {.make_successor = false, .promote = {}, .drop = {}, .next = kStart + 1h + 1min}},
        {"retired: then no longer",
         {retired("a", kStart, kStart + 1h), signer("b", kStart)},
         1h + 1min,
         {.make_successor = false, .promote = {}, .drop = {"a"}, .next = kStart + 99h}},
        {"retired without a single token",
         {retired("a", kStart, {}), signer("b", kStart)},
         0h,
         {.make_successor = false, .promote = {}, .drop = {"a"}, .next = kStart + 99h}},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const KeyPlan plan = plan_keys(c.records, kConfig, kStart + c.now);
        EXPECT_EQ(plan.make_successor, c.want.make_successor);
        EXPECT_EQ(plan.promote, c.want.promote);
        EXPECT_EQ(plan.drop, c.want.drop);
        // While something is to be done at once, the next look follows by itself.
        if (!c.want.make_successor && !c.want.promote) {
            EXPECT_EQ(plan.next, c.want.next);
        }
    }
}

TEST(KeySchedule, NeverRotatesWhenToldSo) {
    KeysConfiguration config = kConfig;
    config.rotate_every = 0h;
    EXPECT_EQ(plan_keys(std::vector{signer("a", kStart)}, config, kStart + 100000h), KeyPlan{});
}

}  // namespace
}  // namespace tokenlet::authority
