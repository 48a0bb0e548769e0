// SPDX-License-Identifier: Apache-2.0
// Where the API server is and as whom to call it, from inside a Pod.
//
// Shapes   in_cluster_access(surroundings) -> ClusterAccess whose token and CA stand in files that the kubelet, or tokenlet
//          itself, keeps fresh.
// Units    none.     Owns  nothing.     Threads  any.
// Errors   NotFound: this is no Pod, or the directory lacks token or ca.crt; the text says which.
// Source   kubernetes client-go rest/config.go, InClusterConfig.
// Differs  client-go goes on with the system's CAs when ca.crt is missing; here that is an error.
#pragma once

#include <string>

#include "base/result.h"
#include "kube/kubeconfig.h"

namespace tokenlet::kube {

inline constexpr char kServiceAccountDirectory[] = "/var/run/secrets/kubernetes.io/serviceaccount";

struct InClusterSurroundings {
    std::string host;  // KUBERNETES_SERVICE_HOST
    std::string port;  // KUBERNETES_SERVICE_PORT
    std::string directory = kServiceAccountDirectory;
};

// From the environment.
[[nodiscard]] InClusterSurroundings in_cluster_surroundings();

[[nodiscard]] Result<ClusterAccess> in_cluster_access(const InClusterSurroundings& surroundings);

}  // namespace tokenlet::kube
