// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/publisher.h"

#include <gtest/gtest.h>

#include <semaphore>

#include "tests/fsatomic/scratch.h"

namespace tokenlet::agent {
namespace {

using fsatomic::Scratch;

constexpr Now kNow{.boot = BootTime(std::chrono::hours(1)), .wall = WallTime(std::chrono::seconds(1'800'000'000))};

class Publishing : public testing::Test {
protected:
    std::unique_ptr<Publisher> publisher(Publisher::Where where) {
        Volumes settings;
        settings.root = scratch_.at("pods");
        settings.by_name = scratch_.at("by-name");
        settings.memory = MemoryRule::Ignore;
        auto store = VolumeStore::open(settings, [] { return std::uint64_t{1}; });
        return std::make_unique<Publisher>(*loop_, std::move(*store), where);
    }
    static PublishVolume volume(std::string name) {
        PublishVolume command{
            .path = {.pod_uid = "uid", .plugin_directory = "kubernetes.io~projected", .volume = std::move(name)},
            .names = {},
            .payload = {},
            .record = {},
            .keep = {}};
        command.payload.files["token"].bytes.append("x");
        return command;
    }
    void publish(Publisher& publisher, const std::string& name) {
        publisher.publish(volume(name), kNow, [this, name](const Result<PublishOutcome>& outcome) {
            answers_ += name + (outcome ? "+ " : outcome.error().code == Errc::Unavailable ? "? " : "- ");
        });
    }
    // Jobs that never end fill the pool, as a hung disk does.
    void hang_pool() {
        for (int i = 0; i < kThreads; ++i)
            loop_->work([this]() -> Task {
                go_.acquire();
                return {};
            });
    }
    void resume_pool() { go_.release(kThreads); }

    static constexpr int kThreads = 4;  // libuv's default
    Scratch scratch_;
    std::unique_ptr<Loop> loop_ = *Loop::create();
    std::counting_semaphore<kThreads> go_{0};
    std::string answers_;
};

TEST_F(Publishing, OnMemoryAnswersBeforeTheCallReturns) {
    const auto memory = publisher(Publisher::Where::Loop);
    publish(*memory, "a");
    EXPECT_EQ(answers_, "a+ ");
    EXPECT_EQ(memory->next_deadline(), std::nullopt);
}

TEST_F(Publishing, OnADiskAnswersLaterInOrder) {
    const auto disk = publisher(Publisher::Where::Pool);
    publish(*disk, "a");
    publish(*disk, "b");
    disk->remove({.path = volume("a").path, .names = {}}, kNow, [this](const Result<>& result) {
        answers_ += result ? "removed" : "not removed";
        loop_->stop();
    });
    EXPECT_EQ(answers_, "");
    EXPECT_EQ(disk->next_deadline(), kNow.boot + kPublishTime);
    loop_->run();
    EXPECT_EQ(answers_, "a+ b+ removed");
    EXPECT_EQ(disk->next_deadline(), std::nullopt);
    EXPECT_FALSE(std::filesystem::exists(scratch_.at("pods/uid/volumes/kubernetes.io~projected/a")));
}

TEST_F(Publishing, GivesUpOnADiskThatDoesNotAnswerAndTakesItBackWhenItDoes) {
    const auto disk = publisher(Publisher::Where::Pool);
    hang_pool();
    publish(*disk, "a");
    publish(*disk, "b");
    disk->on_timer({.boot = kNow.boot + kPublishTime - std::chrono::seconds(1), .wall = kNow.wall});
    EXPECT_EQ(answers_, "") << "its time is not over";
    disk->on_timer({.boot = kNow.boot + kPublishTime, .wall = kNow.wall});
    EXPECT_EQ(answers_, "a? b? ");
    publish(*disk, "c");
    EXPECT_EQ(answers_, "a? b? c? ") << "it still hangs";
    EXPECT_EQ(disk->next_deadline(), std::nullopt) << "there is nothing to wake up for";

    resume_pool();
    std::function<void()> until_well = [&] {
        answers_.clear();
        publish(*disk, "d");
        if (answers_.empty())
            loop_->post([&] { loop_->stop(); });
        else
            loop_->post(until_well);
    };
    loop_->post(until_well);
    loop_->run();
    EXPECT_TRUE(loop_->finish_work(std::chrono::seconds(10)));
    EXPECT_TRUE(std::filesystem::exists(scratch_.at("pods/uid/volumes/kubernetes.io~projected/a")))
        << "it was carried out after all";
}

TEST_F(Publishing, IsForgottenByTheAnswersOfAPublisherThatIsGone) {
    auto disk = publisher(Publisher::Where::Pool);
    hang_pool();
    publish(*disk, "a");
    disk.reset();
    resume_pool();
    EXPECT_TRUE(loop_->finish_work(std::chrono::seconds(10)));
    EXPECT_EQ(answers_, "");
}

}  // namespace
}  // namespace tokenlet::agent
