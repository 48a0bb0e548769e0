// SPDX-License-Identifier: Apache-2.0
#include "rotation/deadline_queue.h"

#include <gtest/gtest.h>

#include <random>

namespace tokenlet::rotation {
namespace {

using namespace std::chrono_literals;

constexpr BootTime kStart{100s};

TEST(DeadlineQueue, GivesWhatIsDueInOrderAndNothingElse) {
    DeadlineQueue<int> queue;
    EXPECT_EQ(queue.next(), std::nullopt);
    queue.set(3, kStart + 3s);
    queue.set(1, kStart + 1s);
    queue.set(2, kStart + 1s);
    EXPECT_EQ(queue.next(), kStart + 1s);
    EXPECT_EQ(queue.pop_due(kStart), std::nullopt);
    EXPECT_EQ(queue.pop_due(kStart + 1s), 1) << "among equals the smallest";
    EXPECT_EQ(queue.pop_due(kStart + 1s), 2);
    EXPECT_EQ(queue.pop_due(kStart + 1s), std::nullopt);
    EXPECT_EQ(queue.pop_due(kStart + 9s), 3);
    EXPECT_EQ(queue.size(), 0u);
}

TEST(DeadlineQueue, SettingAgainMovesAndCancelForgets) {
    DeadlineQueue<int> queue;
    queue.set(1, kStart + 1s);
    queue.set(1, kStart + 5s);
    EXPECT_EQ(queue.size(), 1u);
    EXPECT_EQ(queue.deadline(1), kStart + 5s);
    EXPECT_EQ(queue.pop_due(kStart + 1s), std::nullopt) << "the old deadline is gone";
    queue.cancel(1);
    queue.cancel(1);
    EXPECT_EQ(queue.deadline(1), std::nullopt);
    EXPECT_EQ(queue.pop_due(kStart + 9s), std::nullopt);
}

TEST(DeadlineQueue, AgreesWithAPlainModelOverRandomUse) {
    std::mt19937_64 random(5);
    DeadlineQueue<unsigned> queue;
    std::map<unsigned, BootTime> model;
    BootTime now = kStart;
    for (int i = 0; i < 20'000; ++i) {
        const auto id = static_cast<unsigned>(random() % 50);
        switch (random() % 3) {
            case 0:
                model[id] = now + std::chrono::seconds(random() % 100);
                queue.set(id, model[id]);
                break;
            case 1:
                model.erase(id);
                queue.cancel(id);
                break;
            default:
                now += std::chrono::seconds(random() % 10);
                while (const auto due = queue.pop_due(now)) {
                    ASSERT_TRUE(model.contains(*due));
                    ASSERT_LE(model[*due], now);
                    model.erase(*due);
                }
                for (const auto& [left, at] : model)
                    ASSERT_GT(at, now) << left << " was due and not given";
        }
    }
}

}  // namespace
}  // namespace tokenlet::rotation
