// SPDX-License-Identifier: Apache-2.0
#include "authority/key_ring.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "authority/durable_file.h"
#include "tests/authority/scratch.h"

namespace tokenlet::authority {
namespace {

using namespace std::chrono_literals;

struct KeyRingTest : testing::Test {
    Scratch scratch;
    AuthorityConfiguration config{.issuer = "https://issuer.example",
                                  .keys = {.algorithm = Algorithm::Es256, .rotate_every = 100h, .publish_before = 1h}};
    UniqueFd keys_dir = open_directory(scratch.dir(), "keys", 0700).value();
    Store store = Store::open(scratch.at("authority.db")).value();

    [[nodiscard]] KeyRing::Place place() { return {scratch.dir(), keys_dir, store, config}; }
    [[nodiscard]] Result<KeyRing> open(WallTime now = kNow) { return KeyRing::open(place(), now); }
    [[nodiscard]] std::string jwks() const { return scratch.read("discovery/openid/v1/jwks"); }
    [[nodiscard]] bool is_published(const std::string& kid) const { return jwks().find(kid) != std::string::npos; }
    [[nodiscard]] static std::string pem(const std::string& kid) { return "keys/" + kid + ".pem"; }
    [[nodiscard]] std::size_t key_files() const {
        return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(scratch.at("keys")), {}));
    }
};

using KeyRingStart = KeyRingTest;

TEST_F(KeyRingStart, MakesAKeyThatSignsAtOnceAndIsPublished) {
    const KeyRing ring = open().value();
    const std::string kid = ring.signer().kid();
    EXPECT_EQ(scratch.mode(pem(kid)), 0600u);
    EXPECT_EQ(jwks(), R"({"keys":[)" + ring.signer().jwk() + "]}");
    EXPECT_EQ(scratch.mode("discovery/openid/v1/jwks"), 0644u);
    EXPECT_EQ(scratch.mode("discovery/.well-known"), 0755u);
    EXPECT_EQ(scratch.read("discovery/.well-known/openid-configuration"),
              R"({"issuer":"https://issuer.example","jwks_uri":"https://issuer.example/openid/v1/jwks",)"
              R"("response_types_supported":["id_token"],"subject_types_supported":["public"],)"
              R"("id_token_signing_alg_values_supported":["ES256"]})");
    EXPECT_EQ(ring.next_step(), kNow + 99h);
}

TEST_F(KeyRingStart, KeepsItsKeyAndWritesNothingWhenNothingChanged) {
    const std::string kid = open()->signer().kid();
    struct stat before{}, after{};
    ASSERT_EQ(::stat(scratch.at("discovery/openid/v1/jwks").c_str(), &before), 0);
    EXPECT_EQ(open(kNow + 1h)->signer().kid(), kid);
    ASSERT_EQ(::stat(scratch.at("discovery/openid/v1/jwks").c_str(), &after), 0);
    EXPECT_EQ(before.st_ino, after.st_ino);
}

TEST_F(KeyRingStart, PublishesAgainWhatSomebodyRemovedOrChanged) {
    ASSERT_TRUE(open());
    const std::string text = jwks();
    scratch.write("discovery/openid/v1/jwks", "{}", 0666);
    ASSERT_TRUE(open());
    EXPECT_EQ(jwks(), text);
    EXPECT_EQ(scratch.mode("discovery/openid/v1/jwks"), 0644u);
    std::filesystem::remove_all(scratch.at("discovery"));
    ASSERT_TRUE(open());
    EXPECT_EQ(jwks(), text);
}

using KeyRingRotation = KeyRingTest;

TEST_F(KeyRingRotation, PublishesThenSignsThenForgets) {
    KeyRing ring = open().value();
    const std::string old = ring.signer().kid();
    ASSERT_TRUE(ring.reserve_until(place(), kNow + 101h));

    ASSERT_TRUE(ring.step(place(), kNow + 99h));
    ASSERT_EQ(ring.records().size(), 2u);
    EXPECT_EQ(ring.signer().kid(), old) << "published, but signs for nobody yet";
    const auto successor =
        std::ranges::find_if(ring.records(), [](const KeyRecord& key) { return !key.signing_since; });
    const std::string next = successor->kid;
    EXPECT_TRUE(is_published(next));

    ASSERT_TRUE(ring.step(place(), kNow + 100h));
    EXPECT_EQ(ring.signer().kid(), next);
    EXPECT_TRUE(is_published(old)) << "its tokens are still about";
    EXPECT_FALSE(scratch.has(pem(old))) << "but its private half is of no more use";

    ASSERT_TRUE(ring.step(place(), kNow + 102h));
    EXPECT_TRUE(is_published(old)) << "101 h, the hour in hand, and a minute of leeway";
    ASSERT_TRUE(ring.step(place(), kNow + 102h + 1min));
    EXPECT_FALSE(is_published(old));
    EXPECT_EQ(ring.records().size(), 1u);
}

TEST_F(KeyRingRotation, GoesOnWhereItStoodAfterARestartAtAnyStep) {
    std::string old;
    {
        KeyRing ring = open().value();
        old = ring.signer().kid();
        ASSERT_TRUE(ring.reserve_until(place(), kNow + 101h));
    }
    EXPECT_EQ(open(kNow + 99h)->signer().kid(), old);
    EXPECT_EQ(key_files(), 2u);
    const std::string next = open(kNow + 100h)->signer().kid();
    EXPECT_NE(next, old);
    EXPECT_TRUE(is_published(old));
    EXPECT_EQ(key_files(), 1u);
    EXPECT_EQ(open(kNow + 103h)->signer().kid(), next);
    EXPECT_FALSE(is_published(old));
}

TEST_F(KeyRingRotation, ToAnotherAlgorithmFollowsTheSameRule) {
    const std::string old = open()->signer().kid();
    config.keys.algorithm = Algorithm::Rs256;
    EXPECT_EQ(open(kNow + 1h)->signer().kid(), old);
    EXPECT_NE(scratch.read("discovery/.well-known/openid-configuration").find(R"(["ES256","RS256"])"),
              std::string::npos);
    const KeyRing ring = open(kNow + 2h).value();
    EXPECT_EQ(ring.signer().algorithm(), Algorithm::Rs256);
    EXPECT_FALSE(is_published(old)) << "it never signed a token";
}

TEST_F(KeyRingRotation, LivesUntilItsLastTokenHoweverLongThatIs) {
    {
        KeyRing ring = open().value();
        ASSERT_TRUE(ring.reserve_until(place(), kNow + 8760h));
        ASSERT_TRUE(ring.reserve_until(place(), kNow + 1h)) << "a shorter one changes nothing";
    }
    EXPECT_EQ(open(kNow + 99h)->records().size(), 2u);
    const KeyRing ring = open(kNow + 100h).value();
    const auto old =
        std::ranges::find_if(ring.records(), [](const KeyRecord& key) { return key.retired_at.has_value(); });
    ASSERT_NE(old, ring.records().end());
    EXPECT_EQ(old->signed_until, kNow + 8761h);
}

using KeyRingCrash = KeyRingTest;

TEST_F(KeyRingCrash, AKeyMadeButNotRecordedBecomesTheSuccessor) {
    const std::string old = open()->signer().kid();
    const SigningKey made = SigningKey::generate(Algorithm::Es256).value();
    scratch.write(pem(made.kid()), std::string(made.to_pem()->view()));
    EXPECT_EQ(open()->signer().kid(), old);
    EXPECT_TRUE(is_published(made.kid()));
    EXPECT_EQ(open(kNow + 100h)->signer().kid(), made.kid());
}

TEST_F(KeyRingCrash, LeftOversAreSwept) {
    KeyRing ring = open().value();
    const std::string old = ring.signer().kid();
    const std::string private_half = scratch.read(pem(old));
    ASSERT_TRUE(ring.reserve_until(place(), kNow + 101h));
    ASSERT_TRUE(ring.step(place(), kNow + 99h));
    ASSERT_TRUE(ring.step(place(), kNow + 100h));
    scratch.write(pem(old), private_half);  // as if we had died before removing it
    scratch.write("keys/.half.pem.tmp", "half");
    EXPECT_NE(open(kNow + 100h)->signer().kid(), old);
    EXPECT_EQ(key_files(), 1u);
}

using KeyRingHostile = KeyRingTest;

TEST_F(KeyRingHostile, AnUnreadableSignerStopsUsAndSaysWhatToDo) {
    const std::string kid = open()->signer().kid();
    const std::string good = scratch.read(pem(kid));
    const std::string after = "; restore it, or remove it to have another key take over: ";
    const auto refused = [&] { return open().error().what; };

    scratch.write(pem(kid), good.substr(0, 80));
    EXPECT_EQ(refused(),
              "keys" + after + kid + ".pem: no private key in PEM (PKCS#8, not encrypted), or a truncated one");
    scratch.write(pem(kid), "");
    EXPECT_EQ(refused(),
              "keys" + after + kid + ".pem: no private key in PEM (PKCS#8, not encrypted), or a truncated one");
    scratch.write(pem(kid), std::string(SigningKey::generate(Algorithm::Es256)->to_pem()->view()));
    EXPECT_TRUE(refused().starts_with("keys" + after + kid + ".pem holds another key, "));
    scratch.write(pem(kid), good, 0644);
    EXPECT_TRUE(refused().starts_with("keys" + after + kid + ".pem has mode 0644: "));
    ASSERT_EQ(::rename(scratch.at(pem(kid)).c_str(), scratch.at("elsewhere").c_str()), 0);
    ASSERT_EQ(::symlink("../elsewhere", scratch.at(pem(kid)).c_str()), 0);
    EXPECT_EQ(refused(), "keys" + after + kid + ".pem is a symbolic link; put the file itself there");
    ASSERT_EQ(::unlink(scratch.at(pem(kid)).c_str()), 0);
    ASSERT_EQ(::mkdir(scratch.at(pem(kid)).c_str(), 0700), 0);
    EXPECT_EQ(refused(), "keys" + after + kid + ".pem is no regular file");
}

TEST_F(KeyRingHostile, ALostSignerIsReplacedAndItsTokensStayGood) {
    std::string old;
    {
        KeyRing ring = open().value();
        old = ring.signer().kid();
        ASSERT_TRUE(ring.reserve_until(place(), kNow + 1h));
    }
    ASSERT_EQ(::unlink(scratch.at(pem(old)).c_str()), 0);
    EXPECT_NE(open()->signer().kid(), old);
    EXPECT_TRUE(is_published(old));
}

TEST_F(KeyRingHostile, StrangeFilesBesideTheKeysDoNoHarm) {
    const std::string kid = open()->signer().kid();
    scratch.write("keys/notes.txt", "x");
    scratch.write("keys/junk.pem", "junk");
    ASSERT_EQ(::mkdir(scratch.at("keys/folder.pem").c_str(), 0700), 0);
    EXPECT_EQ(open()->signer().kid(), kid);
    EXPECT_TRUE(scratch.has("keys/junk.pem")) << "nothing is deleted because it could not be read";
}

TEST_F(KeyRingHostile, WithoutADiscoveryDirectoryNoKeyCounts) {
    scratch.write("discovery", "a file where a directory belongs");
    EXPECT_EQ(open().error().what, "discovery is no directory");
    EXPECT_TRUE(store.load_keys()->empty());
}

}  // namespace
}  // namespace tokenlet::authority
