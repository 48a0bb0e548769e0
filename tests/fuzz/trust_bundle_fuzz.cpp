// SPDX-License-Identifier: Apache-2.0
// Trust bundles: what is published holds the certificates of the bundle, each once, and OpenSSL reads them so.
// The input is one bundle, or two with a line "=" between them.
#include <openssl/bio.h>
#include <openssl/pem.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "projector/trust_bundle.h"
#include "tests/fuzz/fuzz_target.h"

namespace tokenlet::fuzz {
namespace {

using projector::BundleSelection;

kube::ClusterTrustBundle bundle_of(std::string_view pem) {
    return {.meta = {.ns = "", .name = "ca", .uid = "", .labels = {}, .annotations = {}},
            .origin = {},
            .signer_name = "",
            .trust_bundle = std::string(pem)};
}

Result<std::string> anchors_of(const std::vector<kube::ClusterTrustBundle>& bundles) {
    std::vector<const kube::ClusterTrustBundle*> pointers;
    for (const kube::ClusterTrustBundle& bundle : bundles)
        pointers.push_back(&bundle);
    return projector::trust_anchors(pointers, {.by = BundleSelection::By::Name, .name = "ca", .requirements = {}});
}

// The contents of the blocks, as OpenSSL finds them.
std::vector<std::string> blocks_in(const std::string& pem) {
    std::vector<std::string> blocks;
    BIO* bio = ::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    char* name = nullptr;
    char* header = nullptr;
    unsigned char* data = nullptr;
    long size = 0;
    while (::PEM_read_bio(bio, &name, &header, &data, &size) == 1) {
        must(std::string_view(name) == "CERTIFICATE" && *header == '\0', "only certificates are published, bare");
        blocks.emplace_back(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
        ::OPENSSL_free(name);
        ::OPENSSL_free(header);
        ::OPENSSL_free(data);
    }
    ::BIO_free(bio);
    return blocks;
}

}  // namespace

void run_input(std::string_view input) {
    const std::size_t cut = input.find("\n=\n");
    const kube::ClusterTrustBundle first = bundle_of(input.substr(0, cut));
    const auto anchors = anchors_of({first});
    if (!anchors) {
        must(anchors.error().code == Errc::Invalid, "a bundle that is no bundle is invalid");
        return;
    }
    const std::vector<std::string> blocks = blocks_in(*anchors);
    must(!blocks.empty(), "a bundle holds a certificate");
    must(std::ranges::is_sorted(blocks) && std::ranges::adjacent_find(blocks) == blocks.end(),
         "each certificate is there once, in an order of its own");
    must(anchors_of({bundle_of(*anchors)}) == *anchors, "what is published is a bundle that gives the same");
    must(anchors_of({first, first}) == *anchors, "the same bundle twice adds nothing");

    if (cut == std::string_view::npos)
        return;
    const kube::ClusterTrustBundle second = bundle_of(input.substr(cut + 3));
    const auto more = anchors_of({second});
    const auto both = anchors_of({first, second});
    must(both.has_value() == more.has_value(), "one broken bundle is an error of all");
    if (!both)
        return;
    std::set<std::string> expected(blocks.begin(), blocks.end());
    for (std::string& block : blocks_in(*more))
        expected.insert(std::move(block));
    must(blocks_in(*both) == std::vector<std::string>(expected.begin(), expected.end()), "two bundles are their union");
    must(anchors_of({second, first}) == *both, "the order of bundles does not matter");
}

}  // namespace tokenlet::fuzz
