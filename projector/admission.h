// SPDX-License-Identifier: Apache-2.0
// Service account admission: what the API server does to a Pod before a kubelet sees it.
//
// Shapes   admit(pod, account) -> the Pod with its account named and the kube-api-access volume injected. Pure.
// Owns     nothing.     Threads  any.
// Errors   NotFound when the account is unknown, naming it in the API server's words. Admit again when it appears.
// Source   kubernetes plugin/pkg/admission/serviceaccount/admission.go.
//
// The volume is injected when some container or init container mounts nothing at kServiceAccountMountPath, and automount
// is not off (the Pod's word beats the account's; neither says: on). A Pod that brings a volume named kube-api-access-*
// (as exported Pods do) gets that one mounted instead of a second.
//
// Differs  the name's suffix is a hash of namespace/name: the same Pod has the same paths on every host and after every
//          restart. Mirror Pods are treated as all others.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "kube/objects.h"

namespace tokenlet::projector {

inline constexpr std::string_view kInjectedVolume = "kube-api-access";  // the name without its suffix

// The account that admit() wants for this Pod: the named one, else "default".
[[nodiscard]] kube::ObjectKey account_of(const kube::Pod& pod);

// account: the one that account_of() names, or nullptr when there is none.
[[nodiscard]] Result<kube::Pod> admit(kube::Pod pod, const kube::ServiceAccount* account);

// "kube-api-access-" and five characters of the API server's alphabet for generated names.
[[nodiscard]] std::string injected_volume_name(std::string_view ns, std::string_view pod);

// Whether a volume is named as injected ones are, ours or an API server's: those also go by kInjectedVolume alone.
[[nodiscard]] bool is_injected_name(std::string_view volume);

}  // namespace tokenlet::projector
