// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/simulation.h"

#include <algorithm>
#include <cstdio>
#include <queue>
#include <random>
#include <set>

#include "tests/sim/world.h"

namespace tokenlet::sim {
namespace {

// Two retry delays of a minute, and a little: so long may a token be due, or refused, while the issuer can be reached.
constexpr Duration kPatience = 130s;
constexpr Duration kLostAnswer = 60s;
constexpr Duration kHold = 1h;

struct ModelPod {
    int number = 0;
    kube::ObjectKey key;
    std::string account;
    std::int64_t ttl_seconds = 3600;
    int config = 1;  // both keys of its ConfigMap say so
    bool second_volume = false;
    bool manifest_broken = false;
    bool unserved = false;                  // it was broken when the agent started, which thus does not know the Pod
    std::optional<BootTime> absent_since;   // the truth, whatever the agent has seen of it
    std::optional<BootTime> dropped_since;  // the second volume
    BootTime touched;                       // its manifest or account: an excuse for a new token
};

// One token as the issuer gave it.
struct Given {
    std::string key;
    BootTime at;
    Duration ttl{};
    WallTime issued;
    WallTime expires;
};

class Simulation {
public:
    explicit Simulation(const Options& options)
        : options_(options), random_(options.seed * 0x9e3779b97f4a7c15ull), world_(settings(options)) {}

    Outcome run();

private:
    static agent::CoreSettings settings(const Options& options) {
        agent::CoreSettings settings = World::default_settings();
        settings.rotation = {};
        // Every second seed asks an issuer on another machine, whose clock it has to measure.
        if (options.seed % 2 == 0)
            settings.issuer_clock = agent::IssuerClock::Measured;
        return settings;
    }

    // Chance.
    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
    bool one_in(std::uint64_t n) { return below(n) == 0; }
    Duration between(Duration low, Duration high) {
        return low + Duration(below(static_cast<std::uint64_t>((high - low).count()) + 1));
    }
    ModelPod& any_pod() { return pods_[below(pods_.size())]; }

    // People.
    void write_pod(ModelPod& pod);
    void write_config(const ModelPod& pod);
    void write_account(const ModelPod& pod, const std::string& uid);
    [[nodiscard]] std::string pod_text(const ModelPod& pod) const;
    void act();
    void edit_config();
    void edit_pod();
    void break_manifest();
    void unlink_and_create();
    void take_away();
    void unmount();
    void make_account_anew();

    // Machines.
    void trouble_issuer();
    void trouble_disk();
    void trouble_listing();
    void step_clock();
    void suspend();
    void crash();
    void start();
    void change_key();
    void later(Duration delay, std::function<void()> action) { plans_.emplace(now() + delay, std::move(action)); }
    void pass_until(BootTime until);
    [[nodiscard]] BootTime now() const { return world_.now().boot; }
    [[nodiscard]] WallTime issuer_now() const { return world_.now().wall + world_.issuer.clock_offset; }
    void impede() { clear_since_ = now(); }

    // Promises.
    void see(const agent::Command& command);
    void see_request(const kube::TokenRequest& request);
    void see_answer(const kube::TokenRequest& request, const agent::TokenAnswer& answer, Duration took);
    void see_publish(const agent::PublishVolume& publish);
    void see_sweep(const agent::SweepVolume& sweep);
    void see_removal(const agent::RemoveVolume& remove);
    void see_gone(const agent::PodIdentity& pod);
    void check_due();
    void check_clock();
    void check_present();
    void check_token(const agent::VolumePath& path, const std::string& token);
    [[nodiscard]] ModelPod* model(const kube::ObjectKey& key);
    [[nodiscard]] bool impeded() const {
        return !world_.running() || !world_.issuer.up || world_.issuer.refuses || world_.publish_fails ||
               world_.identities_fail || world_.telling_fails || world_.listing_fails;
    }
    void broken(const std::string& promise, const std::string& what);
    void trace(const std::string& text) const;

    Options options_;
    std::mt19937_64 random_;
    World world_;
    Outcome outcome_;
    std::vector<ModelPod> pods_;
    std::map<kube::ObjectKey, std::size_t> by_key_;
    std::multimap<BootTime, std::function<void()>> plans_;
    BootTime start_;
    int next_uid_ = 0;

    std::optional<BootTime> unmounted_at_;
    std::map<std::string, std::string> parked_;  // manifests of an unmounted directory
    int kill_at_ = 0;                            // commands until the agent is killed; 0: it is not
    BootTime clear_since_;                       // since then nothing has stood between the agent and a fresh token
    BootTime excused_;                           // a reason for all tokens to be asked for anew
    std::map<std::string, BootTime> asked_;      // request keys in flight
    std::map<std::string, BootTime> failed_;     // request keys, last failure
    std::map<std::string, Given> last_given_;    // by request key
    std::map<std::string, Given> given_;         // by token text, of what is on disk or may come there
    std::map<std::string, kube::ObjectKey> pod_of_uid_;
    std::set<std::string> gone_;     // uids that have left by the rule
    std::set<std::string> foreign_;  // request keys whose token nobody accepts any more
    struct Check {
        BootTime at;
        agent::VolumePath path;
        std::string token;
        bool operator>(const Check& other) const { return at > other.at; }
    };
    std::priority_queue<Check, std::vector<Check>, std::greater<>> checks_;
};

void Simulation::trace(const std::string& text) const {
    if (!options_.trace)
        return;
    const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(now() - start_).count();
    std::printf("%3lldd %02lld:%02lld:%02lld.%03lld  %s\n", static_cast<long long>(since / 86'400'000),
                static_cast<long long>(since / 3'600'000 % 24), static_cast<long long>(since / 60'000 % 60),
                static_cast<long long>(since / 1000 % 60), static_cast<long long>(since % 1000), text.c_str());
}

void Simulation::broken(const std::string& promise, const std::string& what) {
    if (!outcome_.broken.empty())
        return;
    outcome_.broken = promise + ": " + what + " (after " + go_duration(now() - start_) + ")";
    trace("BROKEN " + outcome_.broken);
}

ModelPod* Simulation::model(const kube::ObjectKey& key) {
    const auto found = by_key_.find(key);
    return found == by_key_.end() ? nullptr : &pods_[found->second];
}

std::string Simulation::pod_text(const ModelPod& pod) const {
    const std::string ttl = std::to_string(pod.ttl_seconds);
    const std::string name = std::to_string(pod.number);
    std::string text =
        "apiVersion: v1\nkind: Pod\nmetadata: {namespace: " + pod.key.ns + ", name: " + pod.key.name +
        "}\nspec:\n  automountServiceAccountToken: false\n  serviceAccountName: " + pod.account +
        "\n  containers:\n  - {name: c, volumeMounts: [{name: v, mountPath: /v}" +
        (pod.second_volume ? ", {name: w, mountPath: /w}" : "") +
        "]}\n  volumes:\n  - name: v\n    projected:\n      sources:\n      - serviceAccountToken: {path: token, "
        "audience: v, expirationSeconds: " +
        ttl + "}\n      - configMap: {name: c" + name + "}\n";
    if (pod.second_volume)
        text +=
            "  - name: w\n    projected:\n      sources:\n      - serviceAccountToken: {path: token, audience: w}\n";
    return text;
}

void Simulation::write_pod(ModelPod& pod) {
    pod.touched = now();
    pod.manifest_broken = pod.unserved = false;
    if (unmounted_at_) {
        parked_["pod-" + pod.key.name] = pod_text(pod);
        return;
    }
    pod.absent_since.reset();
    world_.write("pod-" + pod.key.name, pod_text(pod));
}

void Simulation::write_config(const ModelPod& pod) {
    const std::string version = std::to_string(pod.config);
    const std::string text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: " + pod.key.ns + ", name: c" +
                             std::to_string(pod.number) + "}\ndata: {a: v" + version + ", b: v" + version + "}\n";
    if (unmounted_at_)
        parked_["config-" + pod.key.name] = text;
    else
        world_.write("config-" + pod.key.name, text);
}

void Simulation::write_account(const ModelPod& pod, const std::string& uid) {
    const std::string text = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {namespace: " + pod.key.ns +
                             ", name: " + pod.account + (uid.empty() ? "" : ", uid: " + uid) + "}\n";
    const std::string file = "account-" + pod.key.ns + "-" + pod.account;
    if (unmounted_at_)
        parked_[file] = text;
    else
        world_.write(file, text);
}

Outcome Simulation::run() {
    start_ = clear_since_ = excused_ = now();
    constexpr std::int64_t kLifetimes[] = {600, 3600, 3607, 7200, 86400, 172800};
    for (int i = 0; i < options_.pods; ++i) {
        ModelPod& pod = pods_.emplace_back();
        pod.number = i;
        pod.key = {"n" + std::to_string(i % 7), "p" + std::to_string(i)};
        pod.account = "a" + std::to_string(i % 3);
        pod.ttl_seconds = options_.calm ? 172800 : kLifetimes[below(std::size(kLifetimes))];
        by_key_[pod.key] = static_cast<std::size_t>(i);
        write_account(pod, "");
        write_config(pod);
        write_pod(pod);
    }
    world_.on_command = [this](const agent::Command& command) { see(command); };
    world_.on_answer = [this](const kube::TokenRequest& request, const agent::TokenAnswer& answer, Duration took) {
        see_answer(request, answer, took);
    };
    start();
    const BootTime end = start_ + std::chrono::hours(24 * options_.days);
    while (now() < end && outcome_.broken.empty()) {
        pass_until(std::min(end, now() + (options_.calm ? Duration(1h) : between(1s, 20min))));
        if (!options_.calm)
            act();
        world_.issuer.requests.clear();
        check_present();
        if (!world_.trouble.empty())
            broken("rest", world_.trouble);
    }
    outcome_.writes = world_.writes;
    return outcome_;
}

// Lets time go by, with what was planned for it, and looks at what has to be so by then.
void Simulation::pass_until(BootTime until) {
    while (outcome_.broken.empty()) {
        BootTime next = until;
        if (!plans_.empty())
            next = std::min(next, std::max(now(), plans_.begin()->first));
        if (!checks_.empty())
            next = std::min(next, std::max(now(), checks_.top().at));
        world_.pass(next - now());
        check_due();
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
    switch (below(24)) {
        case 0:
        case 1:
        case 2:
            edit_config();
            break;
        case 3:
        case 4:
            edit_pod();
            break;
        case 5:
            break_manifest();
            break;
        case 6:
        case 7:
            unlink_and_create();
            break;
        case 8:
            take_away();
            break;
        case 9:
            if (one_in(6))
                unmount();
            break;
        case 10:
            make_account_anew();
            break;
        case 11:
        case 12:
        case 13:
            trouble_issuer();
            break;
        case 14:
        case 15:
            trouble_disk();
            break;
        case 16:
            trouble_listing();
            break;
        case 17:
            step_clock();
            break;
        case 18:
            suspend();
            break;
        case 19:
            if (world_.running())
                crash();
            break;
        case 20:
            kill_at_ = static_cast<int>(1 + below(30));
            break;
        case 21:
            if (one_in(4))
                change_key();
            break;
        default:
            break;
    }
}

void Simulation::edit_config() {
    ModelPod& pod = any_pod();
    ++pod.config;
    ++outcome_.edits;
    trace("edit config of " + pod.key.str());
    write_config(pod);
}

void Simulation::edit_pod() {
    ModelPod& pod = any_pod();
    if (pod.absent_since)
        return;
    ++outcome_.edits;
    pod.second_volume = !pod.second_volume;
    pod.dropped_since = pod.second_volume ? std::nullopt : std::optional(now());
    trace("edit " + pod.key.str());
    write_pod(pod);
}

void Simulation::break_manifest() {
    ModelPod& pod = any_pod();
    if (pod.absent_since || unmounted_at_)
        return;
    trace("break the manifest of " + pod.key.str());
    pod.manifest_broken = true;
    world_.write("pod-" + pod.key.name, "apiVersion: v1\nkind: Pod\nmetadata: {name: [broken\n");
    later(between(1s, 4h), [this, &pod] {
        if (!pod.absent_since)
            write_pod(pod);
    });
}

void Simulation::unlink_and_create() {
    ModelPod& pod = any_pod();
    if (pod.absent_since || unmounted_at_)
        return;
    trace("unlink and create " + pod.key.str());
    world_.unlink("pod-" + pod.key.name);
    pod.absent_since = now();
    later(between(1ms, 9s), [this, &pod] { write_pod(pod); });
}

void Simulation::take_away() {
    ModelPod& pod = any_pod();
    if (pod.absent_since || unmounted_at_)
        return;
    trace("take away " + pod.key.str());
    world_.unlink("pod-" + pod.key.name);
    pod.absent_since = now();
    later(between(1s, 12h), [this, &pod] { write_pod(pod); });
}

void Simulation::unmount() {
    if (unmounted_at_)
        return;
    trace("unmount the manifest directory");
    unmounted_at_ = now();
    parked_ = world_.take_files();
    for (ModelPod& pod : pods_) {
        if (!pod.absent_since)
            pod.absent_since = now();
    }
    world_.device = 7;
    world_.list_now();
    later(between(1s, 50min), [this] {
        trace("mount it again");
        unmounted_at_.reset();
        world_.device = 1;
        for (ModelPod& pod : pods_) {
            if (parked_.contains("pod-" + pod.key.name)) {
                pod.absent_since.reset();
                pod.touched = now();
            }
        }
        world_.put_files(std::exchange(parked_, {}));
        world_.list_now();
    });
}

void Simulation::make_account_anew() {
    const ModelPod& pod = any_pod();
    for (ModelPod& other : pods_) {
        if (other.key.ns == pod.key.ns && other.account == pod.account)
            other.touched = now();
    }
    trace("another uid for account " + pod.key.ns + "/" + pod.account);
    write_account(pod, "u" + std::to_string(++next_uid_));
}

void Simulation::trouble_issuer() {
    Issuer& issuer = world_.issuer;
    const std::uint64_t kind = below(7);
    trace("issuer trouble " + std::to_string(kind));
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
            issuer.retry_after = between(1s, 10min);
            break;
        case 4:
            issuer.twist = [](kube::TokenRequest& request) { request.audiences = {"elsewhere"}; };
            break;
        case 5:
            issuer.latency = between(1s, 100s);
            break;
        default:
            issuer.answers_twice = true;
            break;
    }
    if (kind < 6)
        impede();
    later(between(1s, one_in(5) ? Duration(6h) : Duration(30min)), [this] {
        trace("issuer well again");
        Issuer& again = world_.issuer;
        const Duration asked_to_wait = again.retry_after.value_or(0s);
        again.up = true;
        again.refuses.reset();
        again.retry_after.reset();
        again.twist = nullptr;
        again.latency = 1ms;
        again.answers_twice = false;
        clear_since_ = now() + asked_to_wait;
    });
}

void Simulation::trouble_disk() {
    trace("disk full");
    world_.publish_fails = [this](const agent::VolumePath&) -> std::optional<Error> {
        return one_in(4) ? std::nullopt : std::optional(Error{Errc::Io, "No space left on device"});
    };
    if (one_in(2))
        world_.identities_fail = world_.telling_fails = Error{Errc::Io, "No space left on device"};
    if (one_in(2))
        world_.removal_fails = Error{Errc::Io, "Input/output error"};
    later(between(1s, 30min), [this] {
        trace("disk well again");
        world_.publish_fails = nullptr;
        world_.identities_fail.reset();
        world_.telling_fails.reset();
        world_.removal_fails.reset();
        impede();
    });
}

void Simulation::trouble_listing() {
    trace("listings fail");
    world_.listing_fails = Error{Errc::Io, "Input/output error"};
    later(between(1s, 1h), [this] {
        trace("listings work again");
        world_.listing_fails.reset();
        world_.list_now();
        impede();
    });
}

void Simulation::step_clock() {
    const Duration step = between(-26h, 26h);
    trace("wall clock stepped by " + go_duration(step));
    ++outcome_.steps;
    world_.step_wall(step);
    if (options_.seed % 2 == 0)
        world_.issuer.clock_offset -= step;  // the issuer's clock goes on as it did
    excused_ = now();
    impede();
    if (world_.running())
        world_.wake();
    later(kPatience + 1s, [this] { check_clock(); });
}

void Simulation::suspend() {
    const Duration time = between(1s, 10h);
    trace("suspended for " + go_duration(time));
    world_.suspend(time);
    impede();
}

void Simulation::crash() {
    trace("kill -9");
    ++outcome_.crashes;
    world_.crash();
    kill_at_ = 0;
    asked_.clear();
    // What was given and did not reach the disk with its record is lost; the rest has to be adopted.
    std::set<std::string> on_disk;
    for (const auto& [path, volume] : world_.disk) {
        if (!volume.record)
            continue;
        for (const agent::TokenRecord& token : volume.record->tokens) {
            const auto given = given_.find(volume.generations.at(volume.current).files.at(token.path));
            if (given != given_.end() && last_given_.contains(token.key) &&
                given->second.at == last_given_.at(token.key).at)
                on_disk.insert(token.key);
        }
    }
    std::erase_if(last_given_, [&](const auto& entry) { return !on_disk.contains(entry.first); });
    const bool reboot = one_in(4);
    later(between(1ms, one_in(5) ? Duration(2h) : Duration(20s)), [this, reboot] {
        if (reboot) {
            trace("reboot");
            world_.new_boot_id();
        }
        start();
    });
}

void Simulation::start() {
    trace("start");
    for (ModelPod& pod : pods_)
        pod.unserved = pod.manifest_broken;
    world_.start();
    impede();
}

void Simulation::change_key() {
    world_.issuer.key_id = "key-" + std::to_string(++next_uid_);
    trace("the issuer signs with " + world_.issuer.key_id + " and accepts nothing else");
    excused_ = now();
    if (world_.running()) {
        world_.core().on_issuer_keys(world_.now(), {world_.issuer.key_id});
        world_.wake();
    }
}

void Simulation::see(const agent::Command& command) {
    if (kill_at_ > 0 && --kill_at_ == 0) {
        crash();
        return;
    }
    if (const auto* report = std::get_if<agent::Report>(&command)) {
        if (options_.trace) {
            std::string text = "    " + report->event;
            for (const auto& [name, value] : report->fields)
                text += " " + name + "=" + value;
            trace(text);
        }
        world_.reports.clear();
    } else if (const auto* request = std::get_if<agent::RequestToken>(&command)) {
        see_request(request->request);
    } else if (const auto* publish = std::get_if<agent::PublishVolume>(&command)) {
        see_publish(*publish);
    } else if (const auto* sweep = std::get_if<agent::SweepVolume>(&command)) {
        see_sweep(*sweep);
    } else if (const auto* remove = std::get_if<agent::RemoveVolume>(&command)) {
        see_removal(*remove);
    } else if (const auto* tell = std::get_if<agent::TellIssuer>(&command)) {
        for (const agent::PodIdentity& pod : tell->pods_gone)
            see_gone(pod);
    }
}

void Simulation::see_request(const kube::TokenRequest& request) {
    ++outcome_.requests;
    const std::string key = request.key();
    if (const auto before = asked_.find(key); before != asked_.end() && now() - before->second < kLostAnswer)
        broken("flight", "two requests at once for " + key);
    asked_[key] = now();

    const auto given = last_given_.find(key);
    if (given == last_given_.end())
        return;
    const Given& last = given->second;
    const Duration earliest = std::min<Duration>(last.ttl * 8 / 10, 24h) - std::min<Duration>(last.ttl / 10, 5min) - 1s;
    const ModelPod* pod = request.bound_object_ref ? model({request.ns, request.bound_object_ref->name}) : nullptr;
    const bool excused = excused_ >= last.at || (pod != nullptr && pod->touched >= last.at);
    const bool refused = last.issued - 60s > issuer_now() || last.expires < issuer_now();
    if (now() - last.at < earliest && !excused && !refused)
        broken("needless", "a token of " + request.ns + "/" + (pod == nullptr ? "?" : pod->key.name) +
                               " is asked for at the age of " + go_duration(now() - last.at) + ", ttl " +
                               go_duration(last.ttl));
}

void Simulation::see_answer(const kube::TokenRequest& request, const agent::TokenAnswer& answer, Duration took) {
    const std::string key = request.key();
    if (took < kLostAnswer)
        asked_.erase(key);
    if (!answer || world_.issuer.twist || took >= kLostAnswer) {
        ++outcome_.failures;
        failed_[key] = now();
        return;
    }
    const WallTime issued = answer->expiration_timestamp - std::chrono::seconds(answer->expiration_seconds);
    const Given given{key, now(), std::chrono::seconds(answer->expiration_seconds), issued,
                      answer->expiration_timestamp};
    last_given_[key] = given;
    given_[std::string(answer->token.view())] = given;
}

void Simulation::see_publish(const agent::PublishVolume& publish) {
    ++outcome_.publishes;
    pod_of_uid_[publish.path.pod_uid] = {publish.record.ns, publish.record.pod};
    const auto& files = publish.payload.files;
    const auto token = files.find("token");
    if (token == files.end()) {
        broken("missing", publish.path.str() + " is published without its token");
        return;
    }
    if (publish.path.volume == "v") {
        const auto a = files.find("a");
        const auto b = files.find("b");
        if (a == files.end() || b == files.end())
            broken("missing", publish.path.str() + " is published without its config");
        else if (a->second.bytes.view() != b->second.bytes.view())
            broken("mixed", publish.path.str());
    }
    const auto given = given_.find(std::string(token->second.bytes.view()));
    if (given == given_.end()) {
        broken("mixed", publish.path.str() + " holds a token that was not given");
        return;
    }
    const Duration due = std::min<Duration>(given->second.ttl * 8 / 10, 24h);
    checks_.push({given->second.at + due + kPatience, publish.path, given->first});
}

void Simulation::see_sweep(const agent::SweepVolume& sweep) {
    const auto volume = world_.disk.find(sweep.path);
    if (volume == world_.disk.end())
        return;
    for (const auto& [name, generation] : volume->second.generations) {
        const bool kept = name == volume->second.current || std::ranges::find(sweep.keep, name) != sweep.keep.end();
        if (!kept && (!generation.replaced || now() - *generation.replaced < 10s))
            broken("grace", sweep.path.str() + " loses " + name + " too early");
    }
}

void Simulation::see_gone(const agent::PodIdentity& identity) {
    ++outcome_.removals;
    if (gone_.contains(identity.uid))
        return;  // told again after a failure
    gone_.insert(identity.uid);
    const ModelPod* pod = model(identity.pod);
    if (pod == nullptr)
        return broken("removed", "a Pod that nobody knows: " + identity.pod.str());
    if (!pod->absent_since || now() - *pod->absent_since < 10s)
        return broken("removed", identity.pod.str() + " has left while its manifest was there");
    if (unmounted_at_ && now() - *unmounted_at_ < kHold)
        broken("removed", identity.pod.str() + " has left because the directory is not mounted");
}

void Simulation::see_removal(const agent::RemoveVolume& remove) {
    if (gone_.contains(remove.path.pod_uid))
        return;
    const auto key = pod_of_uid_.find(remove.path.pod_uid);
    const ModelPod* pod = key == pod_of_uid_.end() ? nullptr : model(key->second);
    if (pod == nullptr)
        return broken("removed", "a volume of nobody: " + remove.path.str());
    if (pod->absent_since && now() - *pod->absent_since >= 10s)
        return;  // it leaves right now
    const bool dropped = remove.path.volume == "w" && pod->dropped_since && now() - *pod->dropped_since >= 10s;
    if (!dropped)
        broken("removed", remove.path.str() + " while its manifest wants it");
}

// Tokens that should have been replaced by now.
void Simulation::check_due() {
    while (!checks_.empty() && checks_.top().at <= now()) {
        const Check check = checks_.top();
        checks_.pop();
        check_token(check.path, check.token);
    }
}

void Simulation::check_token(const agent::VolumePath& path, const std::string& token) {
    ++outcome_.checks;
    const auto volume = world_.disk.find(path);
    const auto given = given_.find(token);
    if (given == given_.end())
        return;
    const bool current =
        volume != world_.disk.end() && volume->second.generations.at(volume->second.current).files.at("token") == token;
    const auto key = pod_of_uid_.find(path.pod_uid);
    const ModelPod* pod = key == pod_of_uid_.end() ? nullptr : model(key->second);
    const bool unwanted = pod == nullptr || pod->absent_since || pod->unserved || gone_.contains(path.pod_uid) ||
                          (path.volume == "w" && !pod->second_volume);
    if (!current) {
        given_.erase(given);
        return;
    }
    const auto failed = failed_.find(given->second.key);
    BootTime since = std::max(clear_since_, given->second.at);
    if (failed != failed_.end())
        since = std::max(since, failed->second);
    if (unwanted || impeded() || unmounted_at_ || now() - since < kPatience) {
        checks_.push({std::max(since + kPatience, now() + 60s), path, token});
        return;
    }
    broken("stale", path.str() + " still has the token of " + go_duration(now() - given->second.at) + " ago, ttl " +
                        go_duration(given->second.ttl));
}

// After a step: no token on disk is refused by the issuer's clock.
void Simulation::check_clock() {
    if (impeded() || unmounted_at_ || now() - clear_since_ < kPatience)
        return;
    for (const auto& [path, volume] : world_.disk) {
        const auto key = pod_of_uid_.find(path.pod_uid);
        const ModelPod* pod = key == pod_of_uid_.end() ? nullptr : model(key->second);
        if (pod == nullptr || pod->absent_since || pod->unserved || gone_.contains(path.pod_uid) ||
            (path.volume == "w" && !pod->second_volume))
            continue;
        const auto given = given_.find(volume.generations.at(volume.current).files.at("token"));
        if (given == given_.end())
            continue;
        if (const auto failed = failed_.find(given->second.key);
            failed != failed_.end() && now() - failed->second < kPatience)
            continue;
        ++outcome_.checks;
        if (given->second.issued - 60s > issuer_now() || given->second.expires < issuer_now())
            broken("stale", path.str() + " holds a token that the issuer's clock refuses");
    }
}

// Whoever was published is there, under its name.
void Simulation::check_present() {
    for (const auto& [name, path] : world_.names) {
        const auto volume = world_.disk.find(path);
        if (volume == world_.disk.end() || !volume->second.generations.contains(volume->second.current))
            broken("missing", name.ns + "/" + name.pod + "/" + name.name + " leads nowhere");
    }
    if (impeded() || unmounted_at_ || now() - clear_since_ < kPatience)
        return;
    for (const ModelPod& pod : pods_) {
        const bool settled = !pod.absent_since && !pod.unserved && now() - pod.touched >= kPatience;
        if (settled && failed_.empty() && !world_.names.contains({pod.key.ns, pod.key.name, "v"}))
            broken("missing", pod.key.str() + " is in the directory and has no volume");
    }
}

}  // namespace

Outcome run(const Options& options) {
    return Simulation(options).run();
}

}  // namespace tokenlet::sim
