// SPDX-License-Identifier: Apache-2.0
// The Pods of a simulation: what people write into the manifest directory and, where there is one, into the cluster, and
// what of it the agent has been shown.
//
// Shapes   one verb for each thing that people do. The truth changes with the deed, Shown with the next listing or news.
// Units    World::elapsed().     Owns  the Pods; the world is the caller's and outlives it.
// Threads  one.     Errors  none.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/chance.h"
#include "tests/sim/cluster.h"
#include "tests/sim/world.h"

namespace tokenlet::sim {

// Volume "v": a token, the ConfigMap c<number> and, when there is one, o<number>; of each third Pod it stands in a directory
// of its own, /direct/<number>. Volume "w", which comes and goes: a token of its own and the one that "v" has.
struct FleetPod {
    // What this process of the agent knows from its listings, and of the cluster.
    struct Shown {
        std::optional<BootTime> since;  // it has read a good manifest
        WallTime since_wall;
        BootTime touched{};  // the last time that something of the Pod's was another than before
        bool second_volume = false;
        std::optional<BootTime> account_since;
        std::optional<BootTime> config_since;
        int config = 0;
        std::optional<BootTime> optional_since;  // it knows whether there is one
        bool optional = false;
        int optional_version = 0;
    };

    int number = 0;
    kube::ObjectKey key;
    std::string uid;  // that the agent recorded last
    std::string account;
    std::int64_t ttl_seconds = 3600;
    int config = 1;  // both keys of the ConfigMap say so
    int optional_version = 1;
    bool second_volume = false;
    bool broken = false;                    // the manifest
    std::optional<BootTime> absent_since;   // the manifest; nothing when it is there
    std::optional<BootTime> dropped_since;  // the second volume
    Shown shown;

    [[nodiscard]] std::string direct() const { return number % 3 == 0 ? "/direct/" + std::to_string(number) : ""; }
    [[nodiscard]] agent::VolumePath path_of(const std::string& volume) const {
        return {uid, "kubernetes.io~projected", volume, volume == "v" ? direct() : ""};
    }
};

class Fleet {
public:
    using Later = std::function<void(Duration, std::function<void()>)>;
    using Trace = std::function<void(const std::string&)>;
    // Without a cluster, accounts and ConfigMaps are manifests.
    Fleet(World& world, Cluster* cluster, Chance& chance, Later later, Trace trace);

    // Before the agent starts. All have the same lifetime when it is not zero.
    void add_pods(int count, std::int64_t ttl_seconds);

    // People.
    void edit_config();
    void edit_pod();
    void break_manifest();
    void unlink_and_create();
    void take_away();
    void take_config();
    void take_or_give_optional();
    void unmount();
    void make_account_anew();

    void agent_died();
    void see_listing(const kube::Listing& listing);
    // A Pod has left: the next listing that has it shows another one.
    void see_left(FleetPod& pod) { pod.shown.since.reset(); }
    void see_account_replaced(const kube::ObjectKey& account);
    void see_news(const agent::WatchedObject& what, bool is_there);
    void see_unwatched(const agent::WatchedObject& what);
    // The cluster's account is another one than the agent has been told.
    [[nodiscard]] bool is_news(const kube::ObjectKey& account, const std::string& uid) const;

    [[nodiscard]] std::vector<FleetPod>& pods() { return pods_; }
    [[nodiscard]] FleetPod* find(const kube::ObjectKey& key);
    [[nodiscard]] std::optional<BootTime> unmounted_at() const { return unmounted_at_; }
    [[nodiscard]] BootTime mended_at() const { return mended_at_; }  // the last time a manifest or the mount was

private:
    FleetPod& any_pod() { return pods_[chance_.below(pods_.size())]; }
    [[nodiscard]] static std::string text_of(const FleetPod& pod);
    void write(const std::string& file, const std::string& text);
    void unlink(const std::string& file);
    void put(const agent::WatchedObject& what, const std::string& file, const std::string& text);
    void drop(const agent::WatchedObject& what, const std::string& file);
    [[nodiscard]] std::vector<FleetPod*> users_of(const agent::WatchedObject& what);
    void write_pod(FleetPod& pod);
    void write_config(const FleetPod& pod);
    void write_optional(const FleetPod& pod);
    void write_account(const FleetPod& pod, const std::string& uid);

    World& world_;
    Cluster* cluster_;
    Chance& chance_;
    Later later_;
    Trace trace_;
    std::map<kube::ObjectKey, std::string> told_uids_;  // of the cluster's accounts
    std::vector<FleetPod> pods_;
    std::map<kube::ObjectKey, std::size_t> by_key_;
    int next_uid_ = 0;
    std::optional<BootTime> unmounted_at_;
    BootTime mended_at_{};
    std::map<std::string, std::string> parked_;  // files of an unmounted directory
};

}  // namespace tokenlet::sim
