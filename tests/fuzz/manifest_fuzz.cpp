// SPDX-License-Identifier: Apache-2.0
// A manifest, all the way to the files: decode, admit, compile, build. What comes out must be fit to publish.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/utf8.h"
#include "fsatomic/path.h"
#include "kube/decode.h"
#include "kube/manifest_policy.h"
#include "kube/names.h"
#include "projector/admission.h"
#include "projector/annotations.h"
#include "projector/payload.h"
#include "projector/plan.h"
#include "tests/fuzz/fuzz_target.h"

namespace tokenlet::fuzz {
namespace {

constexpr std::string_view kGood = "\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: last}\n";

// Everything that is asked for exists, as far as the manifest itself brings it.
class Brought : public projector::Objects {
public:
    explicit Brought(const std::vector<kube::Decoded>& decoded) : decoded_(decoded) {}

    Result<const kube::ConfigMap*> config_map(const kube::ObjectKey& key) const override {
        return find<kube::ConfigMap>(key);
    }
    Result<const kube::Secret*> secret(const kube::ObjectKey& key) const override { return find<kube::Secret>(key); }
    Result<std::vector<const kube::ClusterTrustBundle*>> trust_bundles() const override {
        std::vector<const kube::ClusterTrustBundle*> bundles;
        for (const kube::Decoded& each : decoded_)
            if (const auto* bundle = each.object ? std::get_if<kube::ClusterTrustBundle>(&*each.object) : nullptr)
                bundles.push_back(bundle);
        return bundles;
    }

private:
    template <class Kind>
    Result<const Kind*> find(const kube::ObjectKey& key) const {
        for (const kube::Decoded& each : decoded_) {
            const auto* object = each.object ? std::get_if<Kind>(&*each.object) : nullptr;
            if (object != nullptr && object->meta.key() == key)
                return object;
        }
        return fail(Errc::NotFound, "not found");
    }

    const std::vector<kube::Decoded>& decoded_;
};

bool is_text(std::string_view bytes) {
    return is_utf8(bytes) && std::ranges::none_of(bytes, [](char c) {
               const auto byte = static_cast<unsigned char>(c);
               return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7f;
           });
}

void look_at(const kube::ObjectMeta& meta, bool is_bundle) {
    must(is_bundle || kube::check_dns1123_subdomain(meta.name).empty(), "a name is a name");
    must(is_bundle ? meta.ns.empty() : kube::check_dns1123_label(meta.ns).empty(), "a namespace is a namespace");
    must(meta.uid.empty() || kube::check_uid(meta.uid).empty(), "a uid may become a directory");
    must(!meta.name.contains('/') && !meta.name.contains('\0'), "a name may become a directory");
}

void look_at(const fsatomic::Payload& payload) {
    for (const auto& [path, file] : payload.files) {
        const auto clean = fsatomic::clean_path(path);
        must(clean && *clean == path, "a payload's paths are clean");
        must((file.access.mode & ~mode_t{0777}) == 0, "a file's mode has permission bits only");
        must(std::ranges::is_sorted(file.access.readers), "readers are sorted");
        must(std::ranges::adjacent_find(file.access.readers) == file.access.readers.end(), "a reader is named once");
        for (std::size_t at = path.find('/'); at != std::string::npos; at = path.find('/', at + 1))
            must(!payload.files.contains(path.substr(0, at)), "no file is the directory of another");
    }
}

void look_at(const kube::Pod& pod, const projector::Plan& plan, const Brought& objects) {
    must(plan.uid == pod.meta.uid && plan.ns == pod.meta.ns && plan.name == pod.meta.name, "a plan is its Pod's");
    for (const projector::VolumePlan& volume : plan.volumes) {
        must(kube::check_dns1123_label(volume.name).empty(), "a volume's name may become a directory");
        must(volume.kind != kube::VolumeKind::Other, "only what projects files is planned");
        const auto tokens = projector::token_sources(volume);
        for (const projector::TokenSource* source : tokens) {
            const kube::TokenRequest request = projector::token_request(plan, *source);
            must(request.expiration_seconds >= kube::kMinExpirationSeconds &&
                     request.expiration_seconds <= kube::kMaxExpirationSeconds,
                 "no token lives for less than ten minutes");
            must(request.bound_object_ref && request.bound_object_ref->uid == plan.uid, "tokens are bound to the Pod");
            must(!has_control(request.key()) || has_control(source->audience), "keys can be logged");
        }
        const std::vector<projector::TokenBytes> bytes(tokens.size(), projector::TokenBytes("header.claims.signature"));
        if (const auto payload = projector::build(plan, volume, bytes, objects))
            look_at(*payload);
    }
}

// A directory that a Pod names leads nowhere else, fits into the name of a record, and is used only where it is allowed.
void look_at_places(const kube::Pod& pod, const projector::Plan& plan) {
    const std::vector<std::string> allowed{"/shared"};
    const projector::Host host{.ownership = plan.ownership, .allocatable = {}, .direct = &allowed};
    const auto confined = projector::compile(pod, host);
    for (const projector::VolumePlan& volume : plan.volumes) {
        const std::string place(volume.place());
        if (place.empty())
            continue;
        must(place.size() > 1 && place.size() <= projector::kMaxDirectPath && place.find(':') == std::string::npos &&
                 std::filesystem::path(place).lexically_normal() == place && place.find("/..") == std::string::npos,
             "a volume's own directory is absolute and clean");
        must(!confined || place == "/shared" || place.starts_with("/shared/"), "and one that is allowed");
    }
}

void look_at(const kube::Pod& pod, const Brought& objects) {
    kube::ServiceAccount account;
    account.meta.ns = pod.meta.ns;
    account.meta.name = projector::account_of(pod).name;
    auto admitted = projector::admit(pod, &account);
    if (!admitted)
        return;
    if (admitted->meta.uid.empty())
        admitted->meta.uid = "0b7c6bbd-5b1a-4d53-a1e3-5f3d2b0e7c11";
    (void)kube::check(*admitted, kube::Policy{.namespaces = {"shop"},
                                              .service_accounts = {"shop/*"},
                                              .audiences = {"vault", ""},
                                              .run_as_users = {{1000, 1999}},
                                              .max_expiration = std::chrono::hours(1)});
    for (const auto ownership : {projector::Ownership::Chown, projector::Ownership::Acl}) {
        const projector::Host host{.ownership = ownership, .allocatable = {}};
        const auto plan = projector::compile(*admitted, host);
        if (!plan)
            continue;
        must(projector::compile(*admitted, host) == *plan, "a Pod compiles to the same plan each time");
        look_at_places(*admitted, *plan);
        look_at(*admitted, *plan, objects);
    }
}

}  // namespace

void run_input(std::string_view input) {
    const auto decoded = kube::decode_manifests(input, "web.yaml");
    const Brought objects(decoded);
    for (const kube::Decoded& each : decoded) {
        must(each.origin.document >= 1 && each.origin.line >= 1, "everything has its place");
        if (!each.object)
            continue;
        must(each.identity == kube::identity_of(*each.object), "an object is the one that it says it is");
        look_at(kube::meta_of(*each.object), std::holds_alternative<kube::ClusterTrustBundle>(*each.object));
        if (const auto* pod = std::get_if<kube::Pod>(&*each.object))
            look_at(*pod, objects);
    }

    // Whatever comes before, the next document is read; only bytes that are no text at all spoil the file.
    const auto followed = kube::decode_manifests(std::string(input).append(kGood), "web.yaml");
    must(followed.size() == decoded.size() + (is_text(input) ? 1 : 0), "a document changes nothing for the others");
    must(!is_text(input) || followed.back().object, "a broken document never hurts another one");
}

}  // namespace tokenlet::fuzz
