// SPDX-License-Identifier: Apache-2.0
// What must hold whatever happens, kept up with each command, answer and deed.
//
// Shapes   the world tells what it sees, in order; check() looks at all that has to be so by now. The first promise that
//          is broken is kept, in words.
// Units    World::elapsed().     Owns  its books; world and fleet are the caller's and outlive it.
// Threads  one.     Errors  broken().
//
// The measure of lateness is exact: from the bad moment of a token (due by age, refused by the issuer's clock, of a key or
// account that nobody accepts) on, or since the agent was last kept from it if that was later, by what it met itself: a
// request that failed or was not answered (its next try comes within a minute, or as the issuer asked), a publish or a
// registration that failed (a minute), its own absence. The answers of the world are counted, never its intentions.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "tests/sim/fleet.h"

namespace tokenlet::sim {

class Promises {
public:
    Promises(const World& world, Fleet& fleet, const agent::CoreSettings& settings);

    // What the agent does and meets.
    void see(const agent::Command& command);
    void see(const AnswerSeen& answer);
    void see_publish(const agent::PublishVolume& publish, End end);
    void see_removal(const agent::VolumePath& path, End end);
    void see_account_replaced(const kube::ObjectKey& account);

    // What befalls it.
    void agent_died();
    void agent_starts(bool rebooted);
    void machine_slept(Duration time);
    void clock_stepped();
    void key_changed();
    void listings_work();
    void demanded(const FleetPod& pod);
    // Somebody has changed this file of a volume, or taken its files away (""), and the agent was told or was not.
    void damaged(const agent::VolumePath& path, const std::string& file, bool told);

    void check();
    [[nodiscard]] const std::string& broken() const { return broken_; }
    [[nodiscard]] std::uint64_t checks() const { return checks_; }
    [[nodiscard]] std::uint64_t removals() const { return gone_.size(); }

private:
    // One token as the issuer gave it.
    struct Given {
        std::string text;
        BootTime at;
        WallTime at_wall;
        Duration ttl{};
        WallTime issued;
        WallTime expires;
        std::string key_id;
        std::string account_uid;
        bool no_good = false;     // of a key or account that went while it was under way
        bool rebooted = false;    // since it was given
        bool other_boot = false;  // and not adopted yet: then the wall clock will say how old it is
    };
    struct OnDisk {
        std::string key;
        Given given;                  // in the file
        std::optional<Given> record;  // beside it; a publish that ends halfway leaves that of an earlier one
        int boot = 0;                 // of the record
        bool damaged = false;         // the file
        [[nodiscard]] bool is_adoptable() const { return record && record->text == given.text && !damaged; }
    };
    struct OnDiskVolume {
        std::map<std::string, OnDisk> tokens;  // by file
        int config = 0;                        // of "v"
    };
    struct PathHash {
        std::size_t operator()(const agent::VolumePath& path) const {
            return std::hash<std::string>{}(path.pod_uid) + std::hash<std::string>{}(path.volume);
        }
    };
    struct InFlight {
        BootTime since;
        std::string pod_uid;
        kube::ObjectKey account;
    };

    void fail(const std::string& promise, const std::string& what);
    [[nodiscard]] BootTime now() const { return world_.elapsed(); }
    [[nodiscard]] WallTime issuer_now() const { return world_.now().wall + world_.issuer.clock_offset; }
    [[nodiscard]] FleetPod* pod_of(const std::string& uid);
    void see_request(const kube::TokenRequest& request);
    void find_tokens();
    [[nodiscard]] bool adopted_another(const std::string& key, const std::string& text);
    void see_payload(const agent::PublishVolume& publish);
    void see_sweep(const agent::SweepVolume& sweep);
    void see_leaving(const std::string& uid);
    void see_volume_leaving(const agent::VolumePath& path);
    void check_names();
    void check_remains();
    void check_pod(FleetPod& pod);
    void check_token(const FleetPod& pod, const agent::VolumePath& path, const std::string& file, OnDisk& token);
    void check_damage(const FleetPod& pod, const agent::VolumePath& path);
    [[nodiscard]] BootTime quiet_until(const OnDiskVolume& volume) const;
    [[nodiscard]] std::optional<BootTime> unobstructed(const FleetPod& pod, const std::string& volume) const;
    [[nodiscard]] BootTime able(const FleetPod& pod, const agent::VolumePath& path) const;
    [[nodiscard]] std::optional<std::pair<BootTime, std::string>> bad_since(const Given& given,
                                                                            const FleetPod& pod) const;
    [[nodiscard]] std::optional<Duration> left(const Given& given) const;
    [[nodiscard]] bool is_on_disk(const std::string& uid, const std::string& key) const;
    [[nodiscard]] Duration slack() const;
    static void adopt(Given& given, const FleetPod& pod);
    void believe_younger(Given& given, const FleetPod& pod);

    const World& world_;
    Fleet& fleet_;
    const bool measured_;
    const std::size_t requests_at_once_;
    std::string broken_;
    std::uint64_t checks_ = 0;
    BootTime start_;

    int boot_ = 0;
    BootTime awake_since_;
    BootTime stepped_at_;
    BootTime key_changed_at_;
    BootTime listings_work_at_;
    BootTime crowded_at_{};                  // when as many requests were under way as there may be
    bool issuer_clock_known_ = true;         // by what the agent can have seen
    std::map<std::string, InFlight> asked_;  // by request key
    std::map<std::string, BootTime> quiet_;  // request keys: the agent need not have tried again before
    std::map<std::string, Given> held_;      // request keys: what the agent has, or finds at its next start
    std::unordered_map<agent::VolumePath, OnDiskVolume, PathHash> on_disk_;
    bool removed_ = false;  // something, since the last check
    std::map<agent::VolumePath, BootTime> publish_failed_;
    std::map<agent::VolumePath, BootTime> damaged_;     // by when the agent has noticed
    std::map<std::string, BootTime> removal_failed_;    // by Pod uid
    std::map<kube::ObjectKey, BootTime> account_anew_;  // when the issuer was told
    std::map<std::string, kube::ObjectKey> uids_;       // all that were ever recorded
    std::set<std::string> gone_;                        // uids that have left, by the rule
    std::set<agent::VolumePath> going_;                 // volumes that have, of Pods that stay
};

}  // namespace tokenlet::sim
