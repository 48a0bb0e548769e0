// SPDX-License-Identifier: Apache-2.0
// Objects at the API server that stand for our Pods, so that tokens can be bound to them: a Secret for each Pod, or a Pod that
// a scheduling gate keeps from running.
//
// Shapes   ensure() gives the object of a Pod, made when it is not there; done is called once, maybe at once. follow() takes
//          away those of Pods that have left, and with Extent::Everything whatever an earlier run made for Pods that are not
//          among these: in all namespaces, or where that is denied, in those of Pods and those that earlier runs remembered.
//          What cannot be removed is tried again by maintain(), which says when it wants to be called: nobody
//          waits for it. A Pod that is back meanwhile keeps its object.
//          Calls go through a PacedCaller: those for a token are as urgent as it is, removals may wait.
// Units    base/time.h.
// Owns     what it knows of its objects. Calls under way are the client's.
// Threads  the loop's.
// Errors   of ensure(): the server's, with its advice; Conflict when something of that name is not ours. Of removals:
//          reported when they start and when they end, the advice goes to on_refusal.
//
// Nothing is touched but what carries our label with this host's id and the Pod's uid, and it is deleted by its uid: an object
// that somebody else made, or made again, stays. The id is a random one, because two hosts may have one name.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/config.h"
#include "agent/core/command.h"
#include "base/time.h"
#include "kube/api_client.h"
#include "kube/token_request.h"

namespace tokenlet::kube {
struct Node;
}

namespace tokenlet::agent {

// An ApiCaller that keeps to a pace: of the calls that wait, the one that is needed first goes first.
using PacedCaller =
    std::function<void(kube::ApiRequest, BootTime needed_by, std::move_only_function<void(kube::ApiResult)>)>;

// Later than the first token of a Pod is: thousands that leave hold up nobody who comes.
inline constexpr std::chrono::minutes kRemovalMayWait{5};

class OwnObjects {
public:
    using Made = std::expected<kube::BoundObjectRef, kube::ApiError>;

    enum class Kind { Secret, GatedPod };

    struct Settings {
        Kind kind = Kind::Secret;
        std::string node_name{};             // for people
        std::string host_id{};               // a label's value, of this host alone
        std::set<std::string> namespaces{};  // that earlier runs have remembered
        std::function<void(const std::set<std::string>&)> remember = [](const auto&) {
        };  // for the next run, in their place
        std::function<Now()> clock = read_clocks;
        std::function<std::uint64_t()> random{};
        std::function<void(Report)> report{};
        std::function<void(const kube::ApiError&)> on_refusal{};
        std::function<void()> look{};  // maintain() wants to be called
    };

    OwnObjects(PacedCaller call, Settings settings);
    ~OwnObjects();

    void ensure(const IssuerPod& pod, BootTime needed_by, std::move_only_function<void(Made)> done);
    // What ensure() gave is not there any more.
    void forget(const std::string& pod_uid) { made_.erase(pod_uid); }

    enum class Extent { Changes, Everything };
    struct Pods {
        std::vector<PodIdentity> gone;
        std::vector<IssuerPod> present;
        Extent extent = Extent::Changes;  // Everything: `present` are all that there are
    };
    void follow(const Pods& pods);
    std::optional<BootTime> maintain(Now now);

private:
    using Problem = std::optional<kube::ApiError>;
    struct Retry {
        unsigned failures = 0;
        std::optional<BootTime> due;  // unset: under way
    };
    struct Leaving {
        PodIdentity pod;
        Retry retry;
    };

    void create(const IssuerPod& pod, BootTime needed_by);
    void look_at_existing(const IssuerPod& pod, BootTime needed_by);
    void settle(const IssuerPod& pod, Made made);
    void call(kube::ApiRequest request, BootTime needed_by, std::move_only_function<void(kube::ApiResult)> done);
    void delete_object(const kube::ObjectKey& key, const std::string& uid, const std::string& pod_uid,
                       BootTime needed_by, std::move_only_function<void(Problem)> done);
    [[nodiscard]] BootTime not_urgent() const { return settings_.clock().boot + kRemovalMayWait; }
    void remove(const PodIdentity& pod);
    void removed(const std::string& pod_uid, const Problem& error);
    void sweep();
    void sweep_in(const std::optional<std::string>& ns);
    void sweep_list(const kube::ApiAnswer& answer);
    void end_of_sweep_call(const Problem& error);
    void forget_namespaces();
    void failed(Retry& retry, const kube::ApiError& error);
    void tell_if_all_is_well();

    [[nodiscard]] std::string kind_name() const;  // "Secret"
    [[nodiscard]] std::string resource() const;   // "secrets"
    [[nodiscard]] std::string collection(const std::string& ns) const;
    [[nodiscard]] std::string path_of(const kube::ObjectKey& key) const;
    [[nodiscard]] std::string name_for(const kube::ObjectKey& pod, const std::string& uid) const;
    [[nodiscard]] std::string json_for(const IssuerPod& pod) const;
    [[nodiscard]] bool is_ours(const kube::Node& object) const;

    PacedCaller call_;
    Settings settings_;
    std::map<std::string, kube::BoundObjectRef> made_;  // by the Pod's uid
    std::map<std::string, std::vector<std::move_only_function<void(Made)>>> waiting_;
    std::map<std::string, std::string> present_;  // namespaces of Pods that there are, by uid
    std::set<std::string> dying_;                 // uids of Pods whose object is being deleted
    std::set<std::string> namespaces_;            // where there may be objects of ours
    std::set<std::string> unswept_;               // where the sweep may not look
    std::map<std::string, Leaving> leaving_;      // by the Pod's uid
    std::optional<Retry> sweep_;                  // set: one is to be made, or under way
    std::size_t sweep_calls_ = 0;
    Problem sweep_error_;
    bool failure_told_ = false;
    std::shared_ptr<bool> alive_;
};

}  // namespace tokenlet::agent
