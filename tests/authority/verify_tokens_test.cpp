// SPDX-License-Identifier: Apache-2.0
// Tokens of every algorithm, judged by a verifier that shares nothing with us: verify_tokens.py beside this file.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <fstream>

#include "authority/authority.h"
#include "tests/authority/scratch.h"

namespace tokenlet::authority {
namespace {

using namespace std::chrono_literals;

constexpr int kTokensOfEach = 64;  // one signature in 128 has a number that begins with a zero byte

struct Verdict {
    int exit_code;
    std::string text;
};

Verdict verify(const Scratch& scratch, const std::string& jwks) {
    const std::string command =
        "/usr/bin/python3 " TOKENLET_VERIFIER " '" + scratch.at(jwks) + "' < '" + scratch.at("expectations") + "' 2>&1";
    FILE* output = ::popen(command.c_str(), "r");
    std::string text;
    for (int c = std::fgetc(output); c != EOF; c = std::fgetc(output))
        text += static_cast<char>(c);
    return {WEXITSTATUS(::pclose(output)), text};
}

class IndependentVerifier : public testing::TestWithParam<Algorithm> {
protected:
    Scratch scratch;
    AuthorityConfiguration config{
        .issuer = "https://issuer.example", .data_dir = scratch.at("authority"), .keys = {.algorithm = GetParam()}};

    // Writes a token and what it must say.
    void write(Authority& authority, int number, std::string_view sub_in_expectation) const {
        const std::string name = "token-" + std::to_string(number);
        const kube::IssuedToken issued = authority
                                             .issue({.ns = "shop",
                                                     .service_account = "frontend",
                                                     .audiences = {"vault", "sts"},
                                                     .expiration_seconds = 600 + number,
                                                     .bound_object_ref = kube::BoundObjectRef{"Pod", "web", "web-uid"}},
                                                    kNow)
                                             .value();
        std::ofstream(scratch.at(name)) << issued.token.view();
        std::ofstream(scratch.at("expectations"), std::ios::app)
            << R"({"token_file":")" << scratch.at(name) << R"(","alg":")" << to_string(GetParam())
            << R"(","iss":"https://issuer.example","aud":["vault","sts"],"sub":")" << sub_in_expectation
            << R"(","lifetime_seconds":)" << 600 + number << R"(,"pod":{"name":"web","uid":"web-uid"},"now":)"
            << kNow.time_since_epoch() / 1s << "}\n";
    }
};

INSTANTIATE_TEST_SUITE_P(, IndependentVerifier, testing::ValuesIn(kAlgorithms),
                         [](const auto& algorithm) { return std::string(to_string(algorithm.param)); });

TEST_P(IndependentVerifier, AcceptsEveryTokenFromTheJwksFileAlone) {
    Authority authority = Authority::open(config, kNow).value();
    ASSERT_TRUE(authority.put_node("edge-7", "", kNow));
    ASSERT_TRUE(authority.put_service_account({"shop", "frontend"}, "", kNow));
    ASSERT_TRUE(authority.put_pod({.key = {"shop", "web"},
                                   .uid = "web-uid",
                                   .service_account = "frontend",
                                   .node_name = "edge-7",
                                   .deletion_timestamp = {}},
                                  kNow));
    for (int i = 0; i < kTokensOfEach; ++i)
        write(authority, i, "system:serviceaccount:shop:frontend");
    const Verdict verdict = verify(scratch, "authority/discovery/openid/v1/jwks");
    EXPECT_EQ(verdict.exit_code, 0) << verdict.text;

    // And it can say no.
    write(authority, kTokensOfEach, "system:serviceaccount:shop:root");
    EXPECT_EQ(verify(scratch, "authority/discovery/openid/v1/jwks").exit_code, 1);
}

}  // namespace
}  // namespace tokenlet::authority
