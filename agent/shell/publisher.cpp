// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/publisher.h"

#include <string>
#include <utility>

namespace tokenlet::agent {

namespace {

std::unexpected<Error> no_answer() {
    return fail(Errc::Unavailable, "the disk has not answered for " +
                                       std::to_string(std::chrono::seconds(kPublishTime).count()) +
                                       " s; what was published before stays");
}

}  // namespace

// One command on its way through the pool. `run` works on the store and puts the answer into the task it returns; give_up()
// answers in its place. Whichever comes first takes the caller's done.
struct Publisher::Job {
    std::move_only_function<Task(VolumeStore&)> run;
    Task give_up;
};

Publisher::Publisher(Loop& loop, VolumeStore store, Where where)
    : loop_(loop),
      store_(std::make_shared<VolumeStore>(std::move(store))),
      where_(where),
      self_(std::make_shared<Publisher*>(this)) {}

Publisher::~Publisher() {
    *self_ = nullptr;
}

template <class Command, class Answer>
void Publisher::carry_out(Command command, Now now, std::move_only_function<void(Answer)> done,
                          Answer (*act)(VolumeStore&, const Command&, WallTime)) {
    if (where_ == Where::Loop) {
        done(act(*store_, command, now.wall));
        return;
    }
    auto once = std::make_shared<std::move_only_function<void(Answer)>>(std::move(done));
    const auto answer = [](auto& pending, Answer result) {
        if (auto call = std::exchange(*pending, nullptr))
            call(std::move(result));
    };
    if (hung_) {
        answer(once, Answer(no_answer()));
        return;
    }
    auto job = std::make_shared<Job>();
    job->give_up = [once, answer] { answer(once, Answer(no_answer())); };
    job->run = [command = std::move(command), wall = now.wall, once, answer, act](VolumeStore& store) -> Task {
        return [once, answer, result = act(store, command, wall)]() mutable { answer(once, std::move(result)); };
    };
    waiting_.push_back(std::move(job));
    start_next(now.boot);
}

void Publisher::publish(PublishVolume command, Now now, Published done) {
    carry_out<PublishVolume, Result<PublishOutcome>>(
        std::move(command), now, std::move(done),
        [](VolumeStore& store, const PublishVolume& what, WallTime wall) { return store.publish(what, wall); });
}

void Publisher::sweep(SweepVolume command, Now now, Done done) {
    carry_out<SweepVolume, Result<>>(
        std::move(command), now, std::move(done),
        [](VolumeStore& store, const SweepVolume& what, WallTime) { return store.sweep(what); });
}

void Publisher::remove(RemoveVolume command, Now now, Done done) {
    carry_out<RemoveVolume, Result<>>(
        std::move(command), now, std::move(done),
        [](VolumeStore& store, const RemoveVolume& what, WallTime) { return store.remove(what); });
}

void Publisher::start_next(BootTime now) {
    if (running_ || waiting_.empty())
        return;
    running_ = std::move(waiting_.front());
    waiting_.pop_front();
    running_until_ = now + kPublishTime;
    loop_.work([job = running_, store = store_, self = self_]() -> Task {
        return [finish = job->run(*store), self]() mutable {
            Publisher* publisher = *self;
            if (publisher == nullptr)
                return;
            publisher->running_.reset();
            publisher->hung_ = false;
            publisher->start_next(read_clocks().boot);
            finish();
        };
    });
}

std::optional<BootTime> Publisher::next_deadline() const {
    return running_ && !hung_ ? std::optional(running_until_) : std::nullopt;
}

void Publisher::on_timer(Now now) {
    if (!running_ || hung_ || now.boot < running_until_)
        return;
    // The pool still has the command that is under way; its answer will find nobody. Those that wait would fare no better.
    hung_ = true;
    const std::shared_ptr<Job> overdue = running_;
    const std::deque<std::shared_ptr<Job>> waiting = std::exchange(waiting_, {});
    overdue->give_up();
    for (const std::shared_ptr<Job>& job : waiting)
        job->give_up();
}

}  // namespace tokenlet::agent
