// SPDX-License-Identifier: Apache-2.0
// A kubeconfig: what is accepted leads to one server, by TLS or on this machine, and holds no header of its own making.
#include <algorithm>
#include <string>
#include <string_view>

#include "kube/kubeconfig.h"
#include "kube/server_url.h"
#include "tests/fuzz/fuzz_target.h"

namespace tokenlet::fuzz {
namespace {

constexpr char kPath[] = "/etc/tokenlet/kubeconfig";

void look_at(const kube::Material& material) {
    must(material.file.empty() || material.bytes.empty(), "a material is here or in a file");
    must(material.file.empty() || material.file.starts_with('/'), "files are found from anywhere");
    must(!material.is_given() || material.where.starts_with(kPath), "a material says where it stands");
}

void look_at(const kube::Cluster& cluster) {
    const auto url = kube::read_server_url(cluster.server);
    must(url.has_value(), "the server is a URL");
    must(url->origin() + url->prefix == cluster.server, "the server is spelled in one way");
    must(url->scheme == "https" || url->is_loopback(), "no token goes over the network in the clear");
    must(cluster.tls_verification == kube::TlsVerification::On || !cluster.certificate_authority.is_given(),
         "a CA that is named is looked at");
    must(cluster.proxy_url.empty() || kube::check_proxy_url(cluster.proxy_url.view()).has_value(), "a proxy is a URL");
    look_at(cluster.certificate_authority);
}

void look_at(const kube::User& user) {
    must(user.client_certificate.is_given() == user.client_key.is_given(), "a certificate has its key");
    must(!user.exec || (!user.token.is_given() && !user.client_certificate.is_given()), "a plugin stands alone");
    must(!user.exec || !user.exec->command.empty(), "a plugin is a program");
    must(std::ranges::all_of(user.token.bytes.view(), [](unsigned char c) { return c > ' ' && c < 0x7f; }),
         "a token fits into a header");
    look_at(user.client_certificate);
    look_at(user.client_key);
    look_at(user.token);
}

}  // namespace

void run_input(std::string_view input) {
    const auto access = kube::parse_kubeconfig(input, kPath, "");
    if (!access) {
        must(access.error().code == Errc::Invalid, "wrong text is invalid, nothing else");
        must(access.error().what.starts_with(std::string(kPath) + ": "), "an error names the file");
        return;
    }
    must(!has_control(access->name), "what is shown of a kubeconfig is one line");
    look_at(access->cluster);
    look_at(access->user);
    must(kube::parse_kubeconfig("# first\n" + std::string(input), kPath, "").has_value() || input.starts_with('{'),
         "a comment in front changes nothing");
}

}  // namespace tokenlet::fuzz
