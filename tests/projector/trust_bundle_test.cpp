// SPDX-License-Identifier: Apache-2.0
#include "projector/trust_bundle.h"

#include <gtest/gtest.h>

#include "base/base64.h"

namespace tokenlet::projector {
namespace {

std::string pem(std::string_view der, std::string_view label = "CERTIFICATE") {
    const std::string letters = encode_base64(der);
    std::string text = "-----BEGIN " + std::string(label) + "-----\n";
    for (std::size_t at = 0; at < letters.size(); at += 64)
        text += letters.substr(at, 64) + "\n";
    return text + "-----END " + std::string(label) + "-----\n";
}

kube::ClusterTrustBundle bundle(std::string name, std::string text, std::string signer = {},
                                kube::StringMap labels = {}) {
    kube::ClusterTrustBundle made;
    made.meta.name = std::move(name);
    made.meta.labels = std::move(labels);
    made.signer_name = std::move(signer);
    made.trust_bundle = std::move(text);
    return made;
}

Result<std::string> anchors(const std::vector<kube::ClusterTrustBundle>& bundles, const BundleSelection& selection) {
    std::vector<const kube::ClusterTrustBundle*> pointers;
    for (const kube::ClusterTrustBundle& each : bundles)
        pointers.push_back(&each);
    return trust_anchors(pointers, selection);
}

BundleSelection by_name(std::string name) {
    return selection_of({.name = std::move(name), .signer_name = {}, .label_selector = {}, .path = {}});
}

BundleSelection by_signer(std::string name, std::optional<kube::LabelSelector> labels) {
    return selection_of({.name = {}, .signer_name = std::move(name), .label_selector = std::move(labels), .path = {}});
}

TEST(TrustAnchors, AreSelectedByNameOrBySignerAndLabels) {
    const std::vector<kube::ClusterTrustBundle> bundles = {
        bundle("plain", pem("A")),
        bundle("signed-live", pem("B"), "example.com/s", {{"state", "live"}}),
        bundle("signed-next", pem("C"), "example.com/s", {{"state", "next"}}),
        bundle("other", pem("D"), "example.com/t", {{"state", "live"}}),
    };
    const kube::LabelSelector everything;
    const kube::LabelSelector live{{{"state", "live"}}, {}};
    struct Case {
        std::string_view name;
        BundleSelection selection;
        std::string want;  // empty: not found
    };
    const Case cases[] = {
        {"by name, whatever the signer", by_name("signed-next"), pem("C")},
        {"by a name that nobody has", by_name("ghost"), ""},
        {"by signer: an empty selector selects all of its bundles", by_signer("example.com/s", everything),
         pem("B") + pem("C")},
        {"by signer and label", by_signer("example.com/s", live), pem("B")},
        {"by signer: no selector selects nothing", by_signer("example.com/s", {}), ""},
        {"a signer's name is not a prefix", by_signer("example.com/", everything), ""},
        {"no bundle without signer is selected by signer", by_signer("example.com/u", everything), ""},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const Result<std::string> text = anchors(bundles, c.selection);
        if (c.want.empty()) {
            ASSERT_FALSE(text);
            EXPECT_EQ(text.error().code, Errc::NotFound);
        } else {
            EXPECT_EQ(text, c.want);
        }
    }
}

TEST(TrustAnchors, DoNotShowHowTheOriginalsWereWritten) {
    const std::string der(100, 'x');
    const std::string letters = encode_base64(der);
    const std::string short_lines = [&] {
        std::string text;
        for (std::size_t at = 0; at < letters.size(); at += 20)
            text += letters.substr(at, 20) + "\r\n";
        return text;
    }();
    struct Case {
        std::string_view name;
        std::string text;
    };
    const Case cases[] = {
        {"as it will be written", pem(der)},
        {"comments around it", "# the old root\n\n" + pem(der) + "\nuntil 2031: -----BEGIN nothing\n"},
        {"headers", "-----BEGIN CERTIFICATE-----\nSubject: CN=x\n\n" + letters + "\n-----END CERTIFICATE-----\n"},
        {"another line length and CRLF",
         "-----BEGIN CERTIFICATE-----\r\n" + short_lines + "-----END CERTIFICATE-----\r\n"},
        {"blanks at the edges of lines",
         "  -----BEGIN CERTIFICATE----- \n\t" + letters + " \n-----END CERTIFICATE-----"},
        {"twice", pem(der) + pem(der)},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_EQ(anchors({bundle("b", c.text)}, by_name("b")), pem(der));
    }
}

TEST(TrustAnchors, AreTheSameBytesInWhateverOrderTheyCome) {
    const BundleSelection all = by_signer("s", kube::LabelSelector());
    EXPECT_EQ(anchors({bundle("a", pem("2") + pem("1"), "s"), bundle("b", pem("3") + pem("1"), "s")}, all),
              pem("1") + pem("2") + pem("3"));
    EXPECT_EQ(anchors({bundle("b", pem("1") + pem("3"), "s"), bundle("a", pem("1") + pem("2"), "s")}, all),
              pem("1") + pem("2") + pem("3"));
}

TEST(TrustAnchors, RefuseABundleThatIsNoSequenceOfCertificates) {
    struct Case {
        std::string_view name;
        std::string text, why;
    };
    const Case cases[] = {
        {"no block at all", "hello\n", "holds no PEM certificate"},
        {"a key", pem("A") + pem("K", "PRIVATE KEY"), "PEM block 2 is a PRIVATE KEY, not a CERTIFICATE"},
        {"cut off", "-----BEGIN CERTIFICATE-----\nQQ==\n", "PEM block 1: has no END CERTIFICATE line"},
        {"a block begins within a block", "-----BEGIN CERTIFICATE-----\nQQ==\n" + pem("A"),
         "PEM block 1: has no END CERTIFICATE line"},
        {"another end", "-----BEGIN CERTIFICATE-----\nQQ==\n-----END KEY-----\n",
         "PEM block 1: has no END CERTIFICATE line"},
        {"no base64", "-----BEGIN CERTIFICATE-----\nQ!==\n-----END CERTIFICATE-----\n",
         "PEM block 1: illegal base64 data at input byte 1"},
        {"nothing in it", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "PEM block 1: is empty"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const Result<std::string> text = anchors({bundle("ca", c.text)}, by_name("ca"));
        ASSERT_FALSE(text);
        EXPECT_EQ(text.error().code, Errc::Invalid);
        EXPECT_EQ(text.error().what, c.why);
        EXPECT_EQ(anchors({bundle("ca", c.text, "s")}, by_signer("s", kube::LabelSelector())).error().what,
                  "bundle \"ca\": " + c.why);
    }
    EXPECT_EQ(anchors({bundle("bad", "hello"), bundle("good", pem("A"))}, by_name("good")), pem("A"))
        << "a bundle that is not selected does no harm";
}

}  // namespace
}  // namespace tokenlet::projector
