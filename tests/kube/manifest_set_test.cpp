// SPDX-License-Identifier: Apache-2.0
#include "kube/manifest_set.h"

#include <gmock/gmock.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tokenlet::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Identity id(const std::string& name) {
    return {"Pod", {"shop", name}};
}

struct PodSpec {
    std::string name;
    std::string account = {};
    std::string uid = {};
    int line = 1;
};

Decoded pod(PodSpec spec) {
    Pod object;
    object.meta = {.ns = "shop", .name = spec.name, .uid = spec.uid, .labels = {}, .annotations = {}};
    object.origin = {.file = "", .document = 1, .line = spec.line};
    object.service_account_name = spec.account;
    return {object.origin, id(spec.name), Object(std::move(object))};
}

Decoded secret(const std::string& name, const std::string& value) {
    Secret object;
    object.meta.ns = "shop";
    object.meta.name = name;
    object.data.emplace("key", tokenlet::Secret(value));
    return {{}, Identity{"Secret", {"shop", name}}, Object(std::move(object))};
}

Decoded immutable(const std::string& value, bool says_so = true) {
    ConfigMap object;
    object.meta.ns = "shop";
    object.meta.name = "frozen";
    object.data.emplace("key", value);
    object.immutable = says_so;
    return {{}, Identity{"ConfigMap", {"shop", "frozen"}}, Object(std::move(object))};
}

Decoded bad(std::optional<Identity> identity = {}) {
    return {{}, std::move(identity), fail(Errc::Invalid, "line 3: spec: broken")};
}

template <class... Documents>
FileUpdate file(const std::string& name, Documents... documents) {
    std::vector<Decoded> all;
    (all.push_back(std::move(documents)), ...);
    for (Decoded& document : all)
        if (document.object)
            std::visit([&](auto& object) { object.origin.file = name; }, *document.object);
    return {name, std::move(all)};
}

FileUpdate unreadable(const std::string& name) {
    return {name, fail(Errc::Denied, "open: Permission denied")};
}

template <class... Updates>
Listing listing(Updates... updates) {
    Listing result;
    (result.updates.push_back(std::move(updates)), ...);
    return result;
}

Listing without(std::vector<std::string> files) {
    Listing result;
    result.vanished = std::move(files);
    return result;
}

std::vector<std::string> texts(const std::vector<Problem>& problems) {
    std::vector<std::string> all;
    for (const Problem& problem : problems)
        all.push_back(problem.str());
    return all;
}

class ManifestSetTest : public ::testing::Test {
protected:
    Changes apply(Result<Listing> next) { return set_.apply(std::move(next)); }
    [[nodiscard]] std::string account(const std::string& name) const {
        const Pod* const found = set_.pod({"shop", name});
        return found == nullptr ? "none" : found->service_account_name;
    }
    ManifestSet set_;
};

TEST_F(ManifestSetTest, TellsNewFromChangedFromAlike) {
    EXPECT_THAT(apply(listing(file("a", pod({.name = "web", .account = "one"})))).changed, ElementsAre(id("web")));
    EXPECT_THAT(apply(listing(file("a", pod({.name = "web", .account = "one", .line = 7})))).changed, IsEmpty());
    EXPECT_EQ(set_.pod({"shop", "web"})->origin.line, 7) << "messages name the place as it is now";
    EXPECT_THAT(apply(listing(file("a", pod({.name = "web", .account = "two"})))).changed, ElementsAre(id("web")));
}

TEST_F(ManifestSetTest, ComparesSecretsByTheirData) {
    apply(listing(file("s", secret("db", "old"))));
    EXPECT_THAT(apply(listing(file("s", secret("db", "old")))).changed, IsEmpty());
    EXPECT_THAT(apply(listing(file("s", secret("db", "new")))).changed,
                ElementsAre(Identity{"Secret", {"shop", "db"}}));
    EXPECT_EQ(set_.secret({"shop", "db"})->data.at("key").view(), "new");
    EXPECT_EQ(set_.secrets().size(), 1U);
    EXPECT_THAT(set_.pods(), IsEmpty());
}

TEST_F(ManifestSetTest, AnObjectIsAbsentUntilItIsForgottenAndReturnsAsTheSame) {
    apply(listing(file("a", pod({.name = "web", .account = "one"}))));
    Changes changes = apply(without({"a"}));
    EXPECT_THAT(changes.absent, ElementsAre(id("web")));
    EXPECT_THAT(set_.absent(), ElementsAre(id("web")));
    EXPECT_EQ(account("web"), "one");

    changes = apply(listing(file("a", pod({.name = "web", .account = "one"}))));
    EXPECT_THAT(changes.returned, ElementsAre(id("web")));
    EXPECT_THAT(changes.changed, IsEmpty());
    set_.forget(id("web"));
    EXPECT_EQ(account("web"), "one") << "only what is absent can be forgotten";

    apply(listing(file("a")));
    EXPECT_THAT(set_.absent(), ElementsAre(id("web")));
    set_.forget(id("web"));
    EXPECT_EQ(account("web"), "none");
    EXPECT_THAT(apply(listing(file("a", pod({.name = "web"})))).changed, ElementsAre(id("web")));
}

TEST_F(ManifestSetTest, ADocumentThatMovesToAnotherFileHasNeitherLeftNorChanged) {
    apply(listing(file("a", pod({.name = "web"}))));
    Listing moved = listing(file("b", pod({.name = "web"})));
    moved.vanished = {"a"};
    const Changes changes = apply(std::move(moved));
    EXPECT_THAT(changes.changed, IsEmpty());
    EXPECT_THAT(changes.absent, IsEmpty());
    EXPECT_THAT(changes.returned, IsEmpty());
    EXPECT_THAT(set_.problems(), IsEmpty());
    EXPECT_THAT(apply(without({"b"})).absent, ElementsAre(id("web")));
}

TEST_F(ManifestSetTest, WhatTurnsBadStaysAsItWasLast) {
    struct Case {
        const char* name;
        FileUpdate update;
        bool web_stays;
        bool api_stays;
    };
    Case cases[] = {
        {"the file cannot be read", unreadable("a"), true, true},
        {"the text is broken: it may have been anything", file("a", bad()), true, true},
        {"one document is broken, the other is good", file("a", bad(id("web")), pod({.name = "api"})), true, true},
        {"one document is broken, the other is gone", file("a", bad(id("web"))), true, false},
        {"broken is another one", file("a", bad(id("other"))), false, false},
        {"empty", file("a"), false, false},
    };
    for (Case& c : cases) {
        SCOPED_TRACE(c.name);
        set_ = {};
        apply(listing(file("a", pod({.name = "web"}), pod({.name = "api"}))));
        const Changes changes = apply(listing(std::move(c.update)));
        EXPECT_EQ(!set_.is_absent(id("web")), c.web_stays);
        EXPECT_EQ(!set_.is_absent(id("api")), c.api_stays);
        EXPECT_THAT(changes.changed, IsEmpty());
        for (const std::string& problem : texts(set_.problems()))
            EXPECT_EQ(problem.find("; the last good version stays in use") != std::string::npos, c.web_stays);

        const Changes mended = apply(listing(file("a", pod({.name = "web"}), pod({.name = "api"}))));
        EXPECT_THAT(mended.changed, IsEmpty());
        EXPECT_THAT(set_.problems(), IsEmpty());
        EXPECT_EQ(mended.cleared, changes.raised);
    }
}

TEST_F(ManifestSetTest, ALastGoodVersionYieldsToAGoodOneElsewhere) {
    apply(listing(file("b", pod({.name = "web", .account = "old"}))));
    apply(listing(unreadable("b")));
    EXPECT_THAT(apply(listing(file("c", pod({.name = "web", .account = "new"})))).changed, ElementsAre(id("web")));
    EXPECT_EQ(account("web"), "new");
    // The bad file no longer speaks for it, whatever becomes of it.
    EXPECT_THAT(apply(without({"b"})).absent, IsEmpty());
    EXPECT_THAT(apply(without({"c"})).absent, ElementsAre(id("web")));
}

TEST_F(ManifestSetTest, OfTwoWithOneNameTheFirstStaysAndTheSecondTakesOver) {
    apply(listing(file("a", pod({.name = "web", .account = "first", .line = 4})),
                  file("b", pod({.name = "web", .account = "second", .line = 9}))));
    EXPECT_EQ(account("web"), "first");
    EXPECT_THAT(texts(set_.problems()),
                ElementsAre("b: line 9: Pod shop/web already stands in a, line 4; this one is not used"));

    // First is who came first, not who sorts first.
    Changes changes = apply(listing(file("0", pod({.name = "web", .account = "third"}))));
    EXPECT_EQ(account("web"), "first");
    EXPECT_EQ(changes.raised.size(), 1U);

    changes = apply(without({"a"}));
    EXPECT_THAT(changes.absent, IsEmpty());
    EXPECT_THAT(changes.changed, ElementsAre(id("web")));
    EXPECT_EQ(account("web"), "third");
    EXPECT_EQ(set_.problems().size(), 1U);

    apply(without({"0"}));
    EXPECT_EQ(account("web"), "second");
    EXPECT_THAT(set_.problems(), IsEmpty());
}

TEST_F(ManifestSetTest, OfTwoWithOneNameInOneFileTheFirstStays) {
    const auto both = [] {
        return listing(file("a", pod({.name = "web", .account = "first"}), pod({.name = "web", .account = "second"})));
    };
    apply(both());
    EXPECT_EQ(account("web"), "first");
    EXPECT_THAT(apply(both()).changed, IsEmpty());
    EXPECT_EQ(set_.problems().size(), 1U);
    EXPECT_THAT(apply(listing(file("other", pod({.name = "api"})))).changed, ElementsAre(id("api")));
    EXPECT_EQ(account("web"), "first");
}

TEST_F(ManifestSetTest, OfTwoPodsWithOneUidTheSecondWaitsUntilTheFirstIsForgotten) {
    apply(listing(file("a", pod({.name = "web", .uid = "u-1"})), file("b", pod({.name = "api", .uid = "u-1"}))));
    EXPECT_EQ(set_.pod({"shop", "api"}), nullptr);
    EXPECT_THAT(
        texts(set_.problems()),
        ElementsAre("b: line 1: metadata.uid: u-1 is the uid of Pod shop/web in a, line 1; this one is not used"));
    apply(without({"a"}));
    EXPECT_EQ(set_.pod({"shop", "api"}), nullptr) << "the volumes of the first still stand there";
    EXPECT_THAT(texts(set_.problems()), ElementsAre(HasSubstr("which is leaving; shop/api waits until it has left")));
    const Changes changes = set_.forget(id("web"));
    EXPECT_THAT(changes.changed, ElementsAre(id("api")));
    EXPECT_THAT(set_.problems(), IsEmpty());
}

TEST_F(ManifestSetTest, AUidThatIsFreedInTheSameListingIsTakenAtOnce) {
    apply(listing(file("a", pod({.name = "api"})), file("b", pod({.name = "web", .uid = "u-1"}))));
    apply(listing(file("a", pod({.name = "api", .uid = "u-1"})), file("b", pod({.name = "web", .uid = "u-2"}))));
    EXPECT_EQ(set_.pod({"shop", "api"})->meta.uid, "u-1");
    EXPECT_EQ(set_.pod({"shop", "web"})->meta.uid, "u-2");
    EXPECT_THAT(set_.problems(), IsEmpty());
}

TEST_F(ManifestSetTest, AnEditThatTakesAnothersUidIsRefusedAndTheOldVersionStays) {
    apply(listing(file("a", pod({.name = "api", .account = "old"})), file("b", pod({.name = "web", .uid = "u-1"}))));
    const Changes changes = apply(listing(file("a", pod({.name = "api", .account = "new", .uid = "u-1"}))));
    EXPECT_THAT(changes.changed, IsEmpty());
    EXPECT_THAT(changes.absent, IsEmpty());
    EXPECT_EQ(account("api"), "old");
    EXPECT_THAT(texts(set_.problems()), ElementsAre(HasSubstr("not used; the last good version stays in use")));
    apply(listing(file("b", pod({.name = "web", .uid = "u-2"}))));
    EXPECT_EQ(account("api"), "new");
}

TEST_F(ManifestSetTest, WhatIsImmutableStaysAsItIsUntilItIsForgotten) {
    const Identity frozen{"ConfigMap", {"shop", "frozen"}};
    const auto value = [&] { return set_.config_map(frozen.key)->data.at("key"); };
    apply(listing(file("a", immutable("old"))));
    for (const bool says_so : {true, false}) {
        const Changes changes = apply(listing(file("a", immutable(says_so ? "new" : "old", says_so))));
        EXPECT_THAT(changes.changed, IsEmpty());
        EXPECT_EQ(value(), "old");
        EXPECT_THAT(texts(set_.problems()),
                    ElementsAre(HasSubstr("ConfigMap shop/frozen is immutable, and this is another version")));
    }
    EXPECT_THAT(apply(listing(file("a", immutable("old")))).changed, IsEmpty()) << "it says again what it said";
    EXPECT_THAT(texts(set_.problems()), IsEmpty());

    apply(without({"a"}));
    EXPECT_THAT(apply(listing(file("b", immutable("new")))).returned, IsEmpty());
    EXPECT_THAT(texts(set_.problems()), ElementsAre(HasSubstr("leaving; this one waits until it has left")));
    EXPECT_EQ(value(), "old");
    EXPECT_THAT(set_.forget(frozen).changed, ElementsAre(frozen));
    EXPECT_EQ(value(), "new");
    EXPECT_THAT(texts(set_.problems()), IsEmpty());
}

TEST_F(ManifestSetTest, AFailedListingChangesNoObject) {
    apply(listing(file("a", pod({.name = "web"})), file("b", bad())));
    const Changes failed = apply(fail(Errc::Denied, "open(/m): Permission denied"));
    EXPECT_FALSE(failed.complete);
    EXPECT_THAT(texts(failed.raised), ElementsAre("open(/m): Permission denied"));
    EXPECT_THAT(failed.absent, IsEmpty());
    EXPECT_THAT(apply(fail(Errc::Denied, "open(/m): Permission denied")).raised, IsEmpty()) << "told once";
    EXPECT_THAT(texts(apply(listing()).cleared), ElementsAre("open(/m): Permission denied"));
}

TEST_F(ManifestSetTest, AWholeListingOfAnotherSourceReplacesTheOld) {
    apply(listing(file("/old/a", pod({.name = "web"})), file("/old/b", pod({.name = "api"}))));
    Listing next = listing(file("/new/a", pod({.name = "web"})));
    next.whole = true;
    next.complete = false;
    EXPECT_THAT(apply(std::move(next)).absent, IsEmpty());
    next = listing(file("/new/a", pod({.name = "web"})));
    next.whole = true;
    next.directory = {1, 2};
    const Changes changes = apply(std::move(next));
    EXPECT_THAT(changes.absent, ElementsAre(id("api")));
    EXPECT_TRUE(changes.directory_changed);
    EXPECT_THAT(set_.problems(), IsEmpty());
}

TEST_F(ManifestSetTest, FindsEachKindByItsOwnName) {
    ServiceAccount account;
    account.meta.ns = account.meta.name = "x";
    ConfigMap map;
    map.meta.ns = map.meta.name = "x";
    ClusterTrustBundle bundle;
    bundle.meta.name = "x";
    const auto decoded = [](Object object) {
        Identity identity = identity_of(object);
        return Decoded{{}, std::move(identity), std::move(object)};
    };
    apply(listing(file("a", decoded(std::move(account)), decoded(std::move(map)), decoded(std::move(bundle)))));
    EXPECT_NE(set_.service_account({"x", "x"}), nullptr);
    EXPECT_NE(set_.config_map({"x", "x"}), nullptr);
    EXPECT_NE(set_.trust_bundle("x"), nullptr);
    EXPECT_EQ(set_.pod({"x", "x"}), nullptr);
    EXPECT_EQ(set_.service_accounts().size(), 1U);
    EXPECT_EQ(set_.config_maps().size(), 1U);
    EXPECT_EQ(set_.trust_bundles().size(), 1U);
}

}  // namespace
}  // namespace tokenlet::kube
