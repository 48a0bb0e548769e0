// SPDX-License-Identifier: Apache-2.0
// What OpenSSL alone takes to sign a token: an ES256 signature of a JWT's size, the key and its context prepared before.
//
// Shapes   sign() makes one signature, which is thrown away.
// Owns     the key.     Threads  one.     Errors  a refusal ends the benchmark.
#pragma once

#include <memory>

struct evp_pkey_st;
struct evp_pkey_ctx_st;

namespace tokenlet::bench {

class RawSigner {
public:
    RawSigner();
    void sign();

private:
    struct Free {
        void operator()(evp_pkey_st* key) const noexcept;
        void operator()(evp_pkey_ctx_st* context) const noexcept;
    };
    std::unique_ptr<evp_pkey_st, Free> key_;
    std::unique_ptr<evp_pkey_ctx_st, Free> context_;
};

}  // namespace tokenlet::bench
