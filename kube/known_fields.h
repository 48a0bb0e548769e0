// SPDX-License-Identifier: Apache-2.0
// The fields that Kubernetes 1.36 has and tokenlet has no use for.
//
// Shapes   lists of names, for Fields::ignore(): what stands here passes unread, what does not is a spelling mistake.
// Owns     nothing.     Threads  any.     Errors  none.
// Source   kubernetes staging/src/k8s.io/api/core/v1/types.go, apimachinery pkg/apis/meta/v1/types.go, both v0.36.0.
#pragma once

#include <string_view>

namespace tokenlet::kube {

inline constexpr std::string_view kUnusedMetaFields[] = {
    "clusterName",       "creationTimestamp", "deletionGracePeriodSeconds",
    "deletionTimestamp", "finalizers",        "generateName",
    "generation",        "managedFields",     "ownerReferences",
    "resourceVersion",   "selfLink",
};

inline constexpr std::string_view kUnusedPodFields[] = {
    "activeDeadlineSeconds",
    "affinity",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostUsers",
    "hostname",
    "hostnameOverride",
    "imagePullSecrets",
    "nodeName",
    "nodeSelector",
    "os",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "resourceClaims",
    "resources",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "schedulingGates",
    "schedulingGroup",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
    "workloadRef",
};

inline constexpr std::string_view kUnusedContainerFields[] = {
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "ports",
    "readinessProbe",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "startupProbe",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "workingDir",
};

inline constexpr std::string_view kUnusedPodSecurityFields[] = {
    "appArmorProfile", "fsGroupChangePolicy",      "runAsGroup",
    "runAsNonRoot",    "seLinuxChangePolicy",      "seLinuxOptions",
    "seccompProfile",  "supplementalGroupsPolicy", "sysctls",
    "windowsOptions",
};

inline constexpr std::string_view kUnusedContainerSecurityFields[] = {
    "allowPrivilegeEscalation", "appArmorProfile", "capabilities", "privileged",     "procMount",
    "readOnlyRootFilesystem",   "runAsGroup",      "runAsNonRoot", "seLinuxOptions", "seccompProfile",
    "windowsOptions",
};

// Volumes of these kinds are somebody else's business.
inline constexpr std::string_view kOtherVolumeKinds[] = {
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "emptyDir",
    "ephemeral",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "hostPath",
    "image",
    "iscsi",
    "nfs",
    "persistentVolumeClaim",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
};

}  // namespace tokenlet::kube
