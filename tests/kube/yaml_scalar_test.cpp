// SPDX-License-Identifier: Apache-2.0
#include "kube/yaml_scalar.h"

#include "kube/document.h"

namespace tokenlet::kube {
namespace {

using Kind = Node::Kind;

// Read through the whole parser, because it is its tags that decide between plain and quoted.
Result<Node> value_of(std::string_view scalar) {
    std::vector<Document> documents = parse_documents("v: " + std::string(scalar));
    if (documents.size() != 1 || !documents[0].root)
        return documents.size() == 1 ? std::move(documents[0].root) : fail(Errc::Internal, "not one document");
    const Node* value = documents[0].root->find("v");
    return value == nullptr ? fail(Errc::Internal, "no v") : Result<Node>(*value);
}

// Each row was answered by sigs.k8s.io/yaml 1.6.0, except that it refuses infinities and NaN only where JSON comes in.
TEST(YamlScalar, MeansWhatItMeansToKubernetes) {
    struct Case {
        std::string_view scalar;
        Kind kind;
        std::string_view text;
    };
    const Case cases[] = {
        {"", Kind::Null, ""},
        {"~", Kind::Null, ""},
        {"null", Kind::Null, ""},
        {"Null", Kind::Null, ""},
        {"NULL", Kind::Null, ""},
        {"nULL", Kind::String, "nULL"},
        {"true", Kind::Bool, "true"},
        {"True", Kind::Bool, "true"},
        {"TRUE", Kind::Bool, "true"},
        {"tRUE", Kind::String, "tRUE"},
        {"false", Kind::Bool, "false"},
        {"False", Kind::Bool, "false"},
        {"FALSE", Kind::Bool, "false"},
        {"yes", Kind::Bool, "true"},
        {"Yes", Kind::Bool, "true"},
        {"YES", Kind::Bool, "true"},
        {"yEs", Kind::String, "yEs"},
        {"no", Kind::Bool, "false"},
        {"No", Kind::Bool, "false"},
        {"NO", Kind::Bool, "false"},
        {"on", Kind::Bool, "true"},
        {"On", Kind::Bool, "true"},
        {"ON", Kind::Bool, "true"},
        {"off", Kind::Bool, "false"},
        {"Off", Kind::Bool, "false"},
        {"OFF", Kind::Bool, "false"},
        {"oN", Kind::String, "oN"},
        {"y", Kind::Bool, "true"},
        {"Y", Kind::Bool, "true"},
        {"n", Kind::Bool, "false"},
        {"N", Kind::Bool, "false"},
        {"0", Kind::Int, "0"},
        {"-0", Kind::Int, "0"},
        {"+0", Kind::Int, "0"},
        {"1", Kind::Int, "1"},
        {"+1", Kind::Int, "1"},
        {"-1", Kind::Int, "-1"},
        {"00", Kind::Int, "0"},
        {"007", Kind::Int, "7"},
        {"0644", Kind::Int, "420"},
        {"+0644", Kind::Int, "420"},
        {"-0644", Kind::Int, "-420"},
        {"0o644", Kind::Int, "420"},
        {"0O644", Kind::Int, "420"},
        {"0o8", Kind::String, "0o8"},
        {"-0o17", Kind::Int, "-15"},
        {"0o_1", Kind::Int, "1"},
        {"08", Kind::Int, "8"},
        {"09", Kind::Int, "9"},
        {"0899", Kind::Int, "899"},
        {"0_7", Kind::Int, "7"},
        {"0x1A", Kind::Int, "26"},
        {"0X1a", Kind::Int, "26"},
        {"-0xff", Kind::Int, "-255"},
        {"+0x10", Kind::Int, "16"},
        {"0xg", Kind::String, "0xg"},
        {"0x", Kind::String, "0x"},
        {"0x_1", Kind::Int, "1"},
        {"0b101", Kind::Int, "5"},
        {"0B101", Kind::Int, "5"},
        {"-0b11", Kind::Int, "-3"},
        {"+0b11", Kind::Int, "3"},
        {"0b2", Kind::String, "0b2"},
        {"0b", Kind::String, "0b"},
        {"1_000", Kind::Int, "1000"},
        {"1__0", Kind::Int, "10"},
        {"_1", Kind::String, "_1"},
        {"1_", Kind::Int, "1"},
        {"9223372036854775807", Kind::Int, "9223372036854775807"},
        {"9223372036854775808", Kind::Int, "9223372036854775808"},
        {"18446744073709551615", Kind::Int, "18446744073709551615"},
        {"18446744073709551616", Kind::Int, "18446744073709552000"},
        {"-9223372036854775808", Kind::Int, "-9223372036854775808"},
        {"-9223372036854775809", Kind::Int, "-9223372036854776000"},
        {"99999999999999999999999999", Kind::Float, "1e+26"},
        {"0xffffffffffffffffff", Kind::String, "0xffffffffffffffffff"},
        {"0777777777777777777777777777", Kind::Float, "7.777777777777778e+26"},
        {"1.5", Kind::Float, "1.5"},
        {"-1.5", Kind::Float, "-1.5"},
        {"+1.5", Kind::Float, "1.5"},
        {"1.", Kind::Int, "1"},
        {".5", Kind::Float, "0.5"},
        {"-.5", Kind::Float, "-0.5"},
        {"+.5", Kind::Float, "0.5"},
        {".", Kind::String, "."},
        {"..", Kind::String, ".."},
        {"...", Kind::String, "..."},
        {"+", Kind::String, "+"},
        {"1e3", Kind::Int, "1000"},
        {"1E3", Kind::Int, "1000"},
        {"1e+3", Kind::Int, "1000"},
        {"1e-3", Kind::Float, "0.001"},
        {"-1e3", Kind::Int, "-1000"},
        {"1.e3", Kind::Int, "1000"},
        {".5e3", Kind::Int, "500"},
        {"1e", Kind::String, "1e"},
        {"e3", Kind::String, "e3"},
        {"1e400", Kind::String, "1e400"},
        {"1_0.5", Kind::Float, "10.5"},
        {"._5", Kind::String, "._5"},
        {".5_0", Kind::Float, "0.5"},
        {"0.1", Kind::Float, "0.1"},
        {"100.0", Kind::Int, "100"},
        {"1e20", Kind::Int, "100000000000000000000"},
        {"1e21", Kind::Float, "1e+21"},
        {"1e22", Kind::Float, "1e+22"},
        {"123456789012345678901.0", Kind::Int, "123456789012345680000"},
        {"0.000001", Kind::Float, "0.000001"},
        {"0.0000001", Kind::Float, "1e-7"},
        {"-0.0", Kind::Int, "0"},
        {"-0e0", Kind::Int, "0"},
        {"0e0", Kind::Int, "0"},
        {"1.0", Kind::Int, "1"},
        {"3.0e2", Kind::Int, "300"},
        {"0x1p-2", Kind::String, "0x1p-2"},
        {"0x1.8p1", Kind::String, "0x1.8p1"},
        {".iNF", Kind::String, ".iNF"},
        {"inf", Kind::String, "inf"},
        {"Inf", Kind::String, "Inf"},
        {"-inf", Kind::String, "-inf"},
        {".Nan", Kind::String, ".Nan"},
        {"nan", Kind::String, "nan"},
        {".infinity", Kind::String, ".infinity"},
        {"2001-01-01", Kind::String, "2001-01-01"},
        {"2001-1-1", Kind::String, "2001-1-1"},
        {"2001-12-14T21:59:43.10Z", Kind::String, "2001-12-14T21:59:43.10Z"},
        {"2001-12-14 21:59:43", Kind::String, "2001-12-14 21:59:43"},
        {"2024-05-02T10:11:12Z", Kind::String, "2024-05-02T10:11:12Z"},
        {"12:30:45", Kind::String, "12:30:45"},
        {"190:20:30", Kind::String, "190:20:30"},
        {"1:30", Kind::String, "1:30"},
        {"1.2.3", Kind::String, "1.2.3"},
        {"v1", Kind::String, "v1"},
        {"10m", Kind::String, "10m"},
        {"100Mi", Kind::String, "100Mi"},
        {"1Ki", Kind::String, "1Ki"},
        {"0.5Gi", Kind::String, "0.5Gi"},
        {"<<", Kind::String, "<<"},
        {"=", Kind::String, "="},
        {"\"0644\"", Kind::String, "0644"},
        {"'0644'", Kind::String, "0644"},
        {"\"yes\"", Kind::String, "yes"},
        {"'~'", Kind::String, "~"},
        {"\"\"", Kind::String, ""},
        {"''", Kind::String, ""},
        {"!!str 0644", Kind::String, "0644"},
        {"!!str yes", Kind::String, "yes"},
        {"!!str", Kind::String, ""},
        {"!!str ~", Kind::String, "~"},
        {"!!str null", Kind::String, "null"},
        {"!!int \"0644\"", Kind::Int, "420"},
        {"!!int 0x10", Kind::Int, "16"},
        {"!!int \"12\"", Kind::Int, "12"},
        {"!!float 1", Kind::Int, "1"},
        {"!!float 1.5", Kind::Float, "1.5"},
        {"!!float \"3\"", Kind::Int, "3"},
        {"!!float 0x10", Kind::Int, "16"},
        {"!!bool yes", Kind::Bool, "true"},
        {"!!bool \"true\"", Kind::Bool, "true"},
        {"!!null \"\"", Kind::Null, ""},
        {"!!null null", Kind::Null, ""},
        {"!!null", Kind::Null, ""},
        {"!!binary aGVsbG8=", Kind::String, "hello"},
        {"!!binary \"aGk=\"", Kind::String, "hi"},
        {"!!binary", Kind::String, ""},
        {"!!timestamp 2001-01-01", Kind::String, "2001-01-01"},
        {"! 12", Kind::String, "12"},
        {"!foo 12", Kind::String, "12"},
        {"!foo bar", Kind::String, "bar"},
        {"!<tag:yaml.org,2002:str> 12", Kind::String, "12"},
        {"!<tag:yaml.org,2002:int> \"12\"", Kind::Int, "12"},
        {"\"é\"", Kind::String, "é"},
        {"日本", Kind::String, "日本"},
        {"\"a\\tb\"", Kind::String, "a\tb"},
        {"\"\\x41\"", Kind::String, "A"},
        {"\"\\u00e9\"", Kind::String, "é"},
        {"\"\\U0001F600\"", Kind::String, "😀"},
        {"\"\\e\"", Kind::String, "\033"},
        {"'it''s'", Kind::String, "it's"},
        {"a # c", Kind::String, "a"},
        {"a#c", Kind::String, "a#c"},
        {"&x 1", Kind::Int, "1"},
        {"|", Kind::String, ""},
        {">", Kind::String, ""},
        {"a b", Kind::String, "a b"},
        {"http://x:80", Kind::String, "http://x:80"},
        {"x:80", Kind::String, "x:80"},
        {"nUll", Kind::String, "nUll"},
        {"NuLl", Kind::String, "NuLl"},
        {"True ", Kind::Bool, "true"},
        {"  0644  ", Kind::Int, "420"},
        {"0.0.0.0", Kind::String, "0.0.0.0"},
        {"1,000", Kind::String, "1,000"},
        {"$100", Kind::String, "$100"},
        {"-a", Kind::String, "-a"},
        {"?a", Kind::String, "?a"},
        {":a", Kind::String, ":a"},
        {".inf", Kind::Float, ".inf"},
        {".Inf", Kind::Float, ".inf"},
        {".INF", Kind::Float, ".inf"},
        {"+.inf", Kind::Float, ".inf"},
        {"-.inf", Kind::Float, "-.inf"},
        {"-.INF", Kind::Float, "-.inf"},
        {".nan", Kind::Float, ".nan"},
        {".NaN", Kind::Float, ".nan"},
        {".NAN", Kind::Float, ".nan"},
        {"0b_1", Kind::Int, "1"},
        {".5_", Kind::String, ".5_"},
        {"5_.5", Kind::Float, "5.5"},
        {"-_5", Kind::Int, "-5"},
        {"+_", Kind::String, "+_"},
        {".5__0", Kind::String, ".5__0"},
        {"1e5_0", Kind::Float, "1e+50"},
        {"0_x10", Kind::Int, "16"},
        {".1e5_0", Kind::Float, "1e+49"},
        {"-.5_0", Kind::Float, "-0.5"},
        {"1e-400", Kind::Int, "0"},
        {".1e400", Kind::String, ".1e400"},
        {"0x_", Kind::String, "0x_"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.scalar);
        const auto value = value_of(c.scalar);
        ASSERT_TRUE(value) << value.error().what;
        EXPECT_EQ(to_string(value->kind), to_string(c.kind));
        EXPECT_EQ(value->text, c.text);
    }
}

TEST(YamlScalar, ThatContradictsItsTagIsRefused) {
    const std::string_view cases[] = {"!!int abc", "!!int 1.5",        "!!bool 1",
                                      "!!null x",  "!!binary \"%%%\"", "!!float yes"};
    for (std::string_view scalar : cases) {
        SCOPED_TRACE(scalar);
        const auto value = value_of(scalar);
        ASSERT_FALSE(value);
        EXPECT_TRUE(value.error().what.starts_with("line 1: ")) << value.error().what;
    }
}

TEST(YamlScalar, ThatYamlCppDecodesToBrokenBytesIsRefused) {
    EXPECT_FALSE(value_of("\"\\N\""));
    EXPECT_FALSE(value_of("\"\\_\""));
    EXPECT_FALSE(value_of("!!binary /w=="));
}

}  // namespace
}  // namespace tokenlet::kube
