// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/run.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>

#include "agent/shell/advice_file.h"
#include "agent/shell/cluster_client.h"
#include "agent/shell/cluster_issuer.h"
#include "agent/shell/cluster_objects.h"
#include "agent/shell/driver.h"
#include "agent/shell/embedded_issuer.h"
#include "agent/shell/found_volumes.h"
#include "agent/shell/host_id.h"
#include "agent/shell/lock.h"
#include "agent/shell/make_directory.h"
#include "agent/shell/own_namespaces.h"
#include "agent/shell/ownership.h"
#include "agent/shell/rootless_ids.h"
#include "agent/shell/status_json.h"
#include "agent/shell/status_server.h"
#include "agent/shell/systemd.h"

namespace tokenlet::agent {

namespace {

using std::chrono::seconds;

constexpr seconds kOnceTime{120};  // for Mode::Once to project everything
constexpr std::chrono::milliseconds kStopTime{
    5'000};                             // for a disk to finish what it is writing; half of TimeoutStopSec
constexpr std::size_t kNamedPods = 10;  // of those not ready, in one message

std::uint64_t random_bits() {
    std::uint64_t bits = 0;
    // Eight bytes are never cut short, and the pool is there once the machine has booted.
    while (::getrandom(&bits, sizeof bits, 0) != sizeof bits) {
    }
    return bits;
}

Result<std::string> read_boot_id() {
    constexpr char kPath[] = "/proc/sys/kernel/random/boot_id";
    const UniqueFd file(::open(kPath, O_RDONLY | O_CLOEXEC));
    std::array<char, 64> text{};
    const ssize_t size = file ? ::read(file.get(), text.data(), text.size()) : -1;
    if (size <= 0)
        return fail_errno(errno, file ? "read" : "open", kPath);
    std::string id(text.data(), static_cast<std::size_t>(size));
    return id.substr(0, id.find('\n'));
}

kube::Quantity whole(std::uint64_t value) {
    kube::Quantity quantity;
    quantity.nano = value;
    quantity.nano *= 1'000'000'000;
    return quantity;
}

// What a container without limits is told that it may use.
projector::Allocatable host_resources(const UniqueFd& root) {
    projector::Allocatable host;
    if (const long processors = ::sysconf(_SC_NPROCESSORS_ONLN); processors > 0)
        host.cpu = whole(static_cast<std::uint64_t>(processors));
    struct sysinfo memory{};
    if (::sysinfo(&memory) == 0)
        host.memory = whole(std::uint64_t{memory.totalram} * memory.mem_unit);
    struct statvfs disk{};
    if (::fstatvfs(root.get(), &disk) == 0)
        host.ephemeral_storage = whole(std::uint64_t{disk.f_blocks} * disk.f_frsize);
    return host;
}

std::string first_trouble(const PodStatus& pod) {
    if (!pod.message.empty())
        return pod.message;
    for (const VolumeStatus& volume : pod.volumes)
        if (!volume.ready)
            return "volume " + volume.name + ": " + (volume.error.empty() ? "not published yet" : volume.error);
    return "not ready";
}

// "" when everything is as it should be.
std::string troubles_of(const Status& status) {
    if (!status.listed)
        return "the manifest directory has not been listed yet";
    std::string text;
    std::size_t count = 0;
    const auto add = [&](const std::string& trouble) {
        if (++count <= kNamedPods)
            text += (text.empty() ? "" : "; ") + trouble;
    };
    for (const PodStatus& pod : status.pods)
        if (!pod.ready)
            add(pod.ns + "/" + pod.name + ": " + first_trouble(pod));
    if (count > kNamedPods)
        text += "; and " + std::to_string(count - kNamedPods) + " more";
    return text;
}

// Everything that one run of the agent holds, in the order in which it is made; it goes in the opposite one.
class Agent {
public:
    Agent(const AgentConfiguration& configuration, Mode mode)
        : configuration_(configuration), mode_(mode), logger_(configuration.log, log_target()) {}

    std::expected<void, RunError> run() {
        logger_.take_over_default();
        // Long texts (a status, many manifests) are given back when they go. Left to itself, malloc raises this to what
        // it has seen freed, and keeps 50 MB after one status of ten thousand Pods.
        ::mallopt(M_MMAP_THRESHOLD, 128 << 10);
        TRY(open_directories());
        loop_ = TRY(Loop::create(), "event loop");
        TRY(open_issuer());
        TRY(make_driver());
        TRY(watch_signals());
        if (mode_ == Mode::Serve)
            TRY(serve_status());
        issuer_->announce({.root_ca = [this](const std::string& pem) { driver_->on_root_ca(pem); },
                           .name = [this](const std::string& name) { driver_->on_issuer_name(name); },
                           .keys = [this](std::vector<std::string> ids) { driver_->on_issuer_keys(std::move(ids)); },
                           .clock = [this](WallTime now) { driver_->on_issuer_clock(now); },
                           .report = [this](const Report& what) { driver_->report(what); },
                           .look = [this] { driver_->look_at_time(); }});
        loop_->run();
        TRY(stop());
        return {};
    }

private:
    void log(Report::Level level, std::string event, std::vector<std::pair<std::string, std::string>> fields = {}) {
        log(Report(level, std::move(event), std::move(fields)));
    }
    void log(const Report& what) { logger_.write(what, read_clocks().wall); }

    Result<> open_directories() {
        const std::string& state_dir = configuration_.state_dir;
        state_ = TRY(make_safe_directory(state_dir, {.above = 0755, .last = 0711}), "stateDir");
        state_lock_ = TRY(lock_directory(state_, state_dir), "stateDir");
        store_.emplace(TRY(VolumeStore::open(configuration_.volumes, random_bits)));
        root_lock_ = TRY(lock_directory(store_->root(), configuration_.volumes.root), "volumes.root");
        names_lock_ = TRY(lock_names(store_->by_name(), configuration_.volumes.by_name), "volumes.byName");
        identities_ = std::make_shared<IdentityStore>(TRY(IdentityStore::open(state_), "stateDir"));
        if (!store_->is_memory() && configuration_.volumes.memory == MemoryRule::Warn)
            log(Report::Level::Warn, "volumes lie on a disk, tokens survive there when the machine is off",
                {{"root", configuration_.volumes.root}});
        // A second view on the same directory, for looking while the store is at work in the pool.
        root_ = UniqueFd(::fcntl(store_->root().get(), F_DUPFD_CLOEXEC, 0));
        if (!root_)
            return fail_errno(errno, "fcntl", configuration_.volumes.root);
        return {};
    }

    std::expected<void, RunError> open_issuer() {
        if (const auto* cluster = std::get_if<KubernetesIssuer>(&configuration_.issuer))
            return open_cluster(*cluster);
        const auto& embedded = std::get<authority::AuthorityConfiguration>(configuration_.issuer);
        const WallTime now = read_clocks().wall;
        auto authority = TRY(authority::Authority::open(embedded, now), "issuer.embedded");
        (void)TRY(authority.put_node(configuration_.node_name, "", now), "issuer.embedded");
        issuer_name_ = embedded.issuer;
        issuer_ = std::make_unique<EmbeddedIssuer>(*loop_, std::move(authority), configuration_.node_name, read_clocks);
        return {};
    }

    [[nodiscard]] kube::TokenRequest self_request(const KubernetesIssuer& cluster) const {
        return {.ns = cluster.self.ns,
                .service_account = cluster.self.service_account,
                .audiences = {},
                .expiration_seconds = std::chrono::duration_cast<std::chrono::seconds>(cluster.self.expiration).count(),
                .bound_object_ref = kube::BoundObjectRef{"Secret", configuration_.bound_object.secret_name, ""}};
    }

    std::expected<void, RunError> open_cluster(const KubernetesIssuer& cluster) {
        const auto on_refusal = [this](const kube::ApiError& error) {
            if (!error.advice.empty())
                keep_advice(error.advice);
        };
        client_ = std::make_unique<ClusterClient>(
            *loop_, ClusterClient::Settings{.issuer = cluster,
                                            .self_request = self_request(cluster),
                                            .state_dir = configuration_.state_dir,
                                            .report = [this](const Report& what) { log(what); },
                                            .on_refusal = on_refusal});
        if (Result<> opened = client_->open(); !opened) {
            const bool may_heal = opened.error().code == Errc::Io || opened.error().code == Errc::Unavailable;
            return std::unexpected(RunError(std::move(opened.error()).with("issuer.kubernetes"),
                                            may_heal ? Fault::Run : Fault::Configuration));
        }
        client_->take_own_credential();
        const auto call = [this](kube::ApiRequest request, std::move_only_function<void(kube::ApiResult)> done) {
            client_->request(std::move(request), std::move(done)).leave_to_client();
        };
        std::unique_ptr<SelfCredential> self;
        if (!cluster.self.service_account.empty())
            self = std::make_unique<SelfCredential>(
                call, SelfCredential::Settings{.request = self_request(cluster),
                                               .directory = configuration_.state_dir,
                                               .random = random_bits,
                                               .report = [this](const Report& what) { driver_->report(what); },
                                               .on_refusal = on_refusal,
                                               .obtained = [this] { client_->own_token_obtained(); },
                                               .expired = [this] { return client_->own_token_expired(); },
                                               .look = [this] { driver_->look_at_time(); }});
        auto issuer = std::make_unique<ClusterIssuer>(
            *loop_, call,
            ClusterIssuer::Settings{.bound_object = configuration_.bound_object,
                                    .node_name = configuration_.node_name,
                                    .host_id = TRY(read_host_id(state_, random_bits), "stateDir"),
                                    .own_namespaces = TRY(read_own_namespaces(state_), "stateDir"),
                                    .remember_namespaces = [this](const auto& all) { remember_namespaces(all); },
                                    .random = random_bits,
                                    .on_advice = [this](const std::string& yaml) { keep_advice(yaml); },
                                    .self = std::move(self)});
        objects_ = std::make_unique<ClusterObjects>(
            [this](kube::ApiRequest request, std::move_only_function<void(kube::ApiResult)> done) {
                return client_->request(std::move(request), std::move(done));
            },
            ClusterObjects::Settings{.random = random_bits,
                                     .tell = [this](const WatchedObject& what,
                                                    ObjectNews news) { driver_->on_object(what, std::move(news)); },
                                     .look = [this] { driver_->look_at_time(); },
                                     .on_lost = [issuer = issuer.get()] { issuer->look_at_keys_soon(); },
                                     .on_advice = [this](const std::string& yaml) { keep_advice(yaml); }});
        issuer_ = std::move(issuer);
        return {};
    }

    void remember_namespaces(const std::set<std::string>& namespaces) {
        if (const Result<> written = write_own_namespaces(state_, namespaces); !written)
            log(Report::Level::Warn, "the next run may not find the objects that this one makes for pods",
                {{"err", written.error().what}});
    }

    // What a person has to apply, where it can be applied from: a log has no room for it.
    void keep_advice(const std::string& yaml) {
        const Result<bool> added = advice_.add(yaml);
        if (!added)
            return log(Report::Level::Warn, "a right is missing at the API server", {{"manifest", yaml}});
        const std::string path = configuration_.state_dir + "/" + kAdviceFile;
        if (*added)
            log(Report::Level::Warn, "a right is missing at the API server", {{"mend", "kubectl apply -f " + path}});
    }

    Result<CoreSettings> core_settings() {
        const Ownership ownership = TRY(choose_ownership(configuration_.volumes.ownership));
        auto boot_id = read_boot_id();
        if (!boot_id) {
            // Of no boot that was ever recorded: ages then count on the wall clock.
            log(Report::Level::Warn, "boot id cannot be read, ages of earlier tokens count on the wall clock",
                {{"err", boot_id.error().what}});
            boot_id = "unknown-" + std::to_string(random_bits());
        }
        CoreSettings settings;
        settings.boot_id = std::move(*boot_id);
        settings.issuer = issuer_name_;
        const bool is_cluster = std::holds_alternative<KubernetesIssuer>(configuration_.issuer);
        settings.issuer_clock = is_cluster ? IssuerClock::Measured : IssuerClock::Ours;
        settings.objects_from = is_cluster ? ObjectsFrom::Cluster : ObjectsFrom::Manifests;
        settings.rotation = {.fraction = configuration_.rotation.fraction,
                             .max_age = configuration_.rotation.max_age,
                             .max_jitter = configuration_.rotation.max_jitter};
        settings.removal_delay = configuration_.manifests.removal_delay;
        settings.grace = configuration_.volumes.grace;
        settings.ownership = ownership == Ownership::Chown ? projector::Ownership::Chown : projector::Ownership::Acl;
        settings.allocatable = host_resources(root_);
        settings.policy = configuration_.policy;
        settings.rootless_ids = [](const std::string& user) { return read_rootless_ids(user); };
        settings.direct = configuration_.volumes.direct;
        return settings;
    }

    Result<> make_driver() {
        auto core = std::make_unique<Core>(TRY(core_settings()), random_bits);
        core->load_identities(identities_->take_loaded());
        adopt(*core, TRY(find_volumes(root_, configuration_.volumes.direct), "volumes.root"));

        const kube::ManifestDirectoryOptions options{
            .modes = configuration_.manifests.strict_modes ? kube::Modes::Strict : kube::Modes::Any,
            .agent_uid = ::geteuid()};
        auto manifests = TRY(kube::ManifestDirectory::open(configuration_.manifests.path, options), "manifests.path");
        const std::shared_ptr<VolumeWatch> volume_watch = watch_volumes();
        if (volume_watch)
            store_->tell(volume_watch);
        const auto where = store_->may_block() ? Publisher::Where::Pool : Publisher::Where::Loop;
        driver_ = std::make_unique<Driver>(Driver::Parts{
            .loop = *loop_,
            .logger = logger_,
            .issuer = *issuer_,
            .clock = read_clocks,
            .core = std::move(core),
            .publisher = std::make_unique<Publisher>(*loop_, std::move(*store_), where),
            .identities = identities_,
            .manifests = std::move(manifests),
            .resync = configuration_.manifests.resync,
            .objects = objects_.get(),
            .volume_watch = volume_watch,
            .mounts = mode_ == Mode::Once
                          ? nullptr
                          : std::make_shared<const FileMounts>(FileMounts::open(configuration_.volumes)),
        });
        TRY(driver_->start([this] { on_settled(); }, [this](const Error& error) { on_listing_failed(error); }));
        if (mode_ == Mode::Once)
            driver_->call_after(kOnceTime, [this] { end_once("not everything was projected in time: "); });
        else if (const auto period = watchdog_period())
            driver_->watch_over({.period = *period, .feed = [] { notify_watchdog(); }});
        return {};
    }

    // Null: damage shows at the audit. On a disk the watching would wait where the loop must not.
    std::shared_ptr<VolumeWatch> watch_volumes() {
        if (mode_ == Mode::Once || store_->may_block())
            return nullptr;
        Result<VolumeWatch> watch = VolumeWatch::make(VolumeWatch::usual_budget());
        if (!watch) {
            log(Report::Level::Warn, "volumes cannot be watched, damage shows at the next audit",
                {{"err", watch.error().what}});
            return nullptr;
        }
        return std::make_shared<VolumeWatch>(std::move(*watch));
    }

    void adopt(Core& core, Found found) {
        for (const std::string& path : found.foreign)
            log(Report::Level::Warn, "something in volumes.root is not ours, left alone", {{"path", path}});
        for (const std::string& problem : found.problems)
            log(Report::Level::Warn, "an earlier run's volume cannot be read, its tokens are asked for anew",
                {{"err", problem}});
        core.adopt(read_clocks(), std::move(found.volumes));
    }

    Result<> watch_signals() {
        for (const int signal : {SIGTERM, SIGINT})
            signals_.push_back(TRY(loop_->watch_signal(signal, [this] {
                notify_stopping();
                loop_->stop();
            })));
        signals_.push_back(TRY(loop_->watch_signal(SIGHUP, [this] {
            log(Report::Level::Warn, "SIGHUP: manifests are listed again; a changed configuration takes a restart");
            driver_->list_manifests();
        })));
        return {};
    }

    Result<> serve_status() {
        const std::string& socket = configuration_.status.socket;
        const std::size_t slash = socket.rfind('/');
        if (slash != std::string::npos && slash > 0)
            (void)TRY(make_directory(socket.substr(0, slash), {}), "status.socket");
        status_server_ = TRY(StatusServer::start(
            *loop_, socket,
            {.snapshot =
                 [this] {
                     return [this, status = driver_->status(), mounts = driver_->file_mounts()] {
                         return status_json(status, {.root = root_,
                                                     .root_path = configuration_.volumes.root,
                                                     .node_name = configuration_.node_name,
                                                     .file_mounts = mounts});
                     };
                 },
             .unready = [this] { return troubles_of(driver_->status()); },
             .prune = [this] { driver_->release_removals(); },
             .rotate = [this](const kube::ObjectKey& pod,
                              const std::string& volume) { return driver_->rotate_now(pod, volume); }}));
        return {};
    }

    void on_settled() {
        if (mode_ == Mode::Once)
            return end_once("");
        notify_ready(log_ready() + " pods");
        ::malloc_trim(0);  // the first pass takes much more memory than what comes after it
    }

    // In a function of its own, so that the status of all Pods is gone when memory is given back.
    std::string log_ready() {
        const Status status = driver_->status();
        std::string pods = std::to_string(status.pods.size());
        log(Report::Level::Info, "agent ready",
            {{"pods", pods},
             {"token_requests", std::to_string(status.token_requests)},
             {"root", configuration_.volumes.root}});
        return pods;
    }

    void on_listing_failed(const Error& error) {
        if (mode_ != Mode::Once || once_)
            return;
        once_ = std::unexpected(error);
        loop_->stop();
    }

    void end_once(const std::string& context) {
        const Status status = driver_->status();
        std::string trouble = troubles_of(status);
        for (const std::string& problem : status.problems)
            trouble += (trouble.empty() ? "" : "; ") + problem;
        once_ = Result<>();
        if (!trouble.empty())
            once_ = fail(Errc::Invalid, context + trouble);
        loop_->stop();
    }

    // Files, records and links stay: readers go on reading, and the next start adopts them.
    Result<> stop() {
        status_server_.reset();  // the socket goes first: nobody is told of a driver that is no more
        driver_.reset();
        objects_.reset();
        client_.reset();  // and with it the answers that would be for the driver
        const Result<> closed = issuer_->close(read_clocks().wall);
        if (!closed)
            log(Report::Level::Error, "token authority cannot save its state", {{"err", closed.error().what}});
        if (!loop_->finish_work(kStopTime)) {
            log(Report::Level::Error, "the disk does not answer, leaving without it", {});
            // Threads that hang in the kernel cannot be waited for, and destructors would.
            std::quick_exit(EXIT_FAILURE);
        }
        if (mode_ == Mode::Once)
            return once_ ? *once_ : fail(Errc::Unavailable, "interrupted before everything was projected");
        log(Report::Level::Info, "agent stopped, published files stay", {});
        return {};
    }

    const AgentConfiguration& configuration_;
    Mode mode_;
    Logger logger_;
    UniqueFd state_;
    UniqueFd state_lock_;
    UniqueFd root_lock_;
    UniqueFd names_lock_;
    std::optional<VolumeStore> store_;
    std::shared_ptr<IdentityStore> identities_;
    UniqueFd root_;
    std::unique_ptr<Loop> loop_;
    std::string issuer_name_;
    std::unique_ptr<ClusterClient> client_;  // of a cluster, as are the objects
    std::unique_ptr<TokenIssuer> issuer_;
    std::unique_ptr<ClusterObjects> objects_;
    AdviceFile advice_{state_};
    std::unique_ptr<Driver> driver_;
    std::vector<Watch> signals_;
    std::unique_ptr<StatusServer> status_server_;
    std::optional<Result<>> once_;  // how Mode::Once has ended
};

}  // namespace

std::expected<void, RunError> run_agent(const AgentConfiguration& configuration, Mode mode) {
    TRY(check_supported(configuration));
    Agent agent(configuration, mode);
    return agent.run();
}

}  // namespace tokenlet::agent
