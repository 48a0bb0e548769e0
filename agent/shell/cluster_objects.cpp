// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/cluster_objects.h"

#include <array>
#include <utility>

#include "kube/decode.h"

namespace tokenlet::agent {
namespace {

using Kind = WatchedObject::Kind;

constexpr std::chrono::milliseconds kIdleTime{150'000};  // bookmarks come every minute
constexpr std::chrono::seconds kSlack{30};               // for the server to end a watch by itself
constexpr unsigned kFewFailures = 3;
constexpr std::array<std::string_view, 2> kBundleApis{"v1beta1", "v1alpha1"};

bool is_bundle(Kind kind) {
    return kind == Kind::ClusterTrustBundle || kind == Kind::BundlesOfSigner;
}

std::string path_of(const WatchedObject& what, std::string_view bundle_api) {
    if (is_bundle(what.kind))
        return kube::api_path({"apis", "certificates.k8s.io", bundle_api, "clustertrustbundles"});
    const std::string_view resource = what.kind == Kind::ServiceAccount ? "serviceaccounts"
                                      : what.kind == Kind::ConfigMap    ? "configmaps"
                                                                        : "secrets";
    return kube::api_path({"api", "v1", "namespaces", what.key.ns, resource});
}

kube::ReflectorTarget target_of(const WatchedObject& what, std::string_view bundle_api) {
    const std::string kind(to_string(what.kind));
    const bool of_signer = what.kind == Kind::BundlesOfSigner;
    return {.api_version = is_bundle(what.kind) ? "certificates.k8s.io/" + std::string(bundle_api) : "v1",
            .kind = kind,
            .field_selector = (of_signer ? "spec.signerName=" : "metadata.name=") + what.key.name,
            .what = kind + (of_signer ? "s of signer " : " ") + what.key.str()};
}

}  // namespace

class ClusterObjects::Watching {
public:
    Watching(kube::ReflectorTarget target, std::size_t api) : reflector(std::move(target)), bundle_api(api) {}

    kube::Reflector reflector;
    std::size_t bundle_api;
    kube::Reflector::Step step = kube::Reflector::Step::List;
    kube::ApiCall call;
    std::string told_error;  // empty: what was told last were objects
};

ClusterObjects::ClusterObjects(ApiStarter start_call, Settings settings)
    : start_call_(std::move(start_call)), settings_(std::move(settings)), beginning_(settings_.pace) {}

ClusterObjects::~ClusterObjects() = default;

void ClusterObjects::watch(WatchObjects what, Now now) {
    for (const WatchedObject& object : what.removed) {
        watching_.erase(object);
        pauses_.cancel(object);
    }
    for (WatchedObject& object : what.added) {
        watching_.insert_or_assign(
            object, std::make_unique<Watching>(target_of(object, kBundleApis.at(bundle_api_)), bundle_api_));
        pauses_.set(object, now.boot);
    }
}

std::optional<BootTime> ClusterObjects::maintain(Now now) {
    // Accounts go first, as the kinds are ordered: without them nothing is asked for.
    while (const std::optional<WatchedObject> due = pauses_.pop_due(now.boot))
        beginning_.push(now.boot, *due);
    while (const std::optional<WatchedObject> next = beginning_.pop(now.boot))
        begin(*next);
    std::optional<BootTime> next = beginning_.next(now.boot);
    if (const auto pause = pauses_.next(); pause && (!next || *pause < *next))
        next = pause;
    return next;
}

void ClusterObjects::begin(const WatchedObject& what) {
    const auto found = watching_.find(what);
    if (found == watching_.end() || found->second->call)
        return;  // no longer wanted; or left and wanted again while it waited
    Watching& watching = *found->second;
    if (!streams_)
        watching.reflector.never_stream();
    const kube::Reflector::Call call = watching.reflector.begin(settings_.random());
    watching.step = call.step;
    kube::ApiRequest request{.path = path_of(what, kBundleApis.at(watching.bundle_api)),
                             .query = call.query,
                             .what = watching.reflector.target().what};
    if (call.step != kube::Reflector::Step::List) {
        request.time = call.time + kSlack;
        request.idle_time = kIdleTime;
        request.on_data = [this, what](std::string_view bytes) { on_data(what, bytes); };
    }
    watching.call =
        start_call_(std::move(request), [this, what](kube::ApiResult result) { on_end(what, std::move(result)); });
}

// Telling may take the watch away, and with it this very call: nothing is touched afterwards.
void ClusterObjects::on_data(const WatchedObject& object, std::string_view bytes) {
    const WatchedObject what = object;  // which lies in the call
    Watching& watching = *watching_.at(what);
    const Result<bool> news = watching.reflector.feed(bytes);
    if (!news) {
        const kube::ApiError error = watching.reflector.watch_error().value_or(kube::ApiError{.error = news.error()});
        watching.call = {};
        return go_on(what, &error);
    }
    const bool mended = !watching.told_error.empty() && watching.reflector.failures() == 0;
    if (watching.reflector.is_known() && (*news || mended))
        tell_objects(what, watching);
}

void ClusterObjects::on_end(const WatchedObject& object, kube::ApiResult result) {
    const WatchedObject what = object;
    Watching& watching = *watching_.at(what);
    watching.call = {};
    if (!result)
        return go_on(what, &result.error());
    if (watching.step != kube::Reflector::Step::List)
        return go_on(what, nullptr);
    const Result<bool> news = watching.reflector.take_list(result->body.view());
    if (!news) {
        const kube::ApiError error{.error = news.error()};
        return go_on(what, &error);
    }
    go_on(what, nullptr);
    // The look that comes with it may have ended this watch.
    const auto still = watching_.find(what);
    if (still != watching_.end() && (*news || !still->second->told_error.empty()))
        tell_objects(what, *still->second);
}

void ClusterObjects::go_on(const WatchedObject& what, const kube::ApiError* error) {
    Watching* watching = watching_.at(what).get();
    const Duration pause = watching->reflector.ended(error, settings_.random());
    streams_ = streams_ && watching->reflector.streams();
    const unsigned failures = watching->reflector.failures();
    const bool known = watching->reflector.is_known();
    // A version that gave objects is there, whatever a proxy says once, until the server has become another one.
    if (error != nullptr && error->http_status == 404 && is_bundle(what.kind) && (!known || failures >= kFewFailures)) {
        watching = &start_over(what, (watching->bundle_api + 1) % kBundleApis.size());
        if (watching->bundle_api != 0) {
            pauses_.set(what, settings_.clock().boot);
            return settings_.look();
        }
    }
    pauses_.set(what, settings_.clock().boot + pause);
    // Behind a load balancer, a server that is away is one that answers 503.
    const bool away = error != nullptr && (error->http_status == 0 || error->http_status >= 500);
    const bool tells =
        error != nullptr && pause > Duration::zero() && (!known || failures >= kFewFailures || !error->is_retryable());
    if (tells)
        tell_error(what, *watching, *error);
    else
        settings_.look();
    if (away && known && failures == 1 && settings_.on_lost)
        settings_.on_lost();
}

// With another version of the bundles' API. What was told stands.
ClusterObjects::Watching& ClusterObjects::start_over(const WatchedObject& what, std::size_t bundle_api) {
    bundle_api_ = bundle_api;
    auto fresh = std::make_unique<Watching>(target_of(what, kBundleApis.at(bundle_api)), bundle_api);
    std::unique_ptr<Watching>& watching = watching_.at(what);
    fresh->told_error = std::move(watching->told_error);
    watching = std::move(fresh);
    return *watching;
}

void ClusterObjects::tell_objects(const WatchedObject& what, Watching& watching) {
    watching.told_error.clear();
    std::vector<kube::Object> objects;
    for (const auto& [name, json] : watching.reflector.objects()) {
        for (kube::Decoded& decoded : kube::decode_manifests(json.view(), "")) {
            if (!decoded.object) {
                const kube::ApiError error{
                    .error = fail(Errc::Invalid,
                                  watching.reflector.target().what + " cannot be used: " + decoded.object.error().what)
                                 .error()};
                return tell_error(what, watching, error);
            }
            objects.push_back(std::move(*decoded.object));
        }
    }
    settings_.tell(what, std::move(objects));
}

void ClusterObjects::tell_error(const WatchedObject& what, Watching& watching, const kube::ApiError& error) {
    if (!error.advice.empty() && settings_.on_advice)
        settings_.on_advice(error.advice);
    if (watching.told_error == error.error.what)
        return settings_.look();
    watching.told_error = error.error.what;
    Error told = error.error;
    if (error.http_status == 401)
        told.code = Errc::Unavailable;  // the credential, not the object
    else if (told.code == Errc::NotFound)
        told.code = Errc::Invalid;  // the kind, not the object
    settings_.tell(what, std::unexpected(std::move(told)));
}

}  // namespace tokenlet::agent
