// SPDX-License-Identifier: Apache-2.0
#include "kube/in_cluster.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "kube/changing_file.h"
#include "kube/server_url.h"

namespace tokenlet::kube {
namespace {

constexpr std::size_t kMaxNamespaceBytes = 256;

std::string variable(const char* name) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing here sets the environment
    return value == nullptr ? "" : value;
}

std::string trimmed(std::string_view text) {
    constexpr std::string_view kBlank = " \t\r\n";
    const std::size_t start = text.find_first_not_of(kBlank);
    return start == std::string_view::npos ? ""
                                           : std::string(text.substr(start, text.find_last_not_of(kBlank) - start + 1));
}

}  // namespace

InClusterSurroundings in_cluster_surroundings() {
    return {.host = variable("KUBERNETES_SERVICE_HOST"), .port = variable("KUBERNETES_SERVICE_PORT")};
}

Result<ClusterAccess> in_cluster_access(const InClusterSurroundings& surroundings) {
    constexpr std::string_view kName = "in-cluster configuration";
    if (surroundings.host.empty() || surroundings.port.empty())
        return fail(Errc::NotFound, std::string(kName) +
                                        ": KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, so this is "
                                        "no Pod; give a kubeconfig instead");
    const bool is_ipv6 = surroundings.host.contains(':') && !surroundings.host.starts_with('[');
    const std::string host = is_ipv6 ? "[" + surroundings.host + "]" : surroundings.host;

    ClusterAccess access;
    access.name = kName;
    const ServerUrl url = TRY(read_server_url("https://" + host + ":" + surroundings.port),
                              "in-cluster configuration: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT");
    access.cluster.name = access.user.name = "in-cluster";
    access.cluster.server = url.origin();
    access.cluster.certificate_authority = {
        .file = surroundings.directory + "/ca.crt", .bytes = {}, .where = std::string(kName)};
    access.user.token = {.file = surroundings.directory + "/token", .bytes = {}, .where = std::string(kName)};
    for (const Material* needed : {&access.cluster.certificate_authority, &access.user.token})
        if (::access(needed->file.c_str(), R_OK) < 0)
            return std::unexpected(fail_errno(errno, "open", needed->file).error().with(kName));
    ChangingFile ns(surroundings.directory + "/namespace", kMaxNamespaceBytes);
    if (ns.look())  // its absence costs only a default
        access.ns = trimmed(ns.bytes().view());
    return access;
}

}  // namespace tokenlet::kube
