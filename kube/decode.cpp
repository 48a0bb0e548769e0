// SPDX-License-Identifier: Apache-2.0
#include "kube/decode.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>
#include <variant>

#include "base/did_you_mean.h"
#include "kube/decode_parts.h"
#include "kube/document.h"
#include "kube/fields.h"
#include "kube/names.h"

namespace tokenlet::kube {
namespace {

struct KindReader {
    std::string_view kind;
    std::string_view api_versions[2];
    Object (*read)(Fields&);
};

template <auto Read>
Object as_object(Fields& fields) {
    return Read(fields);
}

constexpr KindReader kReaders[] = {
    {"Pod", {"v1"}, as_object<read_pod>},
    {"ServiceAccount", {"v1"}, as_object<read_service_account>},
    {"ConfigMap", {"v1"}, as_object<read_config_map>},
    {"Secret", {"v1"}, as_object<read_secret>},
    {"ClusterTrustBundle",
     {"certificates.k8s.io/v1beta1", "certificates.k8s.io/v1alpha1"},
     as_object<read_cluster_trust_bundle>},
};

constexpr std::string_view kReadKinds[] = {
    "Pod", "PodList", "ServiceAccount", "ConfigMap", "Secret", "ClusterTrustBundle", "List"};

constexpr std::string_view kWorkloads[] = {"Deployment", "StatefulSet",          "DaemonSet", "ReplicaSet", "Job",
                                           "CronJob",    "ReplicationController"};

bool contains(std::span<const std::string_view> words, std::string_view word) {
    return std::ranges::find(words, word) != words.end();
}

const KindReader* reader_of(std::string_view kind) {
    const auto found = std::ranges::find(kReaders, kind, &KindReader::kind);
    return found == std::end(kReaders) ? nullptr : &*found;
}

// "" for List, Pod for PodList; unset for what is no list.
std::optional<std::string_view> element_kind(std::string_view kind) {
    if (kind == "List")
        return "";
    if (!kind.ends_with("List"))
        return std::nullopt;
    const KindReader* reader = reader_of(kind.substr(0, kind.size() - 4));
    return reader == nullptr ? std::nullopt : std::optional(reader->kind);
}

std::string text_of(const Node* node) {
    return node != nullptr && node->kind == Node::Kind::String ? node->text : "";
}

// Ready to be pasted: YAML by mikefarah's yq, JSON by the other one; tokenlet reads both.
std::string pod_of_template(std::string_view kind, const std::optional<Identity>& identity) {
    ObjectKey key = identity ? identity->key : ObjectKey{kDefaultNamespace, "NAME"};
    // It will be pasted into a shell.
    if (!check_dns1123_subdomain(key.name).empty())
        key.name = "NAME";
    if (!check_dns1123_label(key.ns).empty())
        key.ns = kDefaultNamespace;
    return "yq '.spec" + std::string(kind == "CronJob" ? ".jobTemplate.spec" : "") +
           R"(.template * {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": ")" + key.name +
           R"(", "namespace": ")" + key.ns + "\"}}' FILE";
}

std::string what_is_read(std::string_view kind, const std::optional<Identity>& identity) {
    if (contains(kWorkloads, kind))
        return std::string(kind) +
               " is not read, for tokenlet starts nothing and counts no replicas. Drop its template " +
               "here as a Pod instead, as this prints it: " + pod_of_template(kind, identity);
    if (element_kind(kind))
        return std::string(kind) + ": a list within a list is not read";
    const std::string hint = did_you_mean(kind, kReadKinds);
    return "\"" + std::string(kind.substr(0, 64)) + "\" is not read here" + (hint.empty() ? ", take it out" : "") +
           "; Pod, PodList, ServiceAccount, ConfigMap, Secret, ClusterTrustBundle and List are" + hint;
}

// What an object says of itself, as far as it can be made out.
std::optional<Identity> identity_in(const Node& object, std::string_view kind) {
    const Node* meta = object.find("metadata");
    const std::string name = meta == nullptr ? "" : text_of(meta->find("name"));
    if (name.empty() || kind.empty())
        return std::nullopt;
    const std::string ns = text_of(meta->find("namespace"));
    const bool is_cluster_scoped = kind == "ClusterTrustBundle";
    return Identity{std::string(kind), {is_cluster_scoped ? "" : ns.empty() ? kDefaultNamespace : ns, name}};
}

struct Read {
    std::optional<Identity> identity;
    Result<Object> object;
};

Result<Object> read_object(const Node& node, const std::string& kind, const std::optional<Identity>& identity) {
    if (node.kind == Node::Kind::Sequence)
        return fail(Errc::Invalid,
                    "line " + std::to_string(node.line) +
                        ": expected a mapping, found a list; objects in one go below the items of a List");
    if (node.kind != Node::Kind::Mapping)
        return fail(Errc::Invalid, "line " + std::to_string(node.line) + ": expected a mapping, found " +
                                       std::string(to_string(node.kind)) + "; this is no manifest");
    Problems problems;
    const KindReader* reader = reader_of(kind);
    std::optional<Object> object;
    {
        // Until the kind is known to be another one, it may be a Secret.
        Fields fields(node, problems, reader == nullptr || kind == "Secret" ? Values::Hidden : Values::Quoted);
        const auto version = fields.string("apiVersion");
        const auto declared = fields.string("kind");
        if (reader != nullptr) {
            if (!version && declared)
                fields.fail("apiVersion", "required: " + std::string(reader->api_versions[0]));
            else if (version && !contains(reader->api_versions, *version))
                fields.fail("apiVersion", "\"" + version->substr(0, 64) + "\" is not the version of " + kind +
                                              " that is read: " + std::string(reader->api_versions[0]));
            object = reader->read(fields);
        } else {
            fields.ignore_others();
            if (declared)
                fields.fail("kind", what_is_read(kind, identity));
            else if (fields.exists() && problems.empty())
                fields.fail("kind", "required; this is no Kubernetes object");
        }
    }
    if (!problems.empty())
        return std::unexpected(std::move(problems.result().error()));
    return *std::move(object);
}

Read read_one(Node& node, std::string_view default_kind) {
    std::string kind = text_of(node.find("kind"));
    if (kind.empty())
        kind = default_kind;
    std::optional<Identity> identity = identity_in(node, kind);
    Result<Object> object = read_object(node, kind, identity);
    Read read{std::move(identity), std::move(object)};
    if (kind == "Secret")
        wipe(node);
    return read;
}

void set_origin(Object& object, const Origin& origin) {
    std::visit([&](auto& of_kind) { of_kind.origin = origin; }, object);
}

}  // namespace

std::vector<Decoded> decode_manifests(std::string_view bytes, const std::string& file) {
    std::vector<Decoded> decoded;
    Documents documents(bytes);
    while (std::optional<Document> next = documents.next()) {
        Document& document = *next;
        const std::string context = documents.size() > 1 ? "document " + std::to_string(document.number) : "";
        const auto add = [&](int line, Read read, const std::string& item) {
            const Origin origin{file, document.number, line};
            if (read.object) {
                set_origin(*read.object, origin);
            } else {
                Error& error = read.object.error();
                if (!item.empty())
                    error = std::move(error).with(item);
                if (!context.empty())
                    error = std::move(error).with(context);
            }
            decoded.push_back({origin, std::move(read.identity), std::move(read.object)});
        };

        if (!document.root) {
            add(document.line, {std::nullopt, std::unexpected(std::move(document.root.error()))}, "");
            continue;
        }
        const std::string kind = text_of(document.root->find("kind"));
        const auto element = element_kind(kind);
        if (!element) {
            add(document.line, read_one(*document.root, ""), "");
            continue;
        }
        for (Node& child : document.root->children) {
            if (child.key != "items" || child.kind == Node::Kind::Null)
                continue;
            if (child.kind != Node::Kind::Sequence) {
                auto error =
                    fail(Errc::Invalid, "line " + std::to_string(child.line) + ": items: expected a list, found " +
                                            std::string(to_string(child.kind)));
                add(child.line, {std::nullopt, std::move(error)}, "");
                continue;
            }
            for (std::size_t i = 0; i < child.children.size(); ++i) {
                Node& item = child.children[i];
                add(item.line, read_one(item, *element), "items[" + std::to_string(i) + "]");
            }
        }
    }
    return decoded;
}

Identity identity_of(const Object& object) {
    constexpr std::string_view kNames[] = {"Pod", "ServiceAccount", "ConfigMap", "Secret", "ClusterTrustBundle"};
    static_assert(std::size(kNames) == std::variant_size_v<Object>);
    return {std::string(kNames[object.index()]), meta_of(object).key()};
}

const ObjectMeta& meta_of(const Object& object) {
    return std::visit([](const auto& of_kind) -> const ObjectMeta& { return of_kind.meta; }, object);
}

const Origin& origin_of(const Object& object) {
    return std::visit([](const auto& of_kind) -> const Origin& { return of_kind.origin; }, object);
}

}  // namespace tokenlet::kube
