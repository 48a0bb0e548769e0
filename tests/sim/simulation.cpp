// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/simulation.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "tests/sim/fleet.h"
#include "tests/sim/promises.h"

namespace tokenlet::sim {
namespace {

std::string name_of(const kube::TokenRequest& request) {
    return "token " + request.ns + "/" + (request.bound_object_ref ? request.bound_object_ref->name : "?") + " for " +
           (request.audiences.empty() ? "?" : request.audiences.front());
}

// A command as a line of the trace.
std::string text_of(const agent::Command& command) {
    if (const auto* request = std::get_if<agent::RequestToken>(&command))
        return "    -> " + name_of(request->request);
    if (const auto* publish = std::get_if<agent::PublishVolume>(&command))
        return "    publish " + publish->record.ns + "/" + publish->record.pod + " " + publish->path.str();
    if (const auto* sweep = std::get_if<agent::SweepVolume>(&command))
        return "    sweep " + sweep->path.str();
    if (const auto* remove = std::get_if<agent::RemoveVolume>(&command))
        return "    remove " + remove->path.str();
    if (const auto* save = std::get_if<agent::SaveIdentities>(&command)) {
        std::string text = "    save identities";
        for (const agent::PodIdentity& pod : save->added)
            text += " +" + pod.pod.str() + "=" + pod.uid;
        for (const agent::PodIdentity& pod : save->removed)
            text += " -" + pod.pod.str() + "=" + pod.uid;
        return text;
    }
    if (const auto* tell = std::get_if<agent::TellIssuer>(&command))
        return "    tell the issuer: " + std::to_string(tell->pods.size()) + " pods, " +
               std::to_string(tell->accounts.size()) + " accounts, " + std::to_string(tell->pods_gone.size()) +
               " pods gone";
    if (const auto* watch = std::get_if<agent::WatchObjects>(&command))
        return "    watch " + std::to_string(watch->added.size()) + " objects more, " +
               std::to_string(watch->removed.size()) + " no longer";
    return "    list";
}

class Simulation {
public:
    explicit Simulation(const Options& options)
        : options_(options),
          chance_(options.seed * 0x9e3779b97f4a7c15ull),
          settings_(settings(options)),
          world_(settings_, options.seed),
          cluster_(world_, [this](Duration delay, std::function<void()> action) { later(delay, std::move(action)); }),
          fleet_(
              world_, settings_.objects_from == agent::ObjectsFrom::Cluster ? &cluster_ : nullptr, chance_,
              [this](Duration delay, std::function<void()> action) { later(delay, std::move(action)); },
              [this](const std::string& text) { deed(text); }),
          promises_(world_, fleet_, settings_) {}

    Outcome run();

private:
    static agent::CoreSettings settings(const Options& options) {
        agent::CoreSettings settings = World::default_settings();
        settings.rotation = {};
        if (options.calm)
            settings.audit_interval = 24h;  // the fleet is measured, not the looking after it
        // Every second seed asks an issuer on another machine, whose clock it has to measure.
        if (options.seed % 2 == 0)
            settings.issuer_clock = agent::IssuerClock::Measured;
        if (options.seed % 4 >= 2)
            settings.objects_from = agent::ObjectsFrom::Cluster;
        if (options.seed % 5 == 0)
            settings.requests_at_once = 8;
        return settings;
    }
    [[nodiscard]] bool measured() const { return settings_.issuer_clock == agent::IssuerClock::Measured; }
    [[nodiscard]] BootTime now() const { return world_.elapsed(); }

    void listen();
    void act();
    void trouble_issuer();
    void mend_issuer();
    void trouble_disk();
    void trouble_listing();
    void trouble_watch();
    void damage();
    void step_clock(Duration step);
    void suspend();
    void change_key();
    void demand();
    void crash();
    void reboot();
    void start(bool rebooted);

    void later(Duration delay, std::function<void()> action) { plans_.emplace(now() + delay, std::move(action)); }
    void pass_until(BootTime until);
    void deed(const std::string& text);
    void trace(const std::string& text) const;

    Options options_;
    Chance chance_;
    agent::CoreSettings settings_;
    World world_;
    Cluster cluster_;
    Fleet fleet_;
    Promises promises_;
    Outcome outcome_;
    std::multimap<BootTime, std::function<void()>> plans_;
    BootTime start_;
    std::uint64_t kill_at_ = 0;      // commands until the agent is killed; 0: it is not
    std::uint64_t issuer_mood_ = 0;  // which trouble it has
    int next_key_ = 1;
};

void Simulation::trace(const std::string& text) const {
    if (!options_.trace)
        return;
    const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(now() - start_).count();
    std::printf("%3lldd %02lld:%02lld:%02lld.%03lld  %s\n", static_cast<long long>(since / 86'400'000),
                static_cast<long long>(since / 3'600'000 % 24), static_cast<long long>(since / 60'000 % 60),
                static_cast<long long>(since / 1000 % 60), static_cast<long long>(since % 1000), text.c_str());
}

void Simulation::deed(const std::string& text) {
    ++outcome_.deeds;
    trace(text);
}

void Simulation::listen() {
    world_.on_command = [this](const agent::Command& command) {
        if (kill_at_ > 0 && --kill_at_ == 0)
            return crash();
        if (const auto* report = std::get_if<agent::Report>(&command)) {
            if (!options_.trace)
                return;
            std::string text = "    " + report->event;
            for (const auto& [name, value] : report->fields)
                text += " " + name + "=" + value;
            return trace(text);
        }
        if (options_.trace)
            trace(text_of(command));
        outcome_.requests += std::holds_alternative<agent::RequestToken>(command) ? 1 : 0;
        outcome_.publishes += std::holds_alternative<agent::PublishVolume>(command) ? 1 : 0;
        if (const auto* watch = std::get_if<agent::WatchObjects>(&command))
            cluster_.see(*watch);
        promises_.see(command);
    };
    cluster_.on_news = [this](const agent::WatchedObject& what, bool is_there) {
        if (options_.trace)
            trace("    <- " + what.key.str() + (is_there ? "" : " is not there"));
        fleet_.see_news(what, is_there);
    };
    cluster_.on_unwatched = [this](const agent::WatchedObject& what) { fleet_.see_unwatched(what); };
    world_.on_answer = [this](const AnswerSeen& answer) {
        outcome_.failures += answer.answer && !answer.twisted ? 0 : 1;
        if (options_.trace)
            trace("    <- " + name_of(answer.request) + " after " + go_duration(answer.took) +
                  (answer.answer ? answer.twisted ? ": a wrong token" : ": a token"
                                 : ": " + answer.answer.error().error.what));
        promises_.see(answer);
    };
    world_.on_listing = [this](const kube::Listing& listing) { fleet_.see_listing(listing); };
    world_.on_publish = [this](const agent::PublishVolume& publish, End end) {
        promises_.see_publish(publish, end);
        if (end == End::DiesHalfway)
            crash();
    };
    world_.on_removal = [this](const agent::VolumePath& path, End end) {
        promises_.see_removal(path, end);
        if (end == End::DiesHalfway)
            crash();
    };
    world_.on_account_replaced = [this](const kube::ObjectKey& account) { promises_.see_account_replaced(account); };
}

Outcome Simulation::run() {
    start_ = now();
    listen();
    fleet_.add_pods(options_.pods, options_.calm ? 172800 : 0);
    if (measured() && !options_.calm)
        world_.issuer.clock_offset = chance_.between(-26h, 26h);
    if (options_.seed % 3 == 0)
        world_.publish_latency = 200ms;  // a disk that is not memory
    start(false);
    const BootTime end = start_ + std::chrono::hours(24 * options_.days);
    while (now() < end && promises_.broken().empty()) {
        pass_until(std::min(end, now() + (options_.calm ? Duration(1h) : chance_.between(1s, 20min))));
        if (!options_.calm && promises_.broken().empty())
            act();
        world_.issuer.requests.clear();
        world_.reports.clear();
    }
    outcome_.broken = world_.trouble.empty() ? promises_.broken() : "rest: " + world_.trouble;
    if (!outcome_.broken.empty())
        trace("BROKEN " + outcome_.broken);
    outcome_.writes = world_.writes;
    outcome_.checks = promises_.checks();
    outcome_.removals = promises_.removals();
    return outcome_;
}

// Lets time go by, with what was planned for it, and looks at what has to be so by then.
void Simulation::pass_until(BootTime until) {
    while (promises_.broken().empty() && world_.trouble.empty()) {
        BootTime next = until;
        if (!plans_.empty())
            next = std::min(next, std::max(now(), plans_.begin()->first));
        world_.pass(next - now());
        promises_.check();
        if (!plans_.empty() && plans_.begin()->first <= now()) {
            const auto action = std::move(plans_.begin()->second);
            plans_.erase(plans_.begin());
            action();
        } else if (now() >= until) {
            return;
        }
    }
}

void Simulation::act() {
    using Deed = void (*)(Simulation&);
    // As often as it stands here.
    static constexpr Deed kDeeds[] = {
        [](Simulation& s) { s.fleet_.edit_config(); },
        [](Simulation& s) { s.fleet_.edit_config(); },
        [](Simulation& s) { s.fleet_.edit_pod(); },
        [](Simulation& s) { s.fleet_.edit_pod(); },
        [](Simulation& s) { s.fleet_.break_manifest(); },
        [](Simulation& s) { s.fleet_.unlink_and_create(); },
        [](Simulation& s) { s.fleet_.unlink_and_create(); },
        [](Simulation& s) { s.fleet_.take_away(); },
        [](Simulation& s) { s.fleet_.take_config(); },
        [](Simulation& s) { s.fleet_.take_or_give_optional(); },
        [](Simulation& s) {
            if (s.chance_.one_in(6))
                s.fleet_.unmount();
        },
        [](Simulation& s) { s.fleet_.make_account_anew(); },
        [](Simulation& s) { s.trouble_issuer(); },
        [](Simulation& s) { s.trouble_issuer(); },
        [](Simulation& s) { s.trouble_disk(); },
        [](Simulation& s) { s.trouble_listing(); },
        [](Simulation& s) { s.trouble_watch(); },
        [](Simulation& s) { s.damage(); },
        [](Simulation& s) { s.damage(); },
        [](Simulation& s) { s.step_clock(s.chance_.between(-26h, 26h)); },
        [](Simulation& s) { s.suspend(); },
        [](Simulation& s) { s.crash(); },
        [](Simulation& s) { s.kill_at_ = 1 + s.chance_.below(30); },
        [](Simulation& s) {
            if (s.chance_.one_in(3))
                s.reboot();
        },
        [](Simulation& s) {
            if (s.chance_.one_in(4))
                s.change_key();
        },
        [](Simulation& s) { s.demand(); },
        [](Simulation&) {},
        [](Simulation&) {},
        [](Simulation&) {},
    };
    kDeeds[chance_.below(std::size(kDeeds))](*this);
}

// Each trouble lasts for minutes, seldom for hours; a new one takes the place of the one before.
void Simulation::trouble_issuer() {
    mend_issuer();
    Issuer& issuer = world_.issuer;
    const std::uint64_t kind = chance_.below(12);
    const std::uint64_t mood = ++issuer_mood_;
    deed("issuer trouble " + std::to_string(kind));
    switch (kind) {
        case 0:
            issuer.up = false;
            break;
        case 1:
            issuer.refuses = Error{Errc::Unavailable, "503"};
            break;
        case 2:
            issuer.refuses = Error{Errc::Denied, "403"};
            break;
        case 3:
            issuer.refuses = Error{Errc::Unavailable, "429"};
            issuer.retry_after = chance_.between(1s, 10min);
            break;
        case 4:
            issuer.twist = [](kube::TokenRequest& request) { request.audiences = {"elsewhere"}; };
            break;
        case 5:
            issuer.twist = [](kube::TokenRequest& request) { request.bound_object_ref->uid = "stranger"; };
            break;
        case 6:
            issuer.twist = [](kube::TokenRequest& request) { request.expiration_seconds = -1; };
            break;
        case 7:
            issuer.latency = chance_.between(1s, 100s);
            break;
        case 8:
            issuer.delivery = chance_.between(1s, 100s);
            break;
        case 9:
            issuer.moody = [this](Issuer& one) {
                one.refuses = chance_.one_in(2) ? std::optional(Error{Errc::Unavailable, "503"}) : std::nullopt;
            };
            break;
        case 10:
            issuer.unreachable_for = "n" + std::to_string(chance_.below(7));
            break;
        default:
            issuer.answers_twice = true;
            issuer.latency = chance_.between(1ms, 30s);
            break;
    }
    later(chance_.between(1s, chance_.one_in(8) ? Duration(6h) : Duration(30min)), [this, mood] {
        if (mood == issuer_mood_)
            mend_issuer();
    });
}

void Simulation::mend_issuer() {
    trace("issuer well again");
    Issuer& issuer = world_.issuer;
    issuer.up = true;
    issuer.refuses.reset();
    issuer.retry_after.reset();
    issuer.twist = nullptr;
    issuer.moody = nullptr;
    issuer.unreachable_for.clear();
    issuer.latency = 1ms;
    issuer.delivery = 0s;
    issuer.answers_twice = false;
}

void Simulation::trouble_disk() {
    deed("disk full");
    const auto end = [this](const agent::VolumePath&) {
        if (chance_.one_in(500))
            return End::DiesHalfway;
        return chance_.one_in(4) ? End::Done : chance_.one_in(3) ? End::FailsHalfway : End::Fails;
    };
    world_.publish_ends = end;
    if (chance_.one_in(2))
        world_.removal_ends = end;
    if (chance_.one_in(2))
        world_.identities_fail = Error{Errc::Io, "No space left on device"};
    if (chance_.one_in(2))
        world_.telling_fails = Error{Errc::Io, "No space left on device"};
    later(chance_.between(1s, 30min), [this] {
        trace("disk well again");
        world_.publish_ends = world_.removal_ends = nullptr;
        world_.identities_fail.reset();
        world_.telling_fails.reset();
    });
}

void Simulation::trouble_listing() {
    deed("listings fail");
    world_.listing_fails = Error{Errc::Io, "Input/output error"};
    later(chance_.between(1s, 1h), [this] {
        trace("listings work again");
        world_.listing_fails.reset();
        promises_.listings_work();
        world_.list_now();
    });
}

void Simulation::trouble_watch() {
    deed("the watch is lost");
    cluster_.cut(chance_.one_in(3) ? Error{Errc::Denied, "403"} : Error{Errc::Unavailable, "connection refused"});
    later(chance_.between(1s, 1h), [this] {
        trace("the watch is back");
        cluster_.mend();
    });
}

// Of inotify the agent may not have got enough, and then it looks by itself.
void Simulation::damage() {
    if (world_.disk.empty())
        return;
    auto& [path, volume] =
        *std::next(world_.disk.begin(), static_cast<std::ptrdiff_t>(chance_.below(world_.disk.size())));
    if (volume.current.empty())
        return;
    std::string file;
    DiskVolume::Files& files = volume.generations.at(volume.current).files;
    if (chance_.one_in(3)) {
        volume.generations.clear();
        volume.current.clear();
    } else {
        const auto one = std::next(files.begin(), static_cast<std::ptrdiff_t>(chance_.below(files.size())));
        file = one->first;
        if (chance_.one_in(2))
            one->second = "junk";
        else
            files.erase(one);
    }
    const bool told = world_.running() && !chance_.one_in(3);
    deed("somebody damages " + path.str() + " " + file + (told ? "" : ", unseen"));
    promises_.damaged(path, file, told);
    if (told)
        world_.act([&](agent::Core& core, Now now) { core.on_touched(now, {{path}}); });
}

void Simulation::step_clock(Duration step) {
    step = std::max(step, -world_.now().wall.time_since_epoch());  // no machine is before 1970
    deed("wall clock stepped by " + go_duration(step));
    world_.step_wall(step);
    if (measured())
        world_.issuer.clock_offset -= step;  // the issuer's clock goes on as it did
    promises_.clock_stepped();
    if (world_.running())
        world_.wake();
}

void Simulation::suspend() {
    const Duration time = chance_.between(1s, 10h);
    deed("suspended for " + go_duration(time));
    world_.suspend(time);
    promises_.machine_slept(time);
}

void Simulation::change_key() {
    world_.issuer.key_id = "key-" + std::to_string(++next_key_);
    deed("the issuer signs with " + world_.issuer.key_id + " and accepts nothing else");
    promises_.key_changed();
    world_.act([this](agent::Core& core, Now now) { core.on_issuer_keys(now, {world_.issuer.key_id}); });
}

void Simulation::demand() {
    const FleetPod& pod = fleet_.pods()[chance_.below(fleet_.pods().size())];
    deed("a person wants a new token of " + pod.key.str());
    promises_.demanded(pod);
    world_.act([&](agent::Core& core, Now now) { (void)core.rotate_now(now, pod.key, ""); });  // it may not be there
}

void Simulation::crash() {
    if (!world_.running())
        return;
    deed("kill -9");
    ++outcome_.crashes;
    kill_at_ = 0;
    world_.crash();
    cluster_.agent_died();
    promises_.agent_died();
    later(chance_.between(1ms, chance_.one_in(5) ? Duration(2h) : Duration(20s)), [this] { start(false); });
}

// Sometimes with a wall clock that starts anywhere, and is set right later.
void Simulation::reboot() {
    if (!world_.running())
        return;
    deed("the machine reboots");
    ++outcome_.crashes;
    kill_at_ = 0;
    world_.reboot();
    cluster_.agent_died();
    promises_.agent_died();
    const Duration down = chance_.between(1s, 5min);
    const bool no_time = chance_.one_in(2);
    later(down, [this, no_time] {
        if (no_time) {
            const Duration back = world_.now().wall.time_since_epoch() - chance_.between(0s, 1h);
            step_clock(-back);
            const auto guarded = [this](Issuer& issuer) {
                if (!measured())  // the embedded authority signs nothing before the time it knows to be past
                    issuer.refuses = Error{Errc::Unavailable, "the clock is behind"};
            };
            mend_issuer();
            ++issuer_mood_;
            world_.issuer.moody = guarded;
            later(chance_.between(1s, 30min), [this, back] {
                mend_issuer();
                step_clock(back);
            });
        }
        start(true);
    });
}

void Simulation::start(bool rebooted) {
    trace("start");
    promises_.agent_starts(rebooted);
    world_.start();
}

}  // namespace

Outcome run(const Options& options) {
    return Simulation(options).run();
}

}  // namespace tokenlet::sim
