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
    std::uint64_t writes = 0;
};

// An issuer with accounts, Pods and keys, which answers after `latency` and can be told to fail.
struct Issuer {
    bool up = true;
    Duration latency = 1ms;
    bool answers_twice = false;
    Duration clock_offset{};  // its wall clock minus ours
    std::int64_t max_seconds = 1 << 30;
    std::string key_id = "key-1";
    std::optional<Error> refuses;                     // every request
    std::optional<Duration> retry_after;              // beside it
    std::function<void(kube::TokenRequest&)> twist;   // changes what the token is made for
    std::map<kube::ObjectKey, std::string> accounts;  // uids
    std::map<std::string, agent::IssuerPod> pods;     // by uid
    std::map<std::string, BootTime> deleted;          // uids of Pods that have gone
    std::vector<std::pair<BootTime, kube::TokenRequest>> requests;
};

class World {
public:
    explicit World(agent::CoreSettings settings = default_settings());
    ~World();

    [[nodiscard]] static agent::CoreSettings default_settings();

    // The manifest directory. Writing a file makes the agent list it, as inotify would.
    void write(const std::string& file, const std::string& text);
    void unlink(const std::string& file);
    void list_now();
    [[nodiscard]] std::map<std::string, std::string> take_files() { return std::exchange(files_, {}); }
    void put_files(std::map<std::string, std::string> files) { files_ = std::move(files); }

    // The agent.
    void start();
    void crash();
    void reboot();  // crash, another boot id, the boot clock from zero; the disk stays
    void new_boot_id() { settings_.boot_id += "+"; }
    void wake();  // as the shell's timer does when the wall clock was set
    [[nodiscard]] agent::Core& core() { return *core_; }
    [[nodiscard]] bool running() const { return core_ != nullptr; }

    // Time.
    [[nodiscard]] Now now() const { return {boot_, wall_}; }
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
    std::optional<Error> removal_fails;
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
    // Sees each answer to a request, and how long it took.
    std::function<void(const kube::TokenRequest&, const agent::TokenAnswer&, Duration)> on_answer;
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
    void answer(agent::PublishVolume& publish);
    void answer(const agent::SweepVolume& sweep);
    void answer(const agent::RemoveVolume& remove);
    void answer(agent::Report& report) { reports.push_back(std::move(report)); }
    [[nodiscard]] Result<kube::Listing> list();
    [[nodiscard]] agent::TokenAnswer issue(kube::TokenRequest request);
    [[nodiscard]] std::vector<agent::FoundVolume> find_volumes() const;

    agent::CoreSettings settings_;
    std::mt19937_64 random_{42};
    BootTime boot_{1'000'000s};
    WallTime wall_{1'800'000'000s};
    std::uint64_t last_id_ = 0;
    std::size_t requests_under_way_ = 0;

    std::map<std::string, std::string> files_;
    std::map<std::string, std::string> listed_;  // as of the last listing of this process
    bool listed_before_ = false;

    std::unique_ptr<agent::Core> core_;
    std::multimap<BootTime, Action> events_;
};

// A Pod with the injected volume; `extra` goes below spec, indented by two.
[[nodiscard]] std::string pod_yaml(const std::string& ns, const std::string& name, const std::string& extra = "");

// A Pod of account `default` without the injected volume, and one volume "v" mounted in its container; sources are
// indented by eight and start with "- ".
[[nodiscard]] std::string volume_yaml(const std::string& ns, const std::string& name, const std::string& sources);

}  // namespace tokenlet::sim
