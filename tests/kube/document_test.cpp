// SPDX-License-Identifier: Apache-2.0
#include "kube/document.h"

#include <sys/resource.h>

#include <functional>

namespace tokenlet::kube {
namespace {

using namespace std::chrono_literals;

// A tree in one line: {a:1,b:["x"]}. Strings in quotes, so that "1" and 1 differ.
std::string shown(const Node& node) {
    std::string text;
    switch (node.kind) {
        case Node::Kind::Null:
            return "null";
        case Node::Kind::String:
            return "\"" + node.text + "\"";
        case Node::Kind::Sequence:
            for (const Node& child : node.children)
                text += (text.empty() ? "" : ",") + shown(child);
            return "[" + text + "]";
        case Node::Kind::Mapping:
            for (const Node& child : node.children)
                text += (text.empty() ? "" : ",") + child.key + ":" + shown(child);
            return "{" + text + "}";
        default:
            return node.text;
    }
}

std::string shown(const std::vector<Document>& documents) {
    std::string text;
    for (const Document& document : documents)
        text += (text.empty() ? "" : " | ") + (document.root ? shown(*document.root) : document.root.error().what);
    return text;
}

std::string parsed(std::string_view bytes) {
    return shown(parse_documents(bytes));
}

TEST(Document, HoldsWhatTheTextSays) {
    struct Case {
        std::string_view name;
        std::string_view bytes;
        std::string_view want;
    };
    const Case cases[] = {
        {"nothing", "", ""},
        {"only white space and comments", "\n  \n# none\n", ""},
        {"block style", "a: 1\nb:\n- x\n- z\n", "{a:1,b:[\"x\",\"z\"]}"},
        {"flow style", "{a: 1, b: [x, {c: }]}", "{a:1,b:[\"x\",{c:null}]}"},
        {"windows line ends", "a: b\r\nc: d\r\n", "{a:\"b\",c:\"d\"}"},
        {"windows line ends in a literal", "a: |\r\n  x\r\n  y\r\n", "{a:\"x\ny\n\"}"},
        {"byte order mark",
         "\xEF\xBB\xBF"
         "a: b",
         "{a:\"b\"}"},
        {"byte order mark before JSON", "\xEF\xBB\xBF{\"a\": 1}", "{a:1}"},
        {"byte order marks before the first document", "\xEF\xBB\xBF\xEF\xBB\xBF---\na: 1\n", "{a:1}"},
        {"byte order marks before a later document", "\n\xEF\xBB\xBF\n---\n\xEF\xBB\xBF\xEF\xBB\xBF{\"a\": 1}",
         "{a:1}"},
        {"literal", "a: |\n  x\n\n  y\n", "{a:\"x\n\ny\n\"}"},
        {"folded, stripped", "a: >-\n  x\n  y\n", "{a:\"x y\"}"},
        {"literal, kept", "a: |+\n  x\n\n", "{a:\"x\n\n\"}"},
        {"multi-line quoted", "a: 'x\n  y\n\n  z'", "{a:\"x y\nz\"}"},
        {"tab after the colon", "a:\t1", "{a:1}"},
        {"keys resolve like values", "yes: 1\n0644: 2\n1.50: 3", "{true:1,420:2,1.5:3}"},
        {"explicit key", "? a\n: b", "{a:\"b\"}"},
        {"alias", "a: &x {k: v}\nb: *x", "{a:{k:\"v\"},b:{k:\"v\"}}"},
        {"alias as a key", "&k a: b\nc: {*k : d}", "{a:\"b\",c:{a:\"d\"}}"},
        {"anchor used again", "a: &x 1\nb: &x 2\nc: *x", "{a:1,b:2,c:2}"},
        {"merge", "a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  l: 3", "{a:{k:1,l:2},b:{l:3,k:1}}"},
        {"merge of a list, the earlier wins", "v: {<<: [{a: 2, b: 3}, {a: 9, c: 1}], d: 1}", "{v:{d:1,a:2,b:3,c:1}}"},
        {"two merges", "v: {<<: {a: 1}, <<: {b: 1}}", "{v:{a:1,b:1}}"},
        {"quoted << is a key", "v: {'<<': 5}", "{v:{<<:5}}"},
        {"several documents", "---\na: 1\n---\n---\n# nothing\n--- # c\nb: 2\n...\nc: 3\n", "{a:1} | {b:2} | {c:3}"},
        {"content on the marker line", "--- {a: 1}\n--- |\n  text\n", "{a:1} | \"text\n\""},
        {"a directive", "%YAML 1.1\n---\na: b", "{a:\"b\"}"},
        {"a scalar document", "just words", "\"just words\""},
        {"dashes inside a value", "a: |\n  x\n  ---\n  y\n", "{a:\"x\n---\ny\n\"}"},
        {"four dashes are text", "----", "\"----\""},
        {"JSON", R"({"a": [1, -2, 1.50, true, null, "x"], "b": {}})", R"({a:[1,-2,1.50,true,null,"x"],b:{}})"},
        {"JSON keeps a surrogate pair together", R"({"a": "\ud83d\ude00"})", "{a:\"\xF0\x9F\x98\x80\"}"},
        {"JSON after YAML", "a: 1\n---\n{\"b\": 2}\n", "{a:1} | {b:2}"},
        {"JSON after JSON", "{\"a\": 1}\n---\n{\"b\": 2}\n", "{a:1} | {b:2}"},
        {"a quoted key does not make JSON of strings", R"({"a": "yes", "b": "0644"})", R"({a:"yes",b:"0644"})"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_EQ(parsed(c.bytes), c.want);
    }
}

TEST(Document, ThatIsBrokenSaysWhereAndHurtsOnlyItself) {
    struct Case {
        std::string_view name;
        std::string_view bytes;
        std::string_view want;
    };
    const Case cases[] = {
        {"duplicate key", "a: 1\nb: 2\na: 3", "line 3: the key 'a' is there already"},
        {"duplicate key after resolution", "1: x\n'1': y", "line 2: the key '1' is there already"},
        {"duplicate key with a block value", "a:\n  x: 1\na:\n  x: 2", "line 3: the key 'a' is there already"},
        {"duplicate key in JSON", "{\"a\": 1,\n\"a\": 2}", "line 2: the key 'a' is there already"},
        {"null key", "a: {null: 1}", "line 1: a key must be text, not null"},
        {"list as a key", "[a, b]: c", "line 1: a key must be a scalar, not a list"},
        {"mapping as a key", "{a: b}: c", "line 1: a key must be a scalar, not a mapping"},
        {"alias of a list as a key", "a: &x [1]\nb: {*x : 1}", "line 2: a key must be a scalar, not a list"},
        {"merge of a scalar", "a:\n  <<: 5", "line 2: << takes a mapping, or a list of mappings"},
        {"an alias within its anchor", "a: &x\n- *x", "line 2: an alias to a value that contains it"},
        {"an alias to nowhere", "a: 1\nb: *x", "line 2: YAML: the referenced anchor is not defined"},
        {"open list", "a: [1,\n2", "line 2: YAML: end of sequence flow not found"},
        {"open quote", "a: 1\nb: 'x", "line 2: YAML: the document ends within quotes"},
        {"open quote before the last line end", "b: 'x\n", "line 2: YAML: illegal document indicator in scalar"},
        {"open quote before blanks", "b: \"x\n  ", "line 2: YAML: illegal document indicator in scalar"},
        {"open list before the last line end", "b: [x,\n", "line 2: YAML: end of sequence flow not found"},
        {"tab as indentation", "a: 1\n\tb: 2",
         "line 2: YAML: illegal tab when looking for indentation; line 2 is indented by a tab, and YAML takes blanks "
         "only"},
        {"a list that a mapping follows", "- a\nb: 1\n", "line 2: not a part of what stands before it"},
        {"a mapping that a bracket follows", "a: 1\n}", "line 2: YAML: illegal flow end"},
        {"the second of three", "a: 1\n---\nb: [\n---\nc: 3\n",
         "{a:1} | line 4: YAML: end of sequence flow not found | {c:3}"},
        {"a document marker inside quotes", "a: 'x\n---\nb: 1\n",
         "line 2: YAML: illegal document indicator in scalar | {b:1}"},
        {"a directive after the marker", "---\n%\n---\nb: 1", "line 2: YAML: a directive after the marker --- | {b:1}"},
        {"the same without a line end", "---\n%", "line 2: YAML: a directive after the marker ---"},
        {"a surrogate pair in YAML", "a: \"\\ud83d\\ude00\"", "line 1: YAML: invalid unicode: 55357"},
        {"NUL", std::string_view("a: b\0", 5), "line 1: a control character"},
        {"a control character in quotes", "x: 1\na: '\x01'", "line 2: a control character"},
        {"not UTF-8", "a: 1\nb: \xFF\n", "line 2: not UTF-8"},
        {"overlong UTF-8", "a: \xC0\xAF", "line 1: not UTF-8"},
        {"half a surrogate in UTF-8", "a: \xED\xA0\x80", "line 1: not UTF-8"},
        {"UTF-16", std::string_view("\xFF\xFE{\0}\0", 6),
         "line 1: not UTF-8 but UTF-16, as some editors and PowerShell write it; save it as UTF-8"},
        {"a colon that no key goes with", "a: b: c",
         "line 1: YAML: a colon where no key can stand; check the indentation, and "
         "put text that holds ': ' in quotes"},
        {"what a merge left behind", "a: 1\n<<<<<<< HEAD\nb: 2\n",
         "line 3: YAML: a colon where no key can stand; check the indentation, and put text that holds ': ' in quotes; "
         "line 2 begins what a merge could not decide"},
        {"a template", "a: {{ .Values.a }}\n",
         "line 1: a key must be a scalar, not a mapping; this looks like a template that was not rendered"},
        {"JSON with a comment", "{\n  // what\n  \"a\": 1}",
         "line 2: a key must be text, not null; line 2 looks like a comment, which begins with # in YAML and is none "
         "in JSON"},
        {"JSON line by line", "{\"a\": 1}\n{\"a\": 2}\n",
         "line 2: JSON: syntax error while parsing value - unexpected '{'; expected end of input; line 2 begins "
         "another "
         "object: put a line of --- before it"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_EQ(parsed(c.bytes), c.want);
    }
}

TEST(Document, OfJsonThatIsBrokenSaysWhereWithoutQuotingIt) {
    struct Case {
        std::string_view name;
        std::string_view bytes;
        std::string_view line;
    };
    const Case cases[] = {
        {"cut off", "{\"a\":\n\"geheim", "line 2: JSON: "},
        {"no quotes around a value", "{\"a\":\n\ngeheim}", "line 3: JSON: "},
        {"a comma too many", "{\"geheim\": 1,}", "line 1: JSON: "},
        {"something behind", "{\"a\": 1}\n\"geheim\"", "line 2: JSON: "},
        {"half a surrogate pair", "{\"a\": \"geheim\\ud83d\"}", "line 1: JSON: "},
        {"a line feed in a string", "{\"a\": \"geheim\nx\"}", "line 1: JSON: "},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const std::string text = parsed(c.bytes);
        EXPECT_TRUE(text.starts_with(c.line)) << text;
        EXPECT_EQ(text.find("geheim"), std::string::npos) << text;
    }
}

TEST(Document, NodesKnowTheirLines) {
    struct Case {
        std::string_view name;
        std::string_view bytes;
    };
    const Case cases[] = {
        {"YAML", "# one\na: 2\nb:\n  c: 4\n  d:\n  - 6\n  - e: 7\n"},
        {"YAML behind a marker", "---\na: 2\nb:\n  c: 4\n  d:\n  - 6\n  - e: 7\n"},
        {"JSON", "{\n\"a\": 2,\n\"b\": {\n\"c\": 4,\n\"d\": [\n6,\n{\"e\": 7}]}}"},
        {"JSON, numbers before line feeds", "{\n\"a\": 2\n,\"b\": {\n\"c\": 4\n,\"d\": [\n6\n,{\"e\": 7}]}}"},
    };
    const std::function<void(const Node&)> expect_lines = [&](const Node& node) {
        if (node.kind == Node::Kind::Int) {
            EXPECT_EQ(std::to_string(node.line), node.text);
        }
        for (const Node& child : node.children)
            expect_lines(child);
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const auto documents = parse_documents(c.bytes);
        ASSERT_EQ(documents.size(), 1u);
        ASSERT_TRUE(documents[0].root) << documents[0].root.error().what;
        expect_lines(*documents[0].root);
        EXPECT_EQ(documents[0].root->find("b")->line, 3);
    }
}

TEST(Document, CountsLinesThroughTheFile) {
    const auto documents = parse_documents("a: 1\n---\n\n# c\nb: 1\n---\n{\"c\":\n1}\n");
    ASSERT_EQ(documents.size(), 3u);
    EXPECT_EQ(documents[1].number, 2);
    EXPECT_EQ(documents[1].line, 5);
    EXPECT_EQ(documents[1].root->find("b")->line, 5);
    EXPECT_EQ(documents[2].line, 7);
    EXPECT_EQ(documents[2].root->find("c")->line, 7);
}

std::string repeated(std::string_view unit, std::size_t bytes) {
    std::string text;
    while (text.size() < bytes)
        text += unit;
    return text;
}

std::string alias_bomb() {
    std::string text = "a: &a [x,x,x,x,x,x,x,x,x]\n";
    for (char c = 'b'; c < 'k'; ++c) {
        text += std::string(1, c) + ": &" + c + " [";
        for (int i = 0; i < 9; ++i)
            text += std::string(i == 0 ? "*" : ",*") + static_cast<char>(c - 1);
        text += "]\n";
    }
    return text;
}

std::string nested_anchors() {
    std::string text;
    for (int i = 0; i < 90; ++i)
        text += "&a" + std::to_string(i) + " [";
    text += repeated("1,", 60'000) + "1" + std::string(90, ']');
    return text;
}

std::string long_alias_bomb() {
    return "a: &a \"" + std::string(1 << 20, 'x') + "\"\nb:\n" + repeated("- *a\n", 1 << 20);
}

// The limits are CPU time, so that a busy machine does not fail them, and memory above what was there before.
TEST(Document, OfHostileTextIsRefusedQuicklyAndInLittleMemory) {
    constexpr std::size_t kSize = 10u << 20;
    struct Case {
        std::string_view name;
        std::string bytes;
        std::string_view want;
    };
    const Case cases[] = {
        {"alias bomb", alias_bomb(), "more than 100000 values"},
        {"alias bomb of long text", long_alias_bomb(), "more than 32 MiB of text"},
        {"anchors within anchors", nested_anchors(), "below anchors"},
        {"open brackets", repeated("[", kSize), "nested deeper"},
        {"open braces", repeated("{", kSize), "nested deeper"},
        {"open braces with keys", repeated("{a: ", kSize), "nested deeper"},
        {"list in list", repeated("- ", kSize), "nested deeper"},
        {"keys without end", repeated("? ", kSize), "a key must be a scalar"},
        {"a long list", repeated("- a\n", kSize), "more than 100000 values"},
        {"a long flow list", "a: [" + repeated("a,", kSize), "more than 100000 values"},
        {"a long flow mapping", "{" + repeated("a: b, ", kSize), "more than 2 MiB"},
        {"one endless word", repeated("x", kSize), "more than 2 MiB"},
        {"one endless quote", "'" + repeated("x", kSize), "more than 2 MiB"},
        {"tags without end", repeated("!!str ", kSize), "more than 2 MiB"},
        {"anchors without end", repeated("&a ", kSize), "more than 2 MiB"},
        {"documents without end", repeated("---\na\n", kSize), "more than 20000 documents"},
        {"JSON, open brackets", "{\"a\": " + repeated("[", kSize), "nested deeper"},
        {"JSON, a long list", "{\"a\": [" + repeated("1,", kSize), "more than 100000 values"},
        {"JSON, unfinished", "{\"a\": \"" + repeated("x", kSize), "JSON: "},
        {"colons", repeated(": ", kSize), "a key must be text"},
    };
#ifdef TOKENLET_SANITIZED
    constexpr long kSlack = 10;
#else
    constexpr long kSlack = 1;
#endif
    const auto usage = [] {
        rusage used{};
        ::getrusage(RUSAGE_SELF, &used);
        return used;
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        const rusage before = usage();
        const auto documents = parse_documents(c.bytes);
        const rusage after = usage();
        ASSERT_FALSE(documents.empty());
        ASSERT_FALSE(documents.back().root);
        EXPECT_NE(documents.back().root.error().what.find(c.want), std::string::npos)
            << documents.back().root.error().what;
        EXPECT_LT(after.ru_utime.tv_sec - before.ru_utime.tv_sec, 4 * kSlack);
        EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 256 * 1024 * kSlack);
    }
}

TEST(Document, OfTheSizeOfAConfigMapIsFine) {
    const std::string text = "a: |\n" + repeated("  [ { &a *b !c % lines of a program\n", 1'000'000);
    const auto documents = parse_documents(text);
    ASSERT_EQ(documents.size(), 1u);
    EXPECT_TRUE(documents[0].root) << documents[0].root.error().what;
}

TEST(ParseJson, TakesAnyValueAndNothingElse) {
    EXPECT_EQ(shown(*parse_json("[1]")), "[1]");
    EXPECT_EQ(shown(*parse_json(" \"x\" ")), "\"x\"");
    EXPECT_FALSE(parse_json(""));
    EXPECT_FALSE(parse_json("{a: 1}"));
    EXPECT_FALSE(parse_json("1 2"));
    EXPECT_FALSE(parse_json("\"\xFF\""));
}

}  // namespace
}  // namespace tokenlet::kube
