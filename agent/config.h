// SPDX-License-Identifier: Apache-2.0
// The agent's configuration file.
//
// Shapes   read_agent_configuration(path) -> AgentConfiguration, complete: what the file leaves out has its default,
//          and nothing in it contradicts anything else. The names are those of the file, in snake_case.
// Units    std::chrono; sizes and ids as named.
// Owns     its text.     Threads  any.
// Errors   Invalid, "FILE: line N: FIELD: what is wrong and what would be right", the first few of them; NotFound,
//          Denied and Io when the file cannot be read.
//
// A document of kind AuthorityConfiguration is for `tokenlet authority`. It is validated, and refused beside an agent that
// embeds its authority, on which it would have no effect.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "agent/core/command.h"
#include "authority/config.h"
#include "base/result.h"
#include "base/time.h"
#include "kube/document.h"
#include "kube/fields.h"
#include "kube/manifest_policy.h"

namespace tokenlet::agent {

inline constexpr char kDefaultConfigurationPath[] = "/etc/tokenlet/agent.yaml";
inline constexpr char kApiVersion[] = "tokenlet.dev/v1alpha1";
inline constexpr char kAgentKind[] = "AgentConfiguration";
inline constexpr char kAuthorityKind[] = "AuthorityConfiguration";

struct Manifests {
    std::string path = "/etc/tokenlet/manifests";
    Duration resync = std::chrono::minutes(10);
    Duration removal_delay = std::chrono::seconds(10);
    bool strict_modes = true;
};

enum class MemoryRule { Require, Warn, Ignore };  // that volumes lie in memory, not on a disk
enum class Ownership { Auto, Chown, Acl };        // Auto: Chown where the process may, else Acl

struct Volumes {
    std::string root = "/run/tokenlet/pods";
    std::string by_name = "/run/tokenlet/by-name";
    MemoryRule memory = MemoryRule::Warn;
    Duration grace = std::chrono::seconds(10);
    Ownership ownership = Ownership::Auto;
    std::vector<std::string> direct;  // directories within which tokenlet.dev/path may publish
};

struct KubernetesIssuer {
    std::string kubeconfig;
    std::string context;
    bool in_cluster = false;
    struct Self {
        std::string ns;  // both empty: the credential of the kubeconfig is used as it is
        std::string service_account;
        Duration expiration = std::chrono::hours(168);
    } self;
};

enum class BoundObjectMode { Auto, Pod, Secret, PodSecret, GatedPod, Node, None };

struct BoundObject {
    BoundObjectMode mode = BoundObjectMode::Auto;
    std::string secret_name;  // "tokenlet-<nodeName>" when the file names none
};

struct Rotation {
    double fraction = 0.8;  // of the lifetime, in [0.01, 1]
    Duration max_age = std::chrono::hours(24);
    Duration max_jitter = std::chrono::minutes(5);
};

struct SendSignal {
    int signal = 0;
    std::string pid_file;
};
struct RunCommand {
    std::vector<std::string> argv;  // argv[0] is an absolute path; no shell
    Duration timeout = std::chrono::seconds(10);
};
struct Notification {
    std::string name;  // what tokenlet.dev/notify picks
    std::variant<SendSignal, RunCommand> action;
};

struct StatusEndpoint {
    std::string socket = "/run/tokenlet/tokenlet.sock";
    std::string listen;  // "ADDRESS:PORT", or empty
};

using LogLevel = Report::Level;
enum class LogFormat { Text, Json };

struct Log {
    LogLevel level = LogLevel::Info;
    LogFormat format = LogFormat::Text;
};

struct AgentConfiguration {
    std::string node_name;  // the host's name when the file names none
    std::string state_dir = "/var/lib/tokenlet";
    Manifests manifests;
    Volumes volumes;
    std::variant<authority::AuthorityConfiguration, KubernetesIssuer> issuer;
    BoundObject bound_object;
    kube::Policy policy;
    Rotation rotation;
    std::vector<Notification> notifications;
    StatusEndpoint status;
    Log log;
};

inline constexpr std::size_t kMaxConfigurationBytes = 1024 * 1024;

[[nodiscard]] Result<AgentConfiguration> read_agent_configuration(const std::string& path);

// The same from text; `name` stands for the file in messages, `host_name` fills nodeName.
[[nodiscard]] Result<AgentConfiguration> parse_agent_configuration(std::string_view text, std::string_view name,
                                                                   std::string_view host_name);

// What the documents of one file say, and all that is wrong with them.
struct ConfigurationFile {
    std::optional<AgentConfiguration> agent;  // of use only when there are no problems
    std::vector<std::string> kinds;           // of each document that could be read, in order
    std::vector<std::string> problems;        // "line N: FIELD: what is wrong"
};
[[nodiscard]] ConfigurationFile read_configuration_file(const std::vector<kube::Document>& documents,
                                                        std::string_view host_name);

// Whether a document is meant as a configuration of tokenlet's, be it misspelt, and not as a manifest.
[[nodiscard]] bool is_configuration(const kube::Node& root);

// Invalid when the configuration asks for what this version of tokenlet does not do, naming field and way out. A valid
// configuration may: it is the form, not the program, that is fixed.
[[nodiscard]] Result<> check_supported(const AgentConfiguration& configuration);

// What is allowed but hardly meant, one sentence each.
[[nodiscard]] std::vector<std::string> warnings_about(const AgentConfiguration& configuration);

// This host's name as nodeName takes it: in lower case.
[[nodiscard]] std::string default_node_name();

}  // namespace tokenlet::agent
