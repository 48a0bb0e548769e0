// SPDX-License-Identifier: Apache-2.0
#include "kube/fields.h"

#include "kube/document.h"

namespace tokenlet::kube {
namespace {

using namespace std::chrono_literals;

Node node_of(std::string_view yaml) {
    auto documents = parse_documents(yaml);
    return documents.size() == 1 && documents[0].root ? *std::move(documents[0].root) : Node{};
}

// Everything that is wrong after reading, "; " between.
std::string problems_of(std::string_view yaml, void (*read)(Fields&), Values values = Values::Quoted) {
    const Node node = node_of(yaml);
    Problems problems;
    {
        Fields fields(node, problems, values);
        read(fields);
    }
    std::string text;
    for (const std::string& problem : problems.list())
        text += (text.empty() ? "" : "; ") + problem;
    return text;
}

TEST(Fields, ReadWhatIsThere) {
    const Node node = node_of(R"(
s: text
i: -7
fraction: 0.8
whole: 1
b: yes
d: 1h30m
zero: 0
m: 0440
choice: auto
list: [a, b]
ids: [1, 2]
map: {k: v, empty: }
inner: {s: deep}
items: [{s: one}, {s: two}]
nothing: ~
)");
    Problems problems;
    {
        Fields fields(node, problems);
        EXPECT_EQ(fields.string("s"), "text");
        EXPECT_EQ(fields.integer("i"), -7);
        EXPECT_EQ(fields.number("fraction"), 0.8);
        EXPECT_EQ(fields.number("whole"), 1.0);
        EXPECT_EQ(fields.boolean("b"), true);
        EXPECT_EQ(fields.duration("d"), 90min);
        EXPECT_EQ(fields.duration("zero"), 0s);
        EXPECT_EQ(fields.mode("m"), mode_t{0440});
        EXPECT_EQ(fields.one_of("choice", {"auto", "chown"}), "auto");
        EXPECT_EQ(fields.strings("list"), (std::vector<std::string>{"a", "b"}));
        EXPECT_EQ(fields.integers("ids"), (std::vector<std::int64_t>{1, 2}));
        EXPECT_EQ(fields.string_map("map"), (std::map<std::string, std::string>{{"k", "v"}, {"empty", ""}}));
        Fields inner = fields.mapping("inner");
        EXPECT_EQ(inner.required("s"), "deep");
        std::string seen;
        fields.for_each("items", [&](Fields& item, std::size_t i) { seen += item.required("s") + std::to_string(i); });
        EXPECT_EQ(seen, "one0two1");
        EXPECT_FALSE(fields.has("nothing"));
        EXPECT_EQ(fields.string("nothing"), std::nullopt);
        EXPECT_EQ(fields.string("absent"), std::nullopt);
        Fields absent = fields.mapping("absent");
        EXPECT_FALSE(absent.exists());
        EXPECT_EQ(absent.string("s"), std::nullopt);
    }
    EXPECT_TRUE(problems.result()) << problems.result().error().what;
}

TEST(Fields, SayWhatIsWrongAndWhere) {
    struct Case {
        std::string_view name;
        std::string_view yaml;
        void (*read)(Fields&);
        std::string_view want;
    };
    const Case cases[] = {
        {"a string for an integer", "a: x", [](Fields& f) { (void)f.integer("a"); },
         "line 1: a: expected an integer, found string \"x\""},
        {"an integer for a string", "a: 5", [](Fields& f) { (void)f.string("a"); },
         "line 1: a: expected a string, found integer 5; put it in quotes"},
        {"a word that YAML takes for a boolean", "a: no", [](Fields& f) { (void)f.string("a"); },
         "line 1: a: expected a string, found boolean false; put it in quotes"},
        {"an octal mode in quotes", "a: '0644'", [](Fields& f) { (void)f.mode("a"); },
         "line 1: a: expected an integer such as 0644, without quotes, found string \"0644\""},
        {"a decimal that was meant to be octal", "a: 644", [](Fields& f) { (void)f.mode("a"); },
         "line 1: a: 01204 (decimal 644) is no file mode, which lies between 0 and 0777 octal, did you mean 0644?"},
        {"a negative mode", "a: -1", [](Fields& f) { (void)f.mode("a"); },
         "line 1: a: -1 is no file mode, which lies between 0 and 0777 octal"},
        {"too large", "a: 99999999999999999999", [](Fields& f) { (void)f.integer("a"); },
         "line 1: a: 100000000000000000000 does not fit into 64 bits"},
        {"a float for an integer", "a: 1.5", [](Fields& f) { (void)f.integer("a"); },
         "line 1: a: expected an integer, found number 1.5"},
        {"a string for a number", "a: x", [](Fields& f) { (void)f.number("a"); },
         "line 1: a: expected a number, found string \"x\""},
        {"not a number", "a: .nan", [](Fields& f) { (void)f.number("a"); },
         "line 1: a: expected a number, found number .nan"},
        {"a list for a mapping", "a: [1]", [](Fields& f) { (void)f.mapping("a"); },
         "line 1: a: expected a mapping, found a list"},
        {"a mapping for a list", "a: {}", [](Fields& f) { (void)f.strings("a"); },
         "line 1: a: expected a list, found a mapping"},
        {"a number in a list of strings", "a:\n- x\n- 5", [](Fields& f) { (void)f.strings("a"); },
         "line 3: a[1]: expected a string, found integer 5; put it in quotes"},
        {"a number in a map of strings", "a:\n  k: 5", [](Fields& f) { (void)f.string_map("a"); },
         "line 2: a.k: expected a string, found integer 5; put it in quotes"},
        {"a scalar in a list of mappings", "a: [x]", [](Fields& f) { f.for_each("a", [](Fields&, std::size_t) {}); },
         "line 1: a[0]: expected a mapping, found string \"x\""},
        {"a bare number for a duration", "a: 10", [](Fields& f) { (void)f.duration("a"); },
         "line 1: a: expected a duration such as 90s, 10m or 1h30m, found integer 10"},
        {"a duration without unit", "a: '10'", [](Fields& f) { (void)f.duration("a"); },
         "line 1: a: expected a duration such as 90s, 10m or 1h30m, found string \"10\""},
        {"none of the choices", "a: autp", [](Fields& f) { (void)f.one_of("a", {"auto", "chown", "acl"}); },
         "line 1: a: \"autp\" is not one of auto, chown or acl, did you mean 'auto'?"},
        {"required and absent", "x: 1",
         [](Fields& f) {
             (void)f.required("a");
             f.ignore_others();
         },
         "line 1: a: required"},
        {"required and empty", "a: ''", [](Fields& f) { (void)f.required("a"); }, "line 1: a: required"},
        {"required and of the wrong type: said once", "a: 5", [](Fields& f) { (void)f.required("a"); },
         "line 1: a: expected a string, found integer 5; put it in quotes"},
        {"a spelling mistake", "volumRoot: x", [](Fields& f) { (void)f.string("volumeRoot"); },
         "line 1: volumRoot: unknown field, did you mean 'volumeRoot'?"},
        {"a spelling mistake further down", "a:\n- b:\n    lne: 1",
         [](Fields& f) {
             f.for_each("a", [](Fields& item, std::size_t) {
                 Fields b = item.mapping("b");
                 (void)b.integer("line");
             });
         },
         "line 3: a[0].b.lne: unknown field, did you mean 'line'?"},
        {"an unknown field without a likeness", "zzzzzz: 1", [](Fields& f) { (void)f.string("name"); },
         "line 1: zzzzzz: unknown field"},
        {"a key with dots", "a:\n  kubernetes.io/x: 5", [](Fields& f) { (void)f.string_map("a"); },
         "line 2: a[kubernetes.io/x]: expected a string, found integer 5; put it in quotes"},
        {"ignored fields", "a: 1\nb: 2", [](Fields& f) { f.ignore({"a", "b"}); }, ""},
        {"all others ignored", "a: 1\nb: 2", [](Fields& f) { f.ignore_others(); }, ""},
        {"several, in order of lines", "a: x\nb: z\nc: 1",
         [](Fields& f) {
             (void)f.integer("b");
             (void)f.integer("a");
         },
         "line 1: a: expected an integer, found string \"x\"; line 2: b: expected an integer, found string \"z\"; "
         "line 3: c: unknown field, did you mean 'b'?"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_EQ(problems_of(c.yaml, c.read), c.want);
    }
}

TEST(Fields, QuoteNoValueOfASecretAndLittleOfALongOne) {
    EXPECT_EQ(problems_of(
                  "a: geheim", [](Fields& f) { (void)f.integer("a"); }, Values::Hidden),
              "line 1: a: expected an integer, found a string");
    const std::string text = problems_of("a: " + std::string(5000, 'x'), [](Fields& f) { (void)f.integer("a"); });
    EXPECT_LT(text.size(), 200u);
}

TEST(Fields, OfADocumentThatIsNoMappingSayHowItLooks) {
    EXPECT_EQ(problems_of("just words", [](Fields&) {}), "line 1: expected a mapping, found string \"just words\"");
    EXPECT_EQ(problems_of("[1]", [](Fields&) {}), "line 1: expected a mapping, found a list");
}

TEST(Problems, GiveTheFirstThreeAndCountTheRest) {
    Problems problems;
    EXPECT_TRUE(problems.result());
    const FieldPath path{nullptr, "a"};
    for (int line : {5, 4, 3, 2, 1})
        problems.add(line, path, "bad");
    const auto result = problems.result();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::Invalid);
    EXPECT_EQ(result.error().what, "line 1: a: bad; line 2: a: bad; line 3: a: bad; and 2 more");
}

TEST(ParseDuration, IsGos) {
    struct Case {
        std::string_view text;
        Duration want;
    };
    const Case good[] = {
        {"0", 0s},
        {"0s", 0s},
        {"90s", 90s},
        {"10m", 10min},
        {"1h30m", 90min},
        {"1.5h", 90min},
        {"-5m", -5min},
        {"+5m", 5min},
        {"250ms", 250ms},
        {"1m0.5s", 60500ms},
        {".5s", 500ms},
        {"5.s", 5s},
        {"3us", 3us},
        {"3\xC2\xB5s", 3us},
        {"7ns", 7ns},
        {"2160h", 2160h},
        {"1h1h", 2h},
        {"0.5ns", 0ns},
        {"0.0000000000001h", 0ns},
        {"2562047h", 2562047h},
    };
    for (const Case& c : good) {
        SCOPED_TRACE(c.text);
        const auto duration = parse_duration(c.text);
        ASSERT_TRUE(duration);
        EXPECT_EQ(*duration, c.want);
    }
    for (std::string_view text : {"", "-", "+", "s", "10", "1d", "1h30", "h1", "1 h", "1H", ".s", ".", "1e3s", "--1s",
                                  "2562048h", "99999999999999999999s", "0x1s", "1,5s"}) {
        SCOPED_TRACE(text);
        EXPECT_FALSE(parse_duration(text));
    }
}

}  // namespace
}  // namespace tokenlet::kube
