// SPDX-License-Identifier: Apache-2.0
// A world in memory around the real agent core: clocks, a manifest directory, an issuer, a disk.
//
// Shapes   write() and unlink() are what people do to manifests; start() and crash() what happens to the agent; pass()
//          lets time go by, delivers answers and fires deadlines. Everything else is there to be looked at, or to be told
//          to misbehave.
// Units    base/time.h; both clocks start at fixed times.
// Owns     the core and all it talks to.     Threads  one.
// Errors   `trouble` says that the core never came to rest.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "agent/core/core.h"

namespace tokenlet::sim {

using namespace std::chrono_literals;

// What stands in one volume directory.
struct DiskVolume {
    using Files = std::map<std::string, std::string>;  // path -> bytes
    struct Generation {
        Files files;
        std::optional<BootTime> replaced;  // when another one became current
    };
    std::map<std::string, Generation> generations;
    std::string current;
    std::optional<agent::VolumeRecord> record;
    Files recorded;  // the tokens that the record speaks of
    std::uint64_t writes = 0;
};

// An issuer with accounts, Pods and keys, which answers after `latency` and can be told to fail.
struct Issuer {
    bool up = true;
    Duration latency = 1ms;  // until the token is signed
    Duration delivery{};     // and from there until the answer is here
    bool answers_twice = false;
    std::string unreachable_for;  // a namespace whose requests are never answered
    Duration extends{};           // by how much its tokens say that they last longer than was granted
    Duration clock_offset{};      // its wall clock minus ours
    std::int64_t max_seconds = 1 << 30;
    bool names_no_account = false;  // as API servers before 1.34
    std::string key_id = "key-1";
    std::optional<Error> refuses;                     // every request
    std::optional<Duration> retry_after;              // beside it
    std::function<void(kube::TokenRequest&)> twist;   // changes what the token is made for
    std::function<void(Issuer&)> moody;               // told before each answer, may change anything of the above
    std::map<kube::ObjectKey, std::string> accounts;  // uids
    std::map<std::string, agent::IssuerPod> pods;     // by uid
    std::map<std::string, BootTime> deleted;          // uids of Pods that have gone
    std::vector<std::pair<BootTime, kube::TokenRequest>> requests;
    std::optional<kube::BoundObjectRef> binds_to;   // instead of the Pod that a request names
    std::optional<kube::BoundObjectRef> last_held;  // what the last one said of the token that it replaces
};

// How work on a volume ends. Halfway: its files are new, or gone, but not its record and its names.
enum class End { Done, Fails, FailsHalfway, DiesHalfway };

// An answer to a token request as it reaches the agent.
struct AnswerSeen {
    const kube::TokenRequest& request;
    const agent::TokenAnswer& answer;
    Duration took;
    bool first;                 // not the same request's second answer
    bool twisted;               // made for something else than was asked for
    const std::string& key_id;  // that signed it
};

class World {
public:
    explicit World(agent::CoreSettings settings = default_settings(), std::uint64_t seed = 42);
    ~World();

    [[nodiscard]] static agent::CoreSettings default_settings();

    // The manifest directory. Writing a file makes the agent list it, as inotify would.
    void write(const std::string& file, const std::string& text);
    void unlink(const std::string& file);
    void list_now();
    [[nodiscard]] std::map<std::string, std::string> take_files();
    void put_files(const std::map<std::string, std::string>& files);

    // The agent.
    void start();
    void crash();
    void reboot();  // crash, another boot id, the boot clock from zero; the disk stays
    void wake();    // as the shell's timer does when the wall clock was set
    void act(const std::function<void(agent::Core&, Now)>& action);  // of a person, or news
    [[nodiscard]] agent::Core& core() { return *core_; }
    [[nodiscard]] bool running() const { return core_ != nullptr; }

    // Time.
    [[nodiscard]] Now now() const { return {boot_ - booted_, wall_}; }  // as the agent's machine has it
    [[nodiscard]] BootTime elapsed() const { return boot_; }            // counts on over reboots
    void pass(Duration time);
    void step_wall(Duration step) { wall_ += step; }
    // Both clocks go on while nothing runs.
    void suspend(Duration time) {
        boot_ += time;
        wall_ += time;
    }

    // Looking.
    [[nodiscard]] const DiskVolume* volume(const std::string& ns, const std::string& pod,
                                           const std::string& name) const;
    // What a reader finds under by-name/<ns>/<pod>/<volume>/<path>; nothing when it is missing.
    [[nodiscard]] std::optional<std::string> read(const std::string& ns, const std::string& pod,
                                                  const std::string& volume, const std::string& path) const;
    [[nodiscard]] agent::Status status() const { return core_->status(now()); }
    [[nodiscard]] const agent::PodStatus* pod_status(const std::string& ns, const std::string& pod);
    [[nodiscard]] bool reported(std::string_view event) const;

    // Misbehaviour, and what can be counted.
    Issuer issuer;
    std::optional<Error> listing_fails;
    std::optional<Error> identities_fail;
    std::optional<Error> telling_fails;
    std::function<std::optional<Error>(const agent::VolumePath&)> publish_fails;
    std::function<End(const agent::VolumePath&)> publish_ends;
    std::function<End(const agent::VolumePath&)> removal_ends;
    std::uint64_t device = 1;  // of the manifest directory
    Duration publish_latency{};

    std::map<agent::VolumePath, DiskVolume> disk;
    std::map<agent::VolumeName, agent::VolumePath> names;
    std::map<std::string, kube::ObjectKey> identities;  // by uid, as on disk
    std::vector<agent::Report> reports;
    std::uint64_t listings = 0;
    std::uint64_t writes = 0;
    std::size_t most_requests_at_once = 0;
    std::function<void(const agent::Command&)> on_command;  // sees each command before it is carried out
    // See what has just happened, before the agent does.
    std::function<void(const AnswerSeen&)> on_answer;
    std::function<void(const kube::Listing&)> on_listing;
    std::function<void(const agent::PublishVolume&, End)> on_publish;
    std::function<void(const agent::VolumePath&, End)> on_removal;
    std::function<void(const kube::ObjectKey&)> on_account_replaced;  // the issuer knows it under another uid
    std::set<agent::WatchedObject> watched;                           // at a cluster; tests tell of them by themselves
    std::optional<BootTime> registers_failed;                         // when a uid or Pod was last not registered
    std::string trouble;

private:
    using Action = std::function<void()>;
    void after(Duration delay, Action action);
    void carry_out();
    void carry_out(agent::Command& command);
    void answer(const agent::ListManifests&);
    void answer(const agent::SaveIdentities& save);
    void answer(const agent::TellIssuer& tell);
    void answer(const agent::RequestToken& request);
    void answer(const agent::WatchObjects& watch);
    void answer(agent::PublishVolume& publish);
    [[nodiscard]] bool take_place(const agent::PublishVolume& publish);
    void answer(const agent::SweepVolume& sweep);
    void answer(const agent::RemoveVolume& remove);
    void answer(agent::Report& report) { reports.push_back(std::move(report)); }
    [[nodiscard]] Result<kube::Listing> list();
    // On its way from the issuer.
    struct Signed {
        agent::TokenAnswer answer;
        BootTime asked;
        bool first;
        bool twisted;
        std::string key_id;
    };
    void deliver(const agent::RequestToken& request, Signed& answer);
    [[nodiscard]] agent::TokenAnswer issue(kube::TokenRequest request);
    [[nodiscard]] std::vector<agent::FoundVolume> find_volumes() const;

    agent::CoreSettings settings_;
    std::mt19937_64 random_;
    BootTime boot_{1'000'000s};
    Duration booted_{};
    WallTime wall_{1'800'000'000s};
    std::uint64_t last_id_ = 0;
    std::size_t requests_under_way_ = 0;

    std::map<std::string, std::string> files_;
    std::map<std::string, std::string> listed_;  // as of the last listing of this process
    std::set<std::string> touched_;              // files since then
    bool listed_before_ = false;

    std::map<std::string, std::pair<kube::ObjectKey, std::string>> places_;  // Pod and volume, by directory

    std::unique_ptr<agent::Core> core_;
    std::multimap<BootTime, Action> events_;
};

// A Pod with the injected volume; `extra` goes below spec, indented by two.
[[nodiscard]] std::string pod_yaml(const std::string& ns, const std::string& name, const std::string& extra = "");

// A Pod of account `default` without the injected volume, and one volume "v" mounted in its container; sources are
// indented by eight and start with "- ".
[[nodiscard]] std::string volume_yaml(const std::string& ns, const std::string& name, const std::string& sources);

}  // namespace tokenlet::sim
