// SPDX-License-Identifier: Apache-2.0
#include "kube/names.h"

namespace tokenlet::kube {
namespace {

struct Case {
    std::string text;
    std::string_view complaint;  // a part of it; empty: fine
};

void expect_complaints(std::string (*check)(std::string_view), std::initializer_list<Case> cases) {
    for (const Case& c : cases) {
        SCOPED_TRACE(c.text.substr(0, 80));
        const std::string complaint = check(c.text);
        EXPECT_EQ(complaint.empty(), c.complaint.empty()) << complaint;
        EXPECT_NE(complaint.find(c.complaint), std::string::npos) << complaint;
    }
}

TEST(Dns1123Label, IsLowerCaseAndShort) {
    expect_complaints(check_dns1123_label, {{"web", ""},
                                            {"0-9", ""},
                                            {std::string(63, 'a'), ""},
                                            {std::string(64, 'a'), "no more than 63 bytes"},
                                            {"", "RFC 1123 label"},
                                            {"Web", "RFC 1123 label"},
                                            {"-web", "RFC 1123 label"},
                                            {"web-", "RFC 1123 label"},
                                            {"web.shop", "RFC 1123 label"},
                                            {"we_b", "RFC 1123 label"},
                                            {"../x", "RFC 1123 label"}});
}

TEST(Dns1123Subdomain, IsLabelsWithDotsBetween) {
    expect_complaints(check_dns1123_subdomain, {{"kube-root-ca.crt", ""},
                                                {std::string(253, 'a'), ""},
                                                {std::string(254, 'a'), "no more than 253 bytes"},
                                                {"", "RFC 1123 subdomain"},
                                                {"a..b", "RFC 1123 subdomain"},
                                                {".a", "RFC 1123 subdomain"},
                                                {"a.-b", "RFC 1123 subdomain"},
                                                {"A", "RFC 1123 subdomain"}});
}

TEST(QualifiedName, HasAnOptionalPrefix) {
    expect_complaints(check_qualified_name, {{"app", ""},
                                             {"app.kubernetes.io/name", ""},
                                             {"My_Name.x", ""},
                                             {"/x", "prefix part must be non-empty"},
                                             {"A.b/x", "prefix part a lowercase"},
                                             {"a/", "name part must be non-empty"},
                                             {"", "name part must be non-empty"},
                                             {"a/b/c", "name part must consist"},
                                             {"-x", "name part must consist"},
                                             {std::string(64, 'a'), "name part must be no more than 63"}});
}

TEST(LabelValue, MayBeEmpty) {
    expect_complaints(
        check_label_value,
        {{"", ""}, {"v1.2_x", ""}, {"a b", "a valid label"}, {"-a", "a valid label"}, {std::string(64, 'a'), "63"}});
}

TEST(LabelValue, IsMadeOfANameThatMayBeLonger) {
    EXPECT_EQ(label_value_of("edge-7.example.org"), "edge-7.example.org");
    EXPECT_EQ(label_value_of(std::string(62, 'a') + "bc"), std::string(62, 'a') + "b");
    EXPECT_EQ(label_value_of(std::string(60, 'a') + "-.-example"), std::string(60, 'a')) << "ends as a label must";
    EXPECT_EQ(check_label_value(label_value_of(std::string(253, 'a'))), "");
}

TEST(ConfigKey, IsAFileName) {
    expect_complaints(check_config_key, {{"ca.crt", ""},
                                         {".dockerconfigjson", ""},
                                         {"a..b", ""},
                                         {"", "a valid config key"},
                                         {"a/b", "a valid config key"},
                                         {".", "must not be '.'"},
                                         {"..", "must not start with '..'"},
                                         {"..data", "must not start with '..'"},
                                         {std::string(254, 'a'), "253"}});
}

TEST(Uid, IsAPathComponent) {
    expect_complaints(check_uid, {{"5b0c4b4e-6f2b-4b1a-9d57-0d3d2f5c8a11", ""},
                                  {"d41d8cd98f00b204e9800998ecf8427e", ""},
                                  {"A", ""},
                                  {"", "must consist"},
                                  {"..", "must consist"},
                                  {"a/b", "must consist"},
                                  {std::string("a\0b", 3), "must consist"},
                                  {"a\n", "must consist"},
                                  {std::string(64, 'a'), "63"}});
}

TEST(RelativePath, StaysWithinItsVolume) {
    expect_complaints(check_relative_path, {{"token", ""},
                                            {"a/b/token", ""},
                                            {".hidden", ""},
                                            {"a/..b", ""},
                                            {"a..b", ""},
                                            {"./a", ""},
                                            {std::string(255, 'a'), ""},
                                            {"", "required"},
                                            {"/etc/passwd", "must be a relative path"},
                                            {"..", "must not contain '..'"},
                                            {"a/../b", "must not contain '..'"},
                                            {"a/..", "must not contain '..'"},
                                            {"..data", "must not start with '..'"},
                                            {"...", "must not start with '..'"},
                                            {"./..data", "must not start with '..'"},
                                            {".//./..data", "must not start with '..'"},
                                            {".", "must name a file"},
                                            {"./", "must name a file"},
                                            {std::string("a\0b", 3), "NUL"},
                                            {std::string(256, 'a'), "each element"},
                                            {std::string(4097, 'a'), "no more than 4096"}});
}

}  // namespace
}  // namespace tokenlet::kube
