// SPDX-License-Identifier: Apache-2.0
// The token or client certificate to call an API server with, right now.
//
// Shapes   with_current(use) calls use once, at once when the credential is at hand, later when a plugin has to run first.
//          refused(version) after a 401: what can be had anew is (a file read, a plugin run), the rest stays.
//          A file is looked at (stat) for every call and read when it changed; a pair of certificate and key is exchanged
//          only when both fit. What cannot be read leaves the credential that was, until it is refused.
// Units    base/time.h.
// Owns     the credential, wiped; the plugin's process while it runs. Destroying drops what is pending and kills it.
// Threads  the loop's.
// Errors   create(): Invalid, NotFound or Denied, naming line, field and file: nothing waits for a kubeconfig to mend itself.
//          with_current(): Unavailable for what may heal (an expired file, a plugin that fails), naming what was run and how
//          it ended. At most kMaxPluginWords of its stderr, without what looks like a token.
// Source   kubernetes client-go transport/token_source.go, plugin/pkg/client/auth/exec/exec.go.
// Differs  client-go reads token files once a minute, and lets a plugin take as long as it likes: here kPluginTime. A plugin
//          that failed is not run again before kPluginPause is over, however many ask.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "kube/kubeconfig.h"

struct uv_loop_s;

namespace tokenlet::kube {

inline constexpr std::chrono::seconds kPluginTime{60};
inline constexpr std::chrono::seconds kPluginPause{5};
inline constexpr std::size_t kMaxPluginWords = 512;
inline constexpr std::size_t kMaxPluginBytes = 1024 * 1024;

// Empty parts are not sent.
struct Credential {
    std::uint64_t version = 0;  // another one for every change
    tokenlet::Secret token;
    tokenlet::Secret certificate_pem;
    tokenlet::Secret key_pem;
};

struct CredentialOptions {
    std::chrono::milliseconds plugin_time = kPluginTime;
    Duration plugin_pause = kPluginPause;
    std::function<Now()> clocks = read_clocks;
};

// Valid until the Credentials are next asked.
using CredentialResult = Result<const Credential*>;

class Credentials {
public:
    // Reads and checks everything that the user entry names; runs no plugin yet. `access` must outlive this.
    [[nodiscard]] static Result<std::unique_ptr<Credentials>> create(uv_loop_s& loop, const ClusterAccess& access,
                                                                     CredentialOptions options);
    Credentials(const Credentials&) = delete;
    Credentials& operator=(const Credentials&) = delete;
    ~Credentials();

    void with_current(std::move_only_function<void(CredentialResult)> use);
    void refused(std::uint64_t version);
    // Why a file that changed, or went, could not take the place of what was; empty when all is well.
    [[nodiscard]] const std::string& problem() const;

private:
    class State;
    explicit Credentials(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace tokenlet::kube
