// SPDX-License-Identifier: Apache-2.0
// What is said of a configuration that is valid.

#include "agent/config.h"

namespace tokenlet::agent {

Result<> check_supported(const AgentConfiguration& configuration) {
    const BoundObjectMode mode = configuration.bound_object.mode;
    const auto* cluster = std::get_if<KubernetesIssuer>(&configuration.issuer);
    if (cluster == nullptr && mode != BoundObjectMode::Auto && mode != BoundObjectMode::Pod)
        return fail(Errc::Invalid, "boundObject.mode: the embedded authority binds each token to its Pod; use auto");
    if (!configuration.status.listen.empty())
        return fail(Errc::Invalid,
                    "status.listen: this version of tokenlet answers on status.socket alone; leave it out");
    if (!configuration.notifications.empty())
        return fail(Errc::Invalid,
                    "notifications: this version of tokenlet signals and runs nothing after a rotation; "
                    "leave them out and let readers watch their directory");
    return {};
}

std::vector<std::string> warnings_about(const AgentConfiguration& configuration) {
    std::vector<std::string> warnings;
    if (const auto* embedded = std::get_if<authority::AuthorityConfiguration>(&configuration.issuer)) {
        for (const std::string& warning : authority::warnings_about(*embedded))
            warnings.push_back("issuer.embedded: " + warning);
    }
    if (!configuration.manifests.strict_modes)
        warnings.push_back("manifests.strictModes: false: whoever can write to " + configuration.manifests.path +
                           " gets any token");
    if (configuration.rotation.fraction > 0.95)
        warnings.push_back("rotation.fraction: so late a refresh leaves little time to retry before a token expires");
    return warnings;
}

}  // namespace tokenlet::agent
