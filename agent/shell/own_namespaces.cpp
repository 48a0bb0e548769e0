// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/own_namespaces.h"

#include <algorithm>
#include <string_view>

#include "authority/durable_file.h"
#include "kube/names.h"

namespace tokenlet::agent {

Result<std::set<std::string>> read_own_namespaces(const UniqueFd& state_dir) {
    std::set<std::string> namespaces;
    const Result<Secret> file = authority::read_file(state_dir, kOwnNamespacesFile, authority::Readers::Anyone);
    if (!file && file.error().code != Errc::NotFound)
        return std::unexpected(file.error());
    std::string_view rest = file ? file->view() : std::string_view();
    while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        if (kube::check_dns1123_label(line).empty())
            namespaces.emplace(line);
    }
    return namespaces;
}

Result<> write_own_namespaces(const UniqueFd& state_dir, const std::set<std::string>& namespaces) {
    std::string text;
    for (const std::string& ns : namespaces)
        text += ns + "\n";
    return authority::write_file(state_dir, kOwnNamespacesFile, text, 0644);
}

}  // namespace tokenlet::agent
