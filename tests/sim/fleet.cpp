// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/fleet.h"

#include <cstdlib>
#include <iterator>
#include <utility>

namespace tokenlet::sim {
namespace {

// Manifests are JSON, which is read faster than YAML: every start of the agent reads them all.
std::string manifest(const std::string& kind, const std::string& ns, const std::string& name, const std::string& more) {
    return R"({"apiVersion":"v1","kind":")" + kind + R"(","metadata":{"namespace":")" + ns + R"(","name":")" + name +
           '"' + more + "}\n";
}

std::string config_map(const FleetPod& pod, const std::string& letter, const std::string& data) {
    return manifest("ConfigMap", pod.key.ns, letter + std::to_string(pod.number), R"(},"data":{)" + data + '}');
}

agent::WatchedObject config_of(const FleetPod& pod, const std::string& letter) {
    return {agent::WatchedObject::Kind::ConfigMap, {pod.key.ns, letter + std::to_string(pod.number)}};
}

agent::WatchedObject account_of(const FleetPod& pod) {
    return {agent::WatchedObject::Kind::ServiceAccount, {pod.key.ns, pod.account}};
}

std::string token_source(const std::string& path, const std::string& audience, std::int64_t ttl_seconds) {
    return R"({"serviceAccountToken":{"path":")" + path + R"(","audience":")" + audience + R"(","expirationSeconds":)" +
           std::to_string(ttl_seconds) + "}}";
}

}  // namespace

Fleet::Fleet(World& world, Cluster* cluster, Chance& chance, Later later, Trace trace)
    : world_(world), cluster_(cluster), chance_(chance), later_(std::move(later)), trace_(std::move(trace)) {}

void Fleet::add_pods(int count, std::int64_t ttl_seconds) {
    constexpr std::int64_t kLifetimes[] = {600, 3600, 3607, 7200, 86400, 172800};
    pods_.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
        FleetPod& pod = pods_.emplace_back();
        pod.number = i;
        pod.key = {"n" + std::to_string(i % 7), "p" + std::to_string(i)};
        pod.account = "a" + std::to_string(i % 3);
        pod.ttl_seconds = ttl_seconds > 0 ? ttl_seconds : kLifetimes[chance_.below(std::size(kLifetimes))];
        by_key_[pod.key] = static_cast<std::size_t>(i);
        write_account(pod, cluster_ != nullptr ? "u-" + pod.key.ns + "-" + pod.account : "");
        write_config(pod);
        write_pod(pod);
    }
}

FleetPod* Fleet::find(const kube::ObjectKey& key) {
    const auto found = by_key_.find(key);
    return found == by_key_.end() ? nullptr : &pods_[found->second];
}

std::string Fleet::text_of(const FleetPod& pod) {
    const std::string number = std::to_string(pod.number);
    std::string mounts = R"({"name":"v","mountPath":"/v"})";
    std::string volumes = R"({"name":"v","projected":{"sources":[)" + token_source("token", "v", pod.ttl_seconds) +
                          R"(,{"configMap":{"name":"c)" + number + R"("}},{"configMap":{"name":"o)" + number +
                          R"(","optional":true}}]}})";
    if (pod.second_volume) {
        mounts += R"(,{"name":"w","mountPath":"/w"})";
        volumes += R"(,{"name":"w","projected":{"sources":[)" + token_source("token", "w", 3600) + ',' +
                   token_source("shared", "v", pod.ttl_seconds) + "]}}";
    }
    const std::string path =
        pod.direct().empty() ? "" : R"(,"annotations":{"tokenlet.dev/path":"v=)" + pod.direct() + R"("})";
    return manifest("Pod", pod.key.ns, pod.key.name,
                    path + R"(},"spec":{"automountServiceAccountToken":false,"serviceAccountName":")" + pod.account +
                        R"(","containers":[{"name":"c","volumeMounts":[)" + mounts + R"(]}],"volumes":[)" + volumes +
                        "]}");
}

void Fleet::write(const std::string& file, const std::string& text) {
    if (unmounted_at_)
        parked_[file] = text;
    else
        world_.write(file, text);
}

void Fleet::unlink(const std::string& file) {
    if (unmounted_at_)
        parked_.erase(file);
    else
        world_.unlink(file);
}

void Fleet::put(const agent::WatchedObject& what, const std::string& file, const std::string& text) {
    if (cluster_ != nullptr)
        cluster_->put(what, text);
    else
        write(file, text);
}

void Fleet::drop(const agent::WatchedObject& what, const std::string& file) {
    if (cluster_ != nullptr)
        cluster_->drop(what);
    else
        unlink(file);
}

void Fleet::write_pod(FleetPod& pod) {
    if (pod.broken)
        mended_at_ = world_.elapsed();
    pod.broken = false;
    if (!unmounted_at_)
        pod.absent_since.reset();
    write("pod-" + pod.key.name, text_of(pod));
}

void Fleet::write_config(const FleetPod& pod) {
    const std::string version = std::to_string(pod.config);
    put(config_of(pod, "c"), "config-" + pod.key.name,
        config_map(pod, "c", R"("a":"v)" + version + R"(","b":"v)" + version + '"'));
}

void Fleet::write_optional(const FleetPod& pod) {
    put(config_of(pod, "o"), "optional-" + pod.key.name,
        config_map(pod, "o", R"("o":"v)" + std::to_string(pod.optional_version) + '"'));
}

void Fleet::write_account(const FleetPod& pod, const std::string& uid) {
    put(account_of(pod), "account-" + pod.key.ns + "-" + pod.account,
        manifest("ServiceAccount", pod.key.ns, pod.account, (uid.empty() ? "" : R"(,"uid":")" + uid + '"') + '}'));
    if (cluster_ != nullptr)
        world_.issuer.accounts[account_of(pod).key] = uid;
}

void Fleet::edit_config() {
    FleetPod& pod = any_pod();
    ++pod.config;
    trace_("edit config of " + pod.key.str());
    write_config(pod);
}

void Fleet::edit_pod() {
    FleetPod& pod = any_pod();
    if (pod.absent_since)
        return;
    pod.second_volume = !pod.second_volume;
    pod.dropped_since = pod.second_volume ? std::nullopt : std::optional(world_.elapsed());
    trace_("edit " + pod.key.str() + (pod.second_volume ? ": a second volume" : ": no second volume"));
    write_pod(pod);
}

void Fleet::break_manifest() {
    FleetPod& pod = any_pod();
    if (pod.absent_since || unmounted_at_)
        return;
    trace_("break the manifest of " + pod.key.str());
    pod.broken = true;
    write("pod-" + pod.key.name, "apiVersion: v1\nkind: Pod\nmetadata: {name: [broken\n");
    later_(chance_.between(1s, 4h), [this, &pod] {
        if (pod.broken)
            write_pod(pod);
    });
}

void Fleet::unlink_and_create() {
    FleetPod& pod = any_pod();
    if (pod.absent_since || unmounted_at_)
        return;
    trace_("unlink and create " + pod.key.str());
    pod.absent_since = world_.elapsed();
    unlink("pod-" + pod.key.name);
    later_(chance_.between(1ms, 9s), [this, &pod] { write_pod(pod); });
}

void Fleet::take_away() {
    FleetPod& pod = any_pod();
    if (pod.absent_since || unmounted_at_)
        return;
    trace_("take away " + pod.key.str());
    pod.absent_since = world_.elapsed();
    unlink("pod-" + pod.key.name);
    later_(chance_.between(1s, 12h), [this, &pod] { write_pod(pod); });
}

void Fleet::take_config() {
    FleetPod& pod = any_pod();
    trace_("take away the config of " + pod.key.str());
    drop(config_of(pod, "c"), "config-" + pod.key.name);
    later_(chance_.between(1s, 3h), [this, &pod] { write_config(pod); });
}

void Fleet::take_or_give_optional() {
    FleetPod& pod = any_pod();
    ++pod.optional_version;
    trace_("optional object of " + pod.key.str());
    if (chance_.one_in(2))
        drop(config_of(pod, "o"), "optional-" + pod.key.name);
    else
        write_optional(pod);
}

void Fleet::unmount() {
    if (unmounted_at_)
        return;
    trace_("unmount the manifest directory");
    parked_ = world_.take_files();
    unmounted_at_ = world_.elapsed();
    for (FleetPod& pod : pods_) {
        if (!pod.absent_since)
            pod.absent_since = unmounted_at_;
    }
    world_.device = 7;
    world_.list_now();
    later_(chance_.between(1s, 50min), [this] {
        trace_("mount it again");
        unmounted_at_.reset();
        mended_at_ = world_.elapsed();
        world_.device = 1;
        for (FleetPod& pod : pods_) {
            if (parked_.contains("pod-" + pod.key.name))
                pod.absent_since.reset();
        }
        world_.put_files(std::exchange(parked_, {}));
        world_.list_now();
    });
}

void Fleet::make_account_anew() {
    const FleetPod& pod = any_pod();
    const std::string uid = "u" + std::to_string(++next_uid_);
    trace_("another uid for account " + pod.key.ns + "/" + pod.account + ": " + uid);
    if (cluster_ == nullptr || chance_.one_in(2))
        return write_account(pod, uid);
    cluster_->drop(account_of(pod));
    world_.issuer.accounts.erase(account_of(pod).key);
    later_(chance_.between(1ms, 10min), [this, &pod, uid] { write_account(pod, uid); });
}

void Fleet::agent_died() {
    for (FleetPod& pod : pods_)
        pod.shown = {};
}

void Fleet::see_listing(const kube::Listing& listing) {
    const auto about = [&](const std::string& file) -> std::pair<std::string, FleetPod*> {
        const std::size_t dash = file.find("-p");
        if (dash == std::string::npos)
            return {file, nullptr};
        return {file.substr(0, dash), &pods_[std::strtoull(file.c_str() + dash + 2, nullptr, 10)]};
    };
    const BootTime now = world_.elapsed();
    for (const auto& update : listing.updates) {
        const auto [kind, pod] = about(update.file);
        if (pod == nullptr)
            continue;
        FleetPod::Shown& shown = pod->shown;
        if (kind == "pod" && !pod->broken) {
            shown.touched = now;
            shown.second_volume = pod->second_volume;
            if (!shown.since) {
                shown.since = now;
                if (cluster_ == nullptr)
                    shown.account_since = shown.optional_since = now;
                shown.since_wall = world_.now().wall;
            }
        } else if (kind == "config") {
            shown.touched = shown.config_since.emplace(now);
            shown.config = pod->config;
        } else if (kind == "optional") {
            shown.touched = now;
            shown.optional = true;
            shown.optional_version = pod->optional_version;
        }
    }
    for (const std::string& file : listing.vanished) {
        const auto [kind, pod] = about(file);
        if (kind == "config" && pod != nullptr)
            pod->shown.config_since.reset();
        else if (kind == "optional" && pod != nullptr)
            pod->shown.optional = false;
    }
}

void Fleet::see_account_replaced(const kube::ObjectKey& account) {
    for (FleetPod& pod : pods_) {
        if (pod.key.ns == account.ns && pod.account == account.name)
            pod.shown.touched = world_.elapsed();
    }
}

std::vector<FleetPod*> Fleet::users_of(const agent::WatchedObject& what) {
    if (what.kind == agent::WatchedObject::Kind::ConfigMap)
        return {&pods_[std::strtoull(what.key.name.c_str() + 1, nullptr, 10)]};
    std::vector<FleetPod*> users;
    for (FleetPod& pod : pods_) {
        if (account_of(pod) == what)
            users.push_back(&pod);
    }
    return users;
}

void Fleet::see_news(const agent::WatchedObject& what, bool is_there) {
    const BootTime now = world_.elapsed();
    for (FleetPod* pod : users_of(what)) {
        FleetPod::Shown& shown = pod->shown;
        if (what.kind == agent::WatchedObject::Kind::ServiceAccount) {
            shown.account_since = is_there ? std::optional(now) : std::nullopt;
        } else if (what.key.name.starts_with('c')) {
            shown.config_since = is_there ? std::optional(now) : std::nullopt;
            shown.config = is_there ? pod->config : shown.config;
        } else {
            shown.optional_since = now;
            shown.optional = is_there;
            shown.optional_version = pod->optional_version;
        }
        shown.touched = now;
    }
    if (what.kind != agent::WatchedObject::Kind::ServiceAccount || !is_there)
        return;
    const std::string& uid = world_.issuer.accounts.at(what.key);
    if (std::exchange(told_uids_[what.key], uid) != uid)
        world_.on_account_replaced(what.key);
}

void Fleet::see_unwatched(const agent::WatchedObject& what) {
    for (FleetPod* pod : users_of(what)) {
        if (what.kind == agent::WatchedObject::Kind::ServiceAccount)
            pod->shown.account_since.reset();
        else if (what.key.name.starts_with('c'))
            pod->shown.config_since.reset();
        else
            pod->shown.optional_since.reset();
    }
}

bool Fleet::is_news(const kube::ObjectKey& account, const std::string& uid) const {
    const auto told = told_uids_.find(account);
    return told != told_uids_.end() && told->second != uid;
}

}  // namespace tokenlet::sim
