// SPDX-License-Identifier: Apache-2.0
// Where an API server is and as whom to call it, as a kubeconfig says.
//
//     ClusterAccess access = TRY(read_kubeconfig("/etc/tokenlet/kubeconfig", ""));  // "": its current-context
//
// Shapes   parse_kubeconfig(text, path, context) -> ClusterAccess. Reads no other file: certificates and tokens that stand in
//          files of their own are named here, and read where they are used (kube/credentials.h), since they change.
// Units    none.
// Owns     what the file holds of secrets, in Secret.     Threads  any.
// Errors   Invalid, "FILE: line N: users[0].user.client-key-data: what is wrong", the first few; no value is quoted but names.
//          NotFound, Denied and Io when the file cannot be read.
// Source   kubernetes client-go tools/clientcmd/api/v1/types.go, client_config.go, validation.go; several files:
//          tools/clientcmd/loader.go, ClientConfigLoadingRules.Load; the exec plugin:
//          pkg/apis/clientauthentication/v1/types.go.
// Differs  client-go passes over unknown fields: here the chosen context, cluster and user are read strictly, as a misspelt
//          certificate-authority is otherwise found out by a failing handshake. Plain http is taken for loopback only. What a
//          server no longer understands (username, password) or client-go no longer carries (auth-provider) is refused with
//          the way out. A relative exec command with a slash is relative to the file, as all paths are.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

namespace tokenlet::kube {

inline constexpr std::size_t kMaxKubeconfigBytes = 4 * 1024 * 1024;

// A certificate, a key or a token: here, or in a file that may change while we run.
struct Material {
    std::string file;        // found from where we run, not from where the kubeconfig stands; empty: the bytes are here
    tokenlet::Secret bytes;  // decoded from base64 where the file had it so
    std::string where;       // for messages: "FILE: line 12: users[0].user.client-key-data"

    [[nodiscard]] bool is_given() const { return !file.empty() || !bytes.empty(); }
};

// A program that prints a credential.
struct ExecPlugin {
    std::string where;        // "FILE: line 20: users[0].user.exec"
    std::string api_version;  // client.authentication.k8s.io/v1, or .../v1beta1
    std::string command;      // a path, or a name that is looked up in PATH
    std::vector<std::string> args;
    std::vector<std::pair<std::string, std::string>> env;  // beside what we have ourselves
    std::string install_hint;
    bool provide_cluster_info = false;
};

enum class TlsVerification { On, Off };

struct Cluster {
    std::string name;
    std::string server;              // "https://host:port/prefix", no slash at the end
    std::string tls_server_name;     // what the certificate must say; empty: the host of `server`
    Material certificate_authority;  // not given: those that the system trusts
    TlsVerification tls_verification = TlsVerification::On;  // Off only where the kubeconfig says so; warn about it
    tokenlet::Secret proxy_url;  // may hold a password; empty: as the environment says (HTTPS_PROXY, NO_PROXY)
    bool disable_compression = false;
    std::string exec_config_json;  // extension client.authentication.k8s.io/exec, for plugins; "" where there is none
};

// Whose rights to use instead of our own, as `kubectl --as`.
struct Impersonation {
    std::string user;
    std::string uid;
    std::vector<std::string> groups;
    std::vector<std::pair<std::string, std::string>> extra;
};

// No credential at all is fine as well: somebody else may bring one. A client certificate may stand beside a token, nothing
// beside exec.
struct User {
    std::string name;  // of the entry in the kubeconfig
    Material client_certificate;
    Material client_key;
    Material token;
    std::optional<ExecPlugin> exec;
    Impersonation impersonation;

    [[nodiscard]] bool has_credential() const { return client_certificate.is_given() || token.is_given() || exec; }
};

struct ClusterAccess {
    std::string name;  // for messages: "/etc/tokenlet/kubeconfig, context 'edge'"
    Cluster cluster;
    User user;
    std::string ns;  // of the context; may be empty
};

[[nodiscard]] Result<ClusterAccess> read_kubeconfig(const std::string& path, std::string_view context);

// As $KUBECONFIG names them: paths with colons between them, of which some may not be there.
[[nodiscard]] Result<ClusterAccess> read_kubeconfigs(std::string_view list, std::string_view context);

// `path` names the file in messages, and its directory is where relative paths start.
[[nodiscard]] Result<ClusterAccess> parse_kubeconfig(std::string_view text, const std::string& path,
                                                     std::string_view context);

// Several files are read as if they were one: of what two of them say the first one's word counts, for an entry as a whole.
struct KubeconfigText {
    std::string path;
    std::string_view text;
};
[[nodiscard]] Result<ClusterAccess> parse_kubeconfigs(std::span<const KubeconfigText> files, std::string_view context);

}  // namespace tokenlet::kube
