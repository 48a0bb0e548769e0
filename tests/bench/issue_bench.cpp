// SPDX-License-Identifier: Apache-2.0
// What a token costs the embedded authority, beyond the signature.
//
// Scenario  issue() for a Pod that is registered, ES256, against OpenSSL's signature alone.
#include <spdlog/spdlog.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "authority/authority.h"
#include "base/time.h"
#include "tests/bench/figures.h"
#include "tests/bench/raw_signer.h"

namespace tokenlet::authority {
namespace {

template <class Value>
Value get(Result<Value> result) {
    if (!result)
        bench::stop(result.error().what);
    return std::move(*result);
}

void run(const std::string& directory) {
    const WallTime now = read_clocks().wall;
    Authority authority = get(Authority::open({.data_dir = directory}, now));
    const kube::ObjectKey account{.ns = "production", .name = "frontend"};
    (void)get(authority.put_service_account(account, "", now));
    const std::string pod_uid = "6d6c2f0e-27b5-4a52-9b55-b9a4b7a3d2a1";
    const auto registered = authority.put_pod({.key = {.ns = "production", .name = "web"},
                                               .uid = pod_uid,
                                               .service_account = account.name,
                                               .node_name = "",
                                               .deletion_timestamp = {}},
                                              now);
    if (!registered)
        bench::stop(registered.error().what);
    const kube::TokenRequest request{.ns = account.ns,
                                     .service_account = account.name,
                                     .audiences = {},
                                     .expiration_seconds = 3600,
                                     .bound_object_ref = {{.kind = "Pod", .name = "web", .uid = pod_uid}}};
    bench::RawSigner raw;
    bench::compare(
        {.what = "issue(), ES256", .against = "OpenSSL's signature", .target = ""}, 100,
        [&] { (void)get(authority.issue(request, read_clocks().wall)); }, [&] { raw.sign(); });
    if (const auto closed = authority.close(read_clocks().wall); !closed)
        bench::stop(closed.error().what);
}

}  // namespace
}  // namespace tokenlet::authority

int main() {
    spdlog::set_level(spdlog::level::off);
    std::string path = "/dev/shm/issue-bench-XXXXXX";
    tokenlet::bench::must(::mkdtemp(path.data()) != nullptr, "mkdtemp");
    tokenlet::authority::run(path);
    std::filesystem::remove_all(path);
}
