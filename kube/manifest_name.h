// SPDX-License-Identifier: Apache-2.0
// Which names in the manifest directory stand for manifests.
//
// Shapes   is_manifest_name("web.yaml") -> true. There is no list of extensions: "web" and "web.manifest" are manifests.
// Owns     nothing.     Threads  any.     Errors  none.
//
// Not manifests: names that start with a dot (as the kubelet has it: `..data`, rsync's and vim's temporary files), and
// copies that editors, package managers and people leave beside a manifest: "web.yaml~", "#web.yaml#", "web.yaml.bak",
// "web.yaml.dpkg-old", "web.yaml.disabled", "sedAb12Cd" (sed -i at work), "4913" (vim asks whether it may write here). Nor is the "lost+found" of a disk's root.
//
// Differs  the kubelet reads such copies. Here it would make an old version of a Pod take over when the Pod is removed.
#pragma once

#include <string_view>

namespace tokenlet::kube {

[[nodiscard]] bool is_manifest_name(std::string_view name);

}  // namespace tokenlet::kube
