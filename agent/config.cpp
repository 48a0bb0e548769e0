// SPDX-License-Identifier: Apache-2.0
#include "agent/config.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <iterator>
#include <set>
#include <utility>

#include "base/did_you_mean.h"
#include "base/file_bytes.h"
#include "base/is_within.h"
#include "base/unique_fd.h"
#include "kube/names.h"
#include "kube/objects.h"

namespace tokenlet::agent {

namespace {

using kube::Fields;

constexpr Duration kLongestDuration = std::chrono::hours(24 * 365 * 100);  // times are 64 bits of nanoseconds

struct Signal {
    std::string_view name;
    int number;
};
constexpr std::array kSignals{Signal{"SIGHUP", SIGHUP},   Signal{"SIGINT", SIGINT},     Signal{"SIGQUIT", SIGQUIT},
                              Signal{"SIGTERM", SIGTERM}, Signal{"SIGUSR1", SIGUSR1},   Signal{"SIGUSR2", SIGUSR2},
                              Signal{"SIGCONT", SIGCONT}, Signal{"SIGWINCH", SIGWINCH}, Signal{"SIGPWR", SIGPWR}};

// In one spelling, so that paths can be compared: without "." elements and without slashes too many.
std::string clean(std::string_view path) {
    std::string plain;
    for (std::size_t at = 0; at < path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        const std::string_view element = path.substr(at, end - at);
        at = end + 1;
        if (element.empty() || element == ".")
            continue;
        if (!plain.empty() || path.starts_with('/'))
            plain += '/';
        plain += element;
    }
    return plain.empty() && path.starts_with('/') ? "/" : plain;
}

// Reads an absolute path that the program will use as it stands.
void read_path(Fields& fields, std::string_view key, std::string& path) {
    const std::optional<std::string> given = fields.string(key);
    if (!given)
        return;
    path = clean(*given);
    if (!path.starts_with('/'))
        fields.fail(key, "must be an absolute path");
    else if ((path + "/").find("/../") != std::string::npos)
        fields.fail(key, "must not hold '..'");
    else if (path.size() >= PATH_MAX || path.find('\0') != std::string::npos)
        fields.fail(key, "is no path");
}

enum class Least { Positive, Zero };

void read_duration(Fields& fields, std::string_view key, Least least, Duration& duration) {
    const std::optional<Duration> given = fields.duration(key);
    if (!given)
        return;
    duration = *given;
    if (least == Least::Positive && duration <= Duration::zero())
        fields.fail(key, "must be more than 0s");
    else if (duration < Duration::zero())
        fields.fail(key, "must not be negative");
    else if (duration > kLongestDuration)
        fields.fail(key, "must be at most 100 years");
}

void read_node_name(Fields& top, std::string_view host_name, std::string& node_name) {
    const bool given = top.has("nodeName");
    node_name = top.string("nodeName").value_or(std::string(host_name));
    const std::string trouble = kube::check_dns1123_subdomain(node_name);
    if (trouble.empty())
        return;
    if (given)
        top.fail("nodeName", trouble);
    else
        top.fail("nodeName",
                 "the host name '" + node_name + "' cannot be a node name, so one must be given: " + trouble);
}

Manifests read_manifests(Fields fields) {
    Manifests manifests;
    read_path(fields, "path", manifests.path);
    read_duration(fields, "resync", Least::Positive, manifests.resync);
    read_duration(fields, "removalDelay", Least::Zero, manifests.removal_delay);
    manifests.strict_modes = fields.boolean("strictModes").value_or(manifests.strict_modes);
    return manifests;
}

Volumes read_volumes(Fields fields) {
    Volumes volumes;
    read_path(fields, "root", volumes.root);
    read_path(fields, "byName", volumes.by_name);
    if (is_within(volumes.root, volumes.by_name) || is_within(volumes.by_name, volumes.root))
        fields.fail(fields.has("byName") ? "byName" : "root",
                    "root (" + volumes.root + ") and byName (" + volumes.by_name + ") must not lie within one another");
    if (const auto memory = fields.one_of("memory", {"require", "warn", "ignore"}))
        volumes.memory = *memory == "require" ? MemoryRule::Require
                         : *memory == "warn"  ? MemoryRule::Warn
                                              : MemoryRule::Ignore;
    read_duration(fields, "grace", Least::Zero, volumes.grace);
    if (const auto ownership = fields.one_of("ownership", {"auto", "chown", "acl"}))
        volumes.ownership = *ownership == "auto"    ? Ownership::Auto
                            : *ownership == "chown" ? Ownership::Chown
                                                    : Ownership::Acl;
    for (const std::string& given : fields.strings("direct")) {
        const std::string path = clean(given);
        if (!path.starts_with('/') || path == "/" || (path + "/").find("/../") != std::string::npos ||
            path.find('\0') != std::string::npos)
            fields.fail("direct", "'" + path + "' must be an absolute path below /, without '..'");
        else if (is_within(path, volumes.root) || is_within(path, volumes.by_name))
            fields.fail("direct", "'" + path + "' lies within root or byName, which are the agent's own");
        else if (is_within(volumes.root, path) || is_within(volumes.by_name, path))
            fields.fail("direct",
                        "'" + path + "' holds root or byName, which are the agent's own; name one beside them");
        volumes.direct.push_back(path);
    }
    return volumes;
}

void read_self(Fields self, KubernetesIssuer::Self& value) {
    const std::string account = self.string("serviceAccount").value_or("");
    if (!account.empty()) {
        const std::size_t slash = account.find('/');
        value.ns = account.substr(0, slash);
        value.service_account = slash == std::string::npos ? "" : account.substr(slash + 1);
        if (!kube::check_dns1123_label(value.ns).empty() ||
            !kube::check_dns1123_subdomain(value.service_account).empty())
            self.fail("serviceAccount", "must be NAMESPACE/NAME, such as tokenlet/agent");
    }
    read_duration(self, "expiration", Least::Positive, value.expiration);
    if (value.expiration < std::chrono::seconds(kube::kMinExpirationSeconds))
        self.fail("expiration", "must be at least 10m");
}

KubernetesIssuer read_kubernetes_issuer(Fields& fields) {
    KubernetesIssuer issuer;
    if (!fields.string("kubeconfig").value_or("").empty())
        read_path(fields, "kubeconfig", issuer.kubeconfig);
    issuer.context = fields.string("context").value_or("");
    issuer.in_cluster = fields.boolean("inCluster").value_or(false);
    read_self(fields.mapping("self"), issuer.self);
    if (issuer.in_cluster && !issuer.kubeconfig.empty())
        fields.fail("inCluster", "either inCluster or a kubeconfig, not both");
    if (!issuer.in_cluster && issuer.kubeconfig.empty())
        fields.fail("give kubeconfig: PATH, or inCluster: true");
    return issuer;
}

void read_issuer(Fields issuer, AgentConfiguration& config) {
    Fields embedded = issuer.mapping("embedded");
    Fields kubernetes = issuer.mapping("kubernetes");
    if (embedded.exists() == kubernetes.exists()) {
        issuer.fail(embedded.exists() ? "there are both embedded and kubernetes; exactly one is needed"
                                      : "is needed: embedded: {} for tokenlet's own authority, or kubernetes: "
                                        "{kubeconfig: PATH} for a cluster's");
        return;
    }
    if (kubernetes.exists()) {
        config.issuer = read_kubernetes_issuer(kubernetes);
        return;
    }
    const bool names_directory = embedded.has("dataDir");
    authority::AuthorityConfiguration authority = authority::read_authority_configuration(embedded);
    if (!names_directory)
        authority.data_dir = config.state_dir + "/authority";
    config.issuer = std::move(authority);
}

BoundObject read_bound_object(Fields fields, const std::string& node_name) {
    static constexpr std::array kModes{
        std::pair{std::string_view("auto"), BoundObjectMode::Auto},
        std::pair{std::string_view("pod"), BoundObjectMode::Pod},
        std::pair{std::string_view("secret"), BoundObjectMode::Secret},
        std::pair{std::string_view("pod-secret"), BoundObjectMode::PodSecret},
        std::pair{std::string_view("gated-pod"), BoundObjectMode::GatedPod},
        std::pair{std::string_view("node"), BoundObjectMode::Node},
        std::pair{std::string_view("none"), BoundObjectMode::None},
    };
    BoundObject bound;
    const auto mode = fields.one_of("mode", {"auto", "pod", "secret", "pod-secret", "gated-pod", "node", "none"});
    for (const auto& [name, value] : kModes) {
        if (mode == name)
            bound.mode = value;
    }
    bound.secret_name = fields.string("secretName").value_or("");
    if (bound.secret_name.empty())
        bound.secret_name = "tokenlet-" + node_name;
    else if (const std::string trouble = kube::check_dns1123_subdomain(bound.secret_name); !trouble.empty())
        fields.fail("secretName", trouble);
    return bound;
}

kube::Policy read_policy(Fields fields) {
    kube::Policy policy;
    policy.namespaces = fields.strings("namespaces");
    policy.service_accounts = fields.strings("serviceAccounts");
    for (const std::string& account : policy.service_accounts) {
        if (account != "*" && account.find('/') == std::string::npos)
            fields.fail("serviceAccounts", "'" + account + "' must be NAMESPACE/NAME; NAMESPACE/* allows all of one");
    }
    policy.audiences = fields.strings("audiences");
    if (const kube::Node* users = fields.node("runAsUsers"); users != nullptr) {
        if (users->kind != kube::Node::Kind::Sequence)
            fields.fail("runAsUsers", "must be a list, such as [1000, 2000-2999]");
        for (const kube::Node& user : users->children) {
            if (const Result<kube::IdRange> range = kube::parse_id_range(user.text); range)
                policy.run_as_users.push_back(*range);
            else
                fields.fail("runAsUsers", range.error().what);
        }
    }
    if (fields.has("maxExpiration")) {
        Duration most{};
        read_duration(fields, "maxExpiration", Least::Positive, most);
        if (most < std::chrono::seconds(kube::kMinExpirationSeconds))
            fields.fail("maxExpiration", "must be at least 10m: no Pod may ask for less");
        policy.max_expiration = most;
    }
    return policy;
}

Rotation read_rotation(Fields fields) {
    Rotation rotation;
    rotation.fraction = fields.number("fraction").value_or(rotation.fraction);
    // Below these an agent would do little else than to rotate.
    if (!(rotation.fraction >= 0.01 && rotation.fraction <= 1))
        fields.fail("fraction", "must be at least 0.01 and at most 1, as 0.8 is");
    read_duration(fields, "maxAge", Least::Positive, rotation.max_age);
    if (rotation.max_age > Duration::zero() && rotation.max_age < std::chrono::milliseconds(100))
        fields.fail("maxAge", "must be at least 100ms");
    read_duration(fields, "maxJitter", Least::Zero, rotation.max_jitter);
    return rotation;
}

SendSignal read_signal(Fields& fields) {
    SendSignal send;
    const std::string name = fields.required("signal");
    const auto found = std::ranges::find(kSignals, name, &Signal::name);
    if (found != kSignals.end()) {
        send.signal = found->number;
    } else if (!name.empty()) {
        std::string known;
        for (const Signal& signal : kSignals)
            known.append(known.empty() ? "" : ", ").append(signal.name);
        fields.fail("signal", "must be one of " + known);
    }
    if (!fields.has("pidFile"))
        fields.fail("pidFile", "is needed: whom to signal");
    read_path(fields, "pidFile", send.pid_file);
    return send;
}

RunCommand read_command(Fields& fields) {
    RunCommand run{.argv = fields.strings("exec")};
    if (run.argv.empty() || !run.argv.front().starts_with('/'))
        fields.fail("exec", "must be a list that starts with the absolute path of a program; there is no shell");
    read_duration(fields, "timeout", Least::Positive, run.timeout);
    return run;
}

std::vector<Notification> read_notifications(Fields& top) {
    std::vector<Notification> notifications;
    std::set<std::string> names;
    top.for_each("notifications", [&](Fields& item, std::size_t) {
        Notification notification{.name = item.required("name"), .action = {}};
        if (const std::string trouble = kube::check_dns1123_label(notification.name);
            !notification.name.empty() && !trouble.empty())
            item.fail("name", trouble);
        else if (!notification.name.empty() && !names.insert(notification.name).second)
            item.fail("name", "'" + notification.name + "' is there twice");
        const bool signals = item.has("signal");
        if (signals == item.has("exec"))
            item.fail(signals ? "there are both signal and exec; exactly one is needed"
                              : "needs either signal and pidFile, or exec");
        else if (signals)
            notification.action = read_signal(item);
        else
            notification.action = read_command(item);
        // Names that go with the other action are known too, so that mixing them is one message, not two.
        if (signals && item.has("timeout"))
            item.fail("timeout", "goes with exec only");
        if (!signals && item.has("pidFile"))
            item.fail("pidFile", "goes with signal only");
        notifications.push_back(std::move(notification));
    });
    return notifications;
}

// "127.0.0.1:9464", "[::1]:9464", ":9464".
bool is_address_and_port(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos)
        return false;
    const std::string_view address = text.substr(0, colon);
    const std::string_view port = text.substr(colon + 1);
    const bool brackets = address.starts_with('[') && address.ends_with(']');
    if (address.find(':') != std::string_view::npos && !brackets)
        return false;
    return !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string_view::npos &&
           std::stoi(std::string(port)) <= 65535 && std::stoi(std::string(port)) > 0;
}

StatusEndpoint read_status(Fields fields) {
    StatusEndpoint status;
    constexpr std::size_t kLongestSocket = sizeof(sockaddr_un{}.sun_path) - 1;
    read_path(fields, "socket", status.socket);
    if (status.socket.size() > kLongestSocket)
        fields.fail("socket", "has " + std::to_string(status.socket.size()) + " bytes; the name of a socket may have " +
                                  std::to_string(kLongestSocket));
    status.listen = fields.string("listen").value_or("");
    if (!status.listen.empty() && !is_address_and_port(status.listen))
        fields.fail("listen", "must be ADDRESS:PORT, such as 127.0.0.1:9464");
    return status;
}

Log read_log(Fields fields) {
    Log log;
    if (const auto level = fields.one_of("level", {"debug", "info", "warn", "error"}))
        log.level = *level == "debug"  ? LogLevel::Debug
                    : *level == "info" ? LogLevel::Info
                    : *level == "warn" ? LogLevel::Warn
                                       : LogLevel::Error;
    if (const auto format = fields.one_of("format", {"text", "json"}))
        log.format = *format == "text" ? LogFormat::Text : LogFormat::Json;
    return log;
}

Result<Secret> read_file(const std::string& path) {
    // Not blocking, so that a FIFO in the place of the file is an error and not a hang.
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!fd)
        return fail_errno(errno, "open", path);
    struct stat status{};
    if (::fstat(fd.get(), &status) < 0)
        return fail_errno(errno, "stat", path);
    if (!S_ISREG(status.st_mode))
        return fail(Errc::Invalid, path + ": is not a file");
    return read_all(fd.get(), kMaxConfigurationBytes, path);
}

struct Place {
    std::string_view section;
    std::string_view name;  // of the field within its section
    std::string path;
};

std::string spelled(const Place& place) {
    return place.name.empty() ? place.path : std::string(place.name) + " (" + place.path + ")";
}

// What the agent keeps must not lie where others drop files, nor any of it where the agent clears up what is no volume.
void check_places(Fields& top, const AgentConfiguration& config) {
    const Place manifests{"manifests", "path", config.manifests.path};
    const Place volumes[] = {{"volumes", "root", config.volumes.root}, {"volumes", "byName", config.volumes.by_name}};
    std::vector<Place> kept{{"stateDir", "", config.state_dir}};
    if (const auto* authority = std::get_if<authority::AuthorityConfiguration>(&config.issuer)) {
        const std::string data_dir = clean(authority->data_dir);
        if (!is_within(data_dir, config.state_dir))
            kept.push_back({"issuer", "embedded.dataDir", data_dir});
    }
    const auto refuse = [&top](const Place& inner, const Place& outer, std::string_view why) {
        if (is_within(inner.path, outer.path))
            top.fail(inner.section, spelled(inner) + " must not lie within " + std::string(outer.section) +
                                        (outer.name.empty() ? " (" + outer.path + ")" : "." + spelled(outer)) + ", " +
                                        std::string(why));
    };
    for (const Place& outer : volumes)
        refuse(manifests, outer, "where the agent writes");
    for (const Place& inner : kept) {
        refuse(inner, manifests, "where manifests are dropped");
        for (const Place& outer : volumes)
            refuse(inner, outer, "where there are volumes and nothing else");
    }
    for (const std::string& path : config.volumes.direct) {
        const Place direct{"volumes", "direct", path};
        refuse(manifests, direct, "where the agent writes");
        refuse(direct, manifests, "where manifests are dropped");
        for (const Place& own : kept) {
            refuse(own, direct, "which others mount");
            refuse(direct, own, "which is the agent's own");
        }
    }
}

AgentConfiguration read_agent(const kube::Node& root, std::string_view host_name, kube::Problems& problems) {
    AgentConfiguration config;
    Fields top(root, problems);
    if (!top.has("apiVersion"))
        top.fail("apiVersion", "is needed: " + std::string(kApiVersion));
    (void)top.one_of("apiVersion", {kApiVersion});
    if (!top.has("kind"))
        top.fail("kind", "is needed: " + std::string(kAgentKind));
    (void)top.one_of("kind", {kAgentKind});
    read_node_name(top, host_name, config.node_name);
    read_path(top, "stateDir", config.state_dir);
    config.manifests = read_manifests(top.mapping("manifests"));
    config.volumes = read_volumes(top.mapping("volumes"));
    read_issuer(top.mapping("issuer"), config);
    config.bound_object = read_bound_object(top.mapping("boundObject"), config.node_name);
    config.policy = read_policy(top.mapping("policy"));
    config.rotation = read_rotation(top.mapping("rotation"));
    config.notifications = read_notifications(top);
    config.status = read_status(top.mapping("status"));
    config.log = read_log(top.mapping("log"));
    check_places(top, config);
    return config;
}

void check_authority(const kube::Node& root, kube::Problems& problems) {
    Fields top(root, problems);
    top.ignore({"kind"});
    (void)top.one_of("apiVersion", {kApiVersion});
    (void)authority::read_authority_configuration(top);
}

std::string_view text_of(const kube::Node& root, std::string_view key) {
    const kube::Node* value = root.find(key);
    return value == nullptr ? std::string_view() : std::string_view(value->text);
}

// A document of a kind that is none of ours: misspelt, or in the wrong file.
void refuse_kind(const kube::Node& root, kube::Problems& problems) {
    Fields top(root, problems);
    top.ignore_others();
    if (is_configuration(root))
        (void)top.one_of("kind", {kAgentKind, kAuthorityKind});
    else
        top.fail("kind",
                 "this is no configuration of tokenlet but a manifest; it goes into a file of its own in the "
                 "manifest directory (manifests.path)");
}

}  // namespace

bool is_configuration(const kube::Node& root) {
    constexpr std::string_view kGroup = "tokenlet.dev/";
    constexpr std::string_view kKinds[] = {kAgentKind, kAuthorityKind};
    return text_of(root, "apiVersion").starts_with(kGroup) || !did_you_mean(text_of(root, "kind"), kKinds).empty();
}

ConfigurationFile read_configuration_file(const std::vector<kube::Document>& documents, std::string_view host_name) {
    ConfigurationFile file;
    kube::Problems problems;
    int authority_line = 0;
    for (const kube::Document& document : documents) {
        if (!document.root) {
            file.problems.push_back(document.root.error().what);
            continue;
        }
        const kube::Node& root = *document.root;
        const std::string_view kind = text_of(root, "kind");
        file.kinds.emplace_back(kind);
        if (kind == kAuthorityKind) {
            check_authority(root, problems);
            authority_line = document.line;
        } else if (!kind.empty() && kind != kAgentKind) {
            refuse_kind(root, problems);
        } else if (file.agent) {
            problems.add(document.line, {}, "a second document of kind AgentConfiguration");
        } else {
            file.agent = read_agent(root, host_name, problems);
        }
    }
    if (authority_line != 0 && file.agent &&
        std::holds_alternative<authority::AuthorityConfiguration>(file.agent->issuer))
        problems.add(authority_line, {},
                     "an AuthorityConfiguration has no effect beside issuer.embedded; its fields (issuer, dataDir, "
                     "keys, ...) belong below issuer.embedded of the AgentConfiguration");
    std::ranges::move(problems.list(), std::back_inserter(file.problems));
    return file;
}

Result<AgentConfiguration> parse_agent_configuration(std::string_view text, std::string_view name,
                                                     std::string_view host_name) {
    ConfigurationFile file = read_configuration_file(kube::parse_documents(text), host_name);
    if (!file.problems.empty())
        return fail(Errc::Invalid, std::string(name) + ": " + kube::first_few(file.problems));
    if (!file.agent)
        return fail(Errc::Invalid, std::string(name) + ": holds no document of kind AgentConfiguration");
    return std::move(*file.agent);
}

Result<AgentConfiguration> read_agent_configuration(const std::string& path) {
    const Secret text = TRY(read_file(path));
    return parse_agent_configuration(text.view(), path, default_node_name());
}

std::string default_node_name() {
    char name[HOST_NAME_MAX + 1] = {};
    (void)::gethostname(name, sizeof name - 1);  // an empty name is refused by the reader, with the way out
    std::string lower = name;
    std::ranges::transform(lower, lower.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? char(c + ('a' - 'A')) : c; });
    return lower;
}

}  // namespace tokenlet::agent
