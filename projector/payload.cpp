// SPDX-License-Identifier: Apache-2.0
#include "projector/payload.h"

#include <algorithm>
#include <cassert>
#include <map>
#include <optional>
#include <utility>

#include "projector/clean_path.h"

namespace tokenlet::projector {
namespace {

using Files = std::map<std::string, fsatomic::File>;

std::string quoted(std::string_view prefix, std::string_view name) {
    return std::string(prefix) + '"' + std::string(name) + '"';
}

// With items, data is looked at first; without, binaryData comes last. Valid objects have each key in one of the two.
// Source: pkg/volume/configmap/configmap.go, MakePayload.
std::optional<std::string_view> value_of(const kube::ConfigMap& object, const std::string& key) {
    for (const kube::StringMap* map : {&object.data, &object.binary_data})
        if (const auto found = map->find(key); found != map->end())
            return found->second;
    return {};
}

std::map<std::string, std::string_view> values_of(const kube::ConfigMap& object) {
    std::map<std::string, std::string_view> values;
    for (const kube::StringMap* map : {&object.data, &object.binary_data})
        for (const auto& [key, value] : *map)
            values[key] = value;
    return values;
}

std::optional<std::string_view> value_of(const kube::Secret& object, const std::string& key) {
    const auto found = object.data.find(key);
    return found == object.data.end() ? std::nullopt : std::optional(found->second.view());
}

std::map<std::string, std::string_view> values_of(const kube::Secret& object) {
    std::map<std::string, std::string_view> values;
    for (const auto& [key, value] : object.data)
        values[key] = value.view();
    return values;
}

// The first error's code, unless a later one asks the caller to come back by itself.
bool asks_for_retry(Errc code) {
    return code == Errc::Unavailable || code == Errc::Io || code == Errc::Conflict;
}

// The sources of one volume, one call each and in order; a source either gives all its files or an error.
class SourceReader {
public:
    SourceReader(const Plan& plan, const VolumePlan& volume, std::span<const TokenBytes> tokens, const Objects& objects)
        : plan_(plan), volume_(volume), tokens_(tokens), objects_(objects) {}

    Result<Files> operator()(std::monostate) { return Files(); }

    Result<Files> operator()(const TokenSource& source) {
        assert(!tokens_.empty() && "one token for each token source");
        const TokenBytes& token = tokens_.front();
        tokens_ = tokens_.subspan(1);
        if (!token)
            return std::unexpected(Error(token.error()).with("serviceAccountToken"));
        return one_file(source.path, *token, token_like());
    }

    Result<Files> operator()(const ObjectSource& source) {
        const kube::ObjectKey key{plan_.ns, source.name};
        return source.kind == ObjectKind::Secret
                   ? object_files(objects_.secret(key), source, quoted("secret ", source.name))
                   : object_files(objects_.config_map(key), source, quoted("configMap ", source.name));
    }

    Result<Files> operator()(const BundleSource& source) {
        Result<std::string> pem = anchors(*source.selection);
        if (!pem && !(source.optional && pem.error().code == Errc::NotFound))
            return std::unexpected(
                std::move(pem.error())
                    .with(quoted(source.selection->by == BundleSelection::By::Name ? "clusterTrustBundle "
                                                                                   : "clusterTrustBundle of signer ",
                                 source.selection->name)));
        return one_file(source.path, pem.value_or(""), token_like());
    }

    Result<Files> operator()(const DownwardSource& source) {
        Files files;
        for (const RenderedFile& file : source.files)
            add(files, file.path, file.bytes, object_access(plan_.readership, plan_.ownership, file.mode));
        return files;
    }

    Result<Files> operator()(const BrokenSource& source) { return fail(Errc::Invalid, source.why); }

private:
    static void add(Files& files, std::string path, std::string_view bytes, fsatomic::Access access) {
        files.insert_or_assign(std::move(path), fsatomic::File{Secret(bytes), std::move(access)});
    }

    static Files one_file(const std::string& path, std::string_view bytes, fsatomic::Access access) {
        Files files;
        add(files, path, bytes, std::move(access));
        return files;
    }

    fsatomic::Access token_like() const {
        return token_access(plan_.readership, plan_.ownership, volume_.default_mode);
    }

    Result<std::string> anchors(const BundleSelection& selection) const {
        const std::vector<const kube::ClusterTrustBundle*> bundles = TRY(objects_.trust_bundles());
        return trust_anchors(bundles, selection);
    }

    template <class Object>
    Result<Files> object_files(const Result<const Object*>& object, const ObjectSource& source,
                               const std::string& place) const {
        if (!object) {
            if (object.error().code != Errc::NotFound)
                return std::unexpected(Error(object.error()).with(place));
            if (source.optional)
                return Files();
            return fail(Errc::NotFound, place + ": not found");
        }
        Files files;
        for (const KeyFile& file : source.files) {
            if (const std::optional<std::string_view> value = value_of(**object, file.key))
                add(files, file.path, *value, object_access(plan_.readership, plan_.ownership, file.mode));
            else if (!source.optional)
                return fail(Errc::NotFound, place + quoted(": key ", file.key) + " not found");
        }
        if (!source.files.empty())
            return files;
        for (const auto& [key, value] : values_of(**object)) {
            std::string path = TRY(clean_path(key), place);
            add(files, std::move(path), value, object_access(plan_.readership, plan_.ownership, volume_.default_mode));
        }
        return files;
    }

    const Plan& plan_;
    const VolumePlan& volume_;
    std::span<const TokenBytes> tokens_;  // those not read yet
    const Objects& objects_;
};

// What failed so far, as one error.
class Failures {
public:
    void add(Error error) {
        if (!found_) {
            found_ = std::move(error);
            return;
        }
        if (!asks_for_retry(found_->code) && asks_for_retry(error.code))
            found_->code = error.code;
        found_->what.append("; ").append(error.what);
    }

    [[nodiscard]] bool any() const { return found_.has_value(); }
    [[nodiscard]] std::unexpected<Error> take() { return std::unexpected(*std::move(found_)); }

private:
    std::optional<Error> found_;
};

// A path that one file has as its own name and another as a directory: no file system can hold both.
void find_clashes(const Files& files, Failures& failures) {
    for (const auto& [path, file] : files)
        for (std::size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1))
            if (const std::string directory = path.substr(0, slash); files.contains(directory))
                failures.add(
                    {Errc::Invalid, quoted("path ", path) + quoted(" lies below ", directory) + ", which is a file"});
}

}  // namespace

Result<fsatomic::Payload> build(const Plan& plan, const VolumePlan& volume, std::span<const TokenBytes> tokens,
                                const Objects& objects) {
    fsatomic::Payload payload;
    payload.directories = directory_access(plan.readership, plan.ownership);
    Failures failures;
    SourceReader reader(plan, volume, tokens, objects);
    for (std::size_t i = 0; i < volume.sources.size(); ++i) {
        Result<Files> files = std::visit(reader, volume.sources[i]);
        if (!files) {
            // A plain secret, configMap or downwardAPI volume is its only source: there is no list to point into.
            if (volume.kind == kube::VolumeKind::Projected)
                files.error().what.insert(0, "sources[" + std::to_string(i) + "].");
            failures.add(std::move(files.error()));
            continue;
        }
        for (auto& [path, file] : *files)
            payload.files.insert_or_assign(path, std::move(file));
    }
    find_clashes(payload.files, failures);
    if (failures.any())
        return failures.take();
    return payload;
}

}  // namespace tokenlet::projector
