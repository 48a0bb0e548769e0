// SPDX-License-Identifier: Apache-2.0
#include "authority/config.h"

#include <gtest/gtest.h>

#include "kube/document.h"
#include "kube/fields.h"

namespace tokenlet::authority {
namespace {

using namespace std::chrono_literals;

Result<AuthorityConfiguration> read(std::string_view yaml) {
    const std::vector<kube::Document> documents = kube::parse_documents(yaml);
    const kube::Node root = TRY(Result<kube::Node>(documents.at(0).root));
    kube::Problems problems;
    AuthorityConfiguration config;
    {
        kube::Fields fields(root, problems);
        config = read_authority_configuration(fields);
    }
    TRY(problems.result());
    return config;
}

TEST(AuthorityConfiguration, HasADefaultForEverything) {
    const AuthorityConfiguration config = read("{}").value();
    EXPECT_EQ(config, AuthorityConfiguration{});
    EXPECT_THAT(config.effective_api_audiences(), testing::ElementsAre(config.issuer));
    EXPECT_TRUE(warnings_about(config).empty());
}

TEST(AuthorityConfiguration, ReadsEveryField) {
    const AuthorityConfiguration config = read(R"(
issuer: https://tokens.example.org
additionalIssuers: [https://old.example.org]
apiAudiences: [api]
dataDir: /data
keys: {algorithm: ES512, rotateEvery: 100h, publishBefore: 2h}
minTokenExpiration: 5m
maxTokenExpiration: 0s
extendTokenExpiration: true
)")
                                              .value();
    EXPECT_EQ(config.issuer, "https://tokens.example.org");
    EXPECT_THAT(config.additional_issuers, testing::ElementsAre("https://old.example.org"));
    EXPECT_THAT(config.effective_api_audiences(), testing::ElementsAre("api"));
    EXPECT_EQ(config.data_dir, "/data");
    EXPECT_EQ(config.keys, (KeysConfiguration{Algorithm::Es512, 100h, 2h}));
    EXPECT_EQ(config.min_token_expiration, 5min);
    EXPECT_EQ(config.max_token_expiration, 0s);
    EXPECT_TRUE(config.extend_token_expiration);
}

TEST(AuthorityConfiguration, SaysWhichFieldIsWrongAndWhatWouldBeRight) {
    struct Case {
        std::string_view name, yaml, error;
    };
    const Case cases[] = {
        {"no URL", "issuer: tokens", "line 1: issuer: must be an https URL, such as https://tokens.example.org"},
        {"additional issuers too", "additionalIssuers: [ftp://x]",
         "line 1: additionalIssuers: must be an https URL, such as https://tokens.example.org"},
        {"unknown algorithm", "keys: {algorithm: HS256}",
         "line 1: keys.algorithm: \"HS256\" is not one of ES256, ES384, ES512 or RS256, did you mean 'ES256'?"},
        {"rotation shorter than its notice", "keys: {rotateEvery: 1h}",
         "line 1: keys.rotateEvery: must be longer than publishBefore (1h0m0s), or 0s to keep one key"},
        {"negative notice", "keys: {publishBefore: -1h}", "line 1: keys.publishBefore: must not be negative"},
        {"centuries", "keys: {rotateEvery: 900000h}",
         "line 1: keys.rotateEvery: more than 100 years; 0s keeps one key"},
        {"bounds crossed", "minTokenExpiration: 2h\nmaxTokenExpiration: 1h",
         "line 2: maxTokenExpiration: the maximum (1h0m0s) is below the minimum (2h0m0s): no request could be granted "
         "as asked"},
        {"minimum above the default maximum", "minTokenExpiration: 2h",
         "line 1: minTokenExpiration: the maximum (1h0m0s) is below the minimum (2h0m0s): no request could be granted "
         "as asked"},
        {"below what clocks may differ by", "minTokenExpiration: 10s",
         "line 1: minTokenExpiration: must be whole seconds, at least 1m and at most 2^32 s"},
        {"half seconds", "maxTokenExpiration: 3600.5s",
         "line 1: maxTokenExpiration: must be whole seconds and at most 2^32 s; 0s means no maximum"},
        {"relative directory", "dataDir: data", "line 1: dataDir: must be an absolute path"},
        {"no audience", "apiAudiences: ['']", "line 1: apiAudiences: an audience must not be empty"},
        {"typing mistake", "isuer: https://x", "line 1: isuer: unknown field, did you mean 'issuer'?"},
        {"not there yet", "listen: {socket: /x}",
         "line 1: listen: has no effect yet: this version embeds the authority in the agent and serves no API"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const Result<AuthorityConfiguration> config = read(c.yaml);
        ASSERT_FALSE(config);
        EXPECT_EQ(config.error().what, c.error);
    }
}

TEST(AuthorityConfiguration, AnIssuerIsAPlainHttpsUrl) {
    struct Case {
        std::string_view url;
        bool fine;
    };
    const Case cases[] = {
        {"https://tokens.example.org", true},
        {"https://tokens.example.org:8443/fleet/a", true},
        {"https://[2001:db8::1]:8443", true},
        {"http://localhost:8080", true},
        {"http://127.0.0.1", true},
        {"http://[::1]:80", true},
        {"http://tokens.example.org", false},
        {"http://127.example.org", false},
        {"http://localhost.example.org", false},
        {"https://", false},
        {"https:///path", false},
        {"https://:8443", false},
        {"https://host:", false},
        {"https://host:port", false},
        {"https://user@host", false},
        {"https://host?x", false},
        {"https://host#x", false},
        {"https://ho st", false},
        {"https://host/\"", false},
        {"HTTPS://host", false},
        {"", false},
        {"https://[]", false},
        {"https://[::1", false},
    };
    for (const Case& c : cases)
        EXPECT_EQ(check_issuer_url(c.url).has_value(), c.fine) << c.url;
}

TEST(AuthorityConfiguration, WarnsOfAnExtensionThatCannotHappen) {
    EXPECT_EQ(warnings_about(read("extendTokenExpiration: true").value()).size(), 1u);
    EXPECT_TRUE(warnings_about(read("extendTokenExpiration: true\nmaxTokenExpiration: 3607s").value()).empty());
    EXPECT_TRUE(warnings_about(read("extendTokenExpiration: true\nmaxTokenExpiration: 0s").value()).empty());
}

}  // namespace
}  // namespace tokenlet::authority
