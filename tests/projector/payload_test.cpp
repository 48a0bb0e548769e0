// SPDX-License-Identifier: Apache-2.0
#include "projector/payload.h"

#include <gtest/gtest.h>

namespace tokenlet::projector {
namespace {

// Objects in maps; `trouble` answers every question instead of them.
class FakeObjects : public Objects {
public:
    std::map<std::string, kube::ConfigMap> config_maps;  // by namespace/name
    std::map<std::string, kube::Secret> secrets;
    std::vector<kube::ClusterTrustBundle> bundles;
    std::optional<Error> trouble;

    Result<const kube::ConfigMap*> config_map(const kube::ObjectKey& key) const override {
        return find(config_maps, key);
    }
    Result<const kube::Secret*> secret(const kube::ObjectKey& key) const override { return find(secrets, key); }
    Result<std::vector<const kube::ClusterTrustBundle*>> trust_bundles() const override {
        if (trouble)
            return std::unexpected(*trouble);
        std::vector<const kube::ClusterTrustBundle*> all;
        for (const kube::ClusterTrustBundle& bundle : bundles)
            all.push_back(&bundle);
        return all;
    }

    void add_secret(const std::string& key, std::map<std::string, std::string> data) {
        for (const auto& [name, value] : data)
            secrets[key].data.emplace(name, Secret(value));
    }

private:
    template <class Object>
    Result<const Object*> find(const std::map<std::string, Object>& objects, const kube::ObjectKey& key) const {
        if (trouble)
            return std::unexpected(*trouble);
        const auto found = objects.find(key.str());
        if (found == objects.end())
            return fail(Errc::NotFound, "whatever the source calls it");
        return &found->second;
    }
};

TokenSource token(std::string path) {
    return {std::move(path), "", 3600};
}
ObjectSource config(std::string name, std::vector<KeyFile> files = {}) {
    return {ObjectKind::ConfigMap, false, std::move(name), std::move(files)};
}
ObjectSource secret(std::string name, std::vector<KeyFile> files = {}) {
    return {ObjectKind::Secret, false, std::move(name), std::move(files)};
}
ObjectSource optional(ObjectSource source) {
    source.optional = true;
    return source;
}
BundleSource bundle(std::string name, std::string path) {
    return {std::move(path), BundleSelection{BundleSelection::By::Name, std::move(name), {}}, false};
}

VolumePlan volume_of(std::vector<Source> sources) {
    return {.name = "v", .kind = kube::VolumeKind::Projected, .default_mode = 0644, .sources = std::move(sources)};
}

Plan plan_of(std::vector<Source> sources) {
    Plan plan;
    plan.ns = "shop";
    plan.name = "web";
    plan.volumes.push_back(volume_of(std::move(sources)));
    return plan;
}

class Build : public testing::Test {
protected:
    Build() {
        objects.config_maps["shop/cfg"].data = {{"a", "1"}, {"b", "2"}};
        objects.config_maps["other/elsewhere"].data = {{"a", "1"}};
        objects.add_secret("shop/tls", {{"tls.crt", "C"}, {"tls.key", std::string("K\0K", 3)}});
        objects.bundles.resize(1);
        objects.bundles[0].meta.name = "ca";
        objects.bundles[0].trust_bundle = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n";
    }

    // path -> bytes; on failure one entry "error".
    std::map<std::string, std::string> files(std::vector<Source> sources, std::vector<TokenBytes> tokens = {}) {
        const Plan plan = plan_of(std::move(sources));
        Result<fsatomic::Payload> payload = build(plan, plan.volumes[0], tokens, objects);
        if (!payload)
            return {{"error", payload.error().what}};
        std::map<std::string, std::string> text;
        for (const auto& [path, file] : payload->files)
            text[path] = file.bytes.view();
        return text;
    }

    FakeObjects objects;
};

using FileMap = std::map<std::string, std::string>;

TEST_F(Build, GivesTheFilesOfEachKindOfSource) {
    struct Case {
        std::string_view name;
        Source source;
        FileMap want;
    };
    const std::string pem = objects.bundles[0].trust_bundle;
    const Case cases[] = {
        {"an entry without a kind", std::monostate(), {}},
        {"a token, its exact bytes", token("a/token"), {{"a/token", "T1"}}},
        {"a config map, every key", config("cfg"), {{"a", "1"}, {"b", "2"}}},
        {"a config map, one key", config("cfg", {{"b", "dir/b", 0644}}), {{"dir/b", "2"}}},
        {"one key under two paths", config("cfg", {{"a", "x", 0644}, {"a", "y", 0644}}), {{"x", "1"}, {"y", "1"}}},
        {"two keys under one path: the later", config("cfg", {{"a", "x", 0644}, {"b", "x", 0644}}), {{"x", "2"}}},
        {"a secret, every key, binary", secret("tls"), {{"tls.crt", "C"}, {"tls.key", std::string("K\0K", 3)}}},
        {"a secret, one key", secret("tls", {{"tls.crt", "cert", 0644}}), {{"cert", "C"}}},
        {"a trust bundle", bundle("ca", "ca.pem"), {{"ca.pem", pem}}},
        {"the downward API",
         DownwardSource{{{"labels", "", 0644}, {"d/uid", "u", 0644}}},
         {{"labels", ""}, {"d/uid", "u"}}},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const bool wants_token = std::holds_alternative<TokenSource>(c.source);
        EXPECT_EQ(files({c.source}, wants_token ? std::vector<TokenBytes>{"T1"} : std::vector<TokenBytes>{}), c.want);
    }
    EXPECT_EQ(files({}), FileMap()) << "an empty list of sources is an empty volume";
}

TEST_F(Build, TakesTokensInTheOrderOfTheirSources) {
    EXPECT_EQ(files({token("one"), config("cfg", {{"a", "a", 0644}}), token("two")}, {"T1", "T2"}),
              (FileMap{{"one", "T1"}, {"a", "1"}, {"two", "T2"}}));
}

TEST_F(Build, LooksAtBinaryDataAsTheKubeletDoes) {
    objects.config_maps["shop/cfg"].binary_data = {{"b", "binary"}, {"c", "\xff"}};
    EXPECT_EQ(files({config("cfg")}), (FileMap{{"a", "1"}, {"b", "binary"}, {"c", "\xff"}}))
        << "without items binaryData overwrites data";
    EXPECT_EQ(files({config("cfg", {{"b", "b", 0644}, {"c", "c", 0644}})}), (FileMap{{"b", "2"}, {"c", "\xff"}}))
        << "with items data is looked at first";
}

TEST_F(Build, LetsTheLaterSourceWin) {
    struct Case {
        std::string_view name;
        std::vector<Source> sources;
        std::string want;
    };
    const Case cases[] = {
        {"a config map over a token", {token("x"), config("cfg", {{"a", "x", 0644}})}, "1"},
        {"a token over a config map", {config("cfg", {{"a", "x", 0644}}), token("x")}, "T"},
        {"a secret over a config map",
         {token("t"), config("cfg", {{"a", "x", 0644}}), secret("tls", {{"tls.crt", "x", 0644}})},
         "C"},
        {"the downward API over all",
         {token("x"), secret("tls", {{"tls.crt", "x", 0644}}), DownwardSource{{{"x", "d", 0644}}}},
         "d"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_EQ(files(c.sources, {"T"})["x"], c.want);
    }
}

TEST_F(Build, ExcusesWhatIsOptionalWhenItIsNotThere) {
    struct Case {
        std::string_view name;
        Source source;
        FileMap want;
    };
    BundleSource no_bundle = bundle("ghost", "ca.pem");
    no_bundle.optional = true;
    BundleSource no_signer{"ca.pem", BundleSelection{BundleSelection::By::Nothing, "example.com/s", {}}, true};
    const Case cases[] = {
        {"no config map", optional(config("ghost")), {}},
        {"no config map, items", optional(config("ghost", {{"a", "a", 0644}})), {}},
        {"no key in a config map", optional(config("cfg", {{"z", "z", 0644}, {"a", "a", 0644}})), {{"a", "1"}}},
        {"no secret", optional(secret("ghost")), {}},
        {"no key in a secret", optional(secret("tls", {{"z", "z", 0644}})), {}},
        {"no trust bundle: an empty file", no_bundle, {{"ca.pem", ""}}},
        {"no trust bundle of a signer: an empty file", no_signer, {{"ca.pem", ""}}},
        {"there after all", optional(config("cfg", {{"a", "a", 0644}})), {{"a", "1"}}},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_EQ(files({c.source}), c.want);
    }
}

TEST_F(Build, SaysWhichSourceFailedAndWhy) {
    struct Case {
        std::string_view name;
        Source source;
        Errc code;
        std::string why;
    };
    objects.config_maps["shop/hostile"].data = {{"..data", "x"}};
    objects.bundles.emplace_back();
    objects.bundles[1].meta.name = "junk";
    const Case cases[] = {
        {"no config map", config("ghost"), Errc::NotFound, "configMap \"ghost\": not found"},
        {"a config map of another namespace", config("elsewhere"), Errc::NotFound,
         "configMap \"elsewhere\": not found"},
        {"no key", config("cfg", {{"z", "z", 0644}}), Errc::NotFound, "configMap \"cfg\": key \"z\" not found"},
        {"no secret", secret("ghost"), Errc::NotFound, "secret \"ghost\": not found"},
        {"no key in a secret", secret("tls", {{"ca.crt", "z", 0644}}), Errc::NotFound,
         "secret \"tls\": key \"ca.crt\" not found"},
        {"a key that is no file name", config("hostile"), Errc::Invalid,
         "configMap \"hostile\": path \"..data\" must not start with '..'"},
        {"no trust bundle", bundle("ghost", "x"), Errc::NotFound, "clusterTrustBundle \"ghost\": not found"},
        {"no trust bundle of a signer",
         BundleSource{"x", BundleSelection{BundleSelection::By::Signer, "a.b/c", {}}, false}, Errc::NotFound,
         "clusterTrustBundle of signer \"a.b/c\": not found"},
        {"a trust bundle without certificates", bundle("junk", "x"), Errc::Invalid,
         "clusterTrustBundle \"junk\": holds no PEM certificate"},
        {"no token", token("x"), Errc::Unavailable, "serviceAccountToken: TokenRequest: 503"},
        {"broken from the start", BrokenSource{"downwardAPI: no"}, Errc::Invalid, "downwardAPI: no"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const Plan plan = plan_of({std::monostate(), c.source});
        const std::vector<TokenBytes> tokens = {fail(Errc::Unavailable, "TokenRequest: 503")};
        const Result<fsatomic::Payload> payload = build(plan, plan.volumes[0], tokens, objects);
        ASSERT_FALSE(payload);
        EXPECT_EQ(payload.error().code, c.code);
        EXPECT_EQ(payload.error().what, "sources[1]." + c.why);
    }
}

TEST_F(Build, ExcusesNoOtherErrorForBeingOptional) {
    objects.trouble = Error{Errc::Denied, "forbidden"};
    BundleSource source = bundle("ca", "x");
    source.optional = true;
    EXPECT_EQ(files({optional(config("cfg")), optional(secret("tls")), source})["error"],
              "sources[0].configMap \"cfg\": forbidden; sources[1].secret \"tls\": forbidden; "
              "sources[2].clusterTrustBundle \"ca\": forbidden");
}

TEST_F(Build, TriesAllSourcesAndGivesNothingWhenOneFails) {
    EXPECT_EQ(files({token("t"), config("ghost"), config("cfg"), secret("tls", {{"z", "z", 0644}})}, {"T"}),
              (FileMap{{"error",
                        "sources[1].configMap \"ghost\": not found; sources[3].secret \"tls\": key \"z\" not found"}}));
}

TEST_F(Build, SaysTheCodeOfTheFirstErrorUnlessOneAsksForARetry) {
    struct Case {
        std::string_view name;
        Errc token;
        Errc want;
    };
    const Case cases[] = {
        {"denied waits for a person", Errc::Denied, Errc::Invalid},
        {"unavailable backs off", Errc::Unavailable, Errc::Unavailable},
        {"a conflict is read again", Errc::Conflict, Errc::Conflict},
        {"input and output back off", Errc::Io, Errc::Io},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const Plan plan = plan_of({BrokenSource{"no"}, token("t"), config("ghost")});
        const std::vector<TokenBytes> tokens = {fail(c.token, "why")};
        EXPECT_EQ(build(plan, plan.volumes[0], tokens, objects).error().code, c.want);
    }
}

TEST_F(Build, NamesNoListOfSourcesWhereTheVolumeHasNone) {
    Plan plan = plan_of({config("ghost")});
    plan.volumes[0].kind = kube::VolumeKind::ConfigMap;
    EXPECT_EQ(build(plan, plan.volumes[0], {}, objects).error().what, "configMap \"ghost\": not found");
}

TEST_F(Build, RefusesAFileThatIsAlsoADirectory) {
    EXPECT_EQ(files({config("cfg", {{"a", "x", 0644}, {"b", "x-y", 0644}}), token("x/y/z")}, {"T"})["error"],
              "path \"x/y/z\" lies below \"x\", which is a file");
}

TEST_F(Build, GivesEachFileTheAccessOfItsKind) {
    Plan plan = plan_of({token("token"), bundle("ca", "ca"), config("cfg", {{"a", "a", 0400}}), secret("tls"),
                         DownwardSource{{{"d", "", 0600}}}});
    plan.readership.fs_user = 1000;
    plan.readership.fs_group = 2000;
    plan.volumes[0].default_mode = 0444;
    for (const Ownership ownership : {Ownership::Chown, Ownership::Acl}) {
        plan.ownership = ownership;
        const std::vector<TokenBytes> tokens = {"T"};
        const Result<fsatomic::Payload> payload = build(plan, plan.volumes[0], tokens, objects);
        ASSERT_TRUE(payload);
        const auto access = [&](const std::string& path) { return payload->files.at(path).access; };
        EXPECT_EQ(access("token"), token_access(plan.readership, ownership, 0444));
        EXPECT_EQ(access("ca"), token_access(plan.readership, ownership, 0444));
        EXPECT_EQ(access("a"), object_access(plan.readership, ownership, 0400));
        EXPECT_EQ(access("tls.key"), object_access(plan.readership, ownership, 0444));
        EXPECT_EQ(access("d"), object_access(plan.readership, ownership, 0600));
        EXPECT_EQ(payload->directories, directory_access(plan.readership, ownership));
    }
}

}  // namespace
}  // namespace tokenlet::projector
