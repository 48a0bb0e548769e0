// SPDX-License-Identifier: Apache-2.0
// Accounts and objects of a cluster, kept up with by watches.
//
// Shapes   ObjectSource over an API client: one watch for each object that some Pod needs (by metadata.name, so that a right
//          to that object suffices) and for each signer of trust bundles. News is told when the object has changed, and when
//          it can no longer be told what it is.
// Units    base/time.h.
// Owns     the watches, and their calls.
// Threads  the loop's.
// Errors   are told: at once where nothing is known yet, else when a few tries have failed. A server that has no such kind is
//          Invalid. Watches begin at a kubelet's pace.
// Source   kubernetes pkg/kubelet/util/manager/watch_based_manager.go, which has one watch an object, too.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "agent/shell/api_caller.h"
#include "agent/shell/object_source.h"
#include "agent/shell/paced_queue.h"
#include "kube/api_client.h"
#include "kube/reflector.h"
#include "rotation/deadline_queue.h"

namespace tokenlet::agent {

class ClusterObjects : public ObjectSource {
public:
    struct Settings {
        std::function<Now()> clock = read_clocks;
        std::function<std::uint64_t()> random{};
        rotation::PaceSettings pace{};
        Tell tell{};
        std::function<void()> look{};     // maintain() wants to be called
        std::function<void()> on_lost{};  // a watch that stood has lost its server
        std::function<void(const std::string& yaml)> on_advice{};
    };

    ClusterObjects(ApiStarter start_call, Settings settings);
    ~ClusterObjects() override;

    void watch(WatchObjects what, Now now) override;
    std::optional<BootTime> maintain(Now now) override;

private:
    class Watching;

    void begin(const WatchedObject& what);
    void on_data(const WatchedObject& what, std::string_view bytes);
    void on_end(const WatchedObject& what, kube::ApiResult result);
    void go_on(const WatchedObject& what, const kube::ApiError* error);
    Watching& start_over(const WatchedObject& what, std::size_t bundle_api);
    void tell_objects(const WatchedObject& what, Watching& watching);
    void tell_error(const WatchedObject& what, Watching& watching, const kube::ApiError& error);

    ApiStarter start_call_;
    Settings settings_;
    std::map<WatchedObject, std::unique_ptr<Watching>> watching_;
    rotation::DeadlineQueue<WatchedObject> pauses_;
    PacedQueue<WatchedObject> beginning_;
    bool streams_ = true;         // as far as any watch has found out
    std::size_t bundle_api_ = 0;  // the version of the API that this server has
};

}  // namespace tokenlet::agent
