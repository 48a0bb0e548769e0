// SPDX-License-Identifier: Apache-2.0
#include "projector/trust_bundle.h"

#include <algorithm>
#include <set>

#include "base/base64.h"

namespace tokenlet::projector {
namespace {

using Certificates = std::set<std::string>;  // DER: sorted, each once

constexpr std::string_view kBegin = "-----BEGIN ";
constexpr std::string_view kEnd = "-----END ";
constexpr std::string_view kDashes = "-----";
constexpr std::string_view kCertificate = "CERTIFICATE";
constexpr std::size_t kLine = 64;  // base64 letters in a line. Source: RFC 7468 section 3

constexpr std::string_view kBlank = " \t\r";

// Takes the next line off the text, without its end and blanks.
std::string_view take_line(std::string_view& text) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t first = line.find_first_not_of(kBlank);
    return first == line.npos ? std::string_view() : line.substr(first, line.find_last_not_of(kBlank) - first + 1);
}

// "CERTIFICATE" of "-----BEGIN CERTIFICATE-----"; empty when the line is none of these.
std::string_view label_of(std::string_view line, std::string_view prefix) {
    if (!line.starts_with(prefix) || !line.ends_with(kDashes) || line.size() < prefix.size() + kDashes.size())
        return {};
    return line.substr(prefix.size(), line.size() - prefix.size() - kDashes.size());
}

// The DER of a block, from the line after BEGIN to its END. Headers are the lines with a colon, which base64 has not.
Result<std::string> read_block(std::string_view& text) {
    std::string body;
    while (!text.empty()) {
        const std::string_view line = take_line(text);
        if (line.starts_with(kBegin))
            break;
        if (!line.starts_with(kEnd)) {
            if (!line.contains(':'))
                body += line;
            continue;
        }
        if (label_of(line, kEnd) != kCertificate)
            break;
        std::string der = TRY(decode_base64(body));
        if (der.empty())
            return fail(Errc::Invalid, "is empty");
        return der;
    }
    return fail(Errc::Invalid, "has no END CERTIFICATE line");
}

Result<> collect(const kube::ClusterTrustBundle& bundle, Certificates& found) {
    std::string_view text = bundle.trust_bundle;
    int block = 0;
    while (!text.empty()) {
        const std::string_view label = label_of(take_line(text), kBegin);
        if (label.empty())
            continue;
        const std::string place = "PEM block " + std::to_string(++block);
        if (label != kCertificate)
            return fail(Errc::Invalid, place + " is a " + std::string(label) + ", not a CERTIFICATE");
        found.insert(TRY(read_block(text), place));
    }
    if (block == 0)
        return fail(Errc::Invalid, "holds no PEM certificate");
    return {};
}

bool is_selected(const kube::ClusterTrustBundle& bundle, const BundleSelection& selection) {
    using By = BundleSelection::By;
    switch (selection.by) {
        case By::Name:
            return bundle.meta.name == selection.name;
        case By::Signer:
            return bundle.signer_name == selection.name && matches(selection.requirements, bundle.meta.labels);
        case By::Nothing:
            return false;
    }
    return false;
}

std::string encode_pem(const Certificates& certificates) {
    std::string pem;
    for (const std::string& der : certificates) {
        const std::string letters = encode_base64(der);
        pem.append(kBegin).append(kCertificate).append(kDashes) += '\n';
        for (std::size_t at = 0; at < letters.size(); at += kLine)
            pem.append(letters, at, kLine) += '\n';
        pem.append(kEnd).append(kCertificate).append(kDashes) += '\n';
    }
    return pem;
}

}  // namespace

BundleSelection selection_of(const kube::ClusterTrustBundleProjection& source) {
    using By = BundleSelection::By;
    if (!source.name.empty())
        return {.by = By::Name, .name = source.name, .requirements = {}};
    if (!source.label_selector)
        return {.by = By::Nothing, .name = source.signer_name, .requirements = {}};
    return {.by = By::Signer, .name = source.signer_name, .requirements = requirements_of(*source.label_selector)};
}

Result<std::string> trust_anchors(std::span<const kube::ClusterTrustBundle* const> bundles,
                                  const BundleSelection& selection) {
    Certificates certificates;
    bool any = false;
    for (const kube::ClusterTrustBundle* bundle : bundles) {
        if (!is_selected(*bundle, selection))
            continue;
        any = true;
        Result<> read = collect(*bundle, certificates);
        if (!read && selection.by == BundleSelection::By::Signer)  // by name, the caller has said which
            return std::unexpected(std::move(read.error()).with("bundle \"" + bundle->meta.name + '"'));
        if (!read)
            return std::unexpected(std::move(read.error()));
    }
    if (!any)
        return fail(Errc::NotFound, "not found");
    return encode_pem(certificates);
}

}  // namespace tokenlet::projector
