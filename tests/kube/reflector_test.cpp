// SPDX-License-Identifier: Apache-2.0
#include "kube/reflector.h"

namespace tokenlet::kube {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;
using Step = Reflector::Step;

Reflector reflector() {
    return Reflector({.api_version = "v1",
                      .kind = "ConfigMap",
                      .field_selector = "metadata.name=web",
                      .what = "ConfigMap shop/web"});
}

std::string event(std::string_view type, std::string_view version, std::string_view value = "x",
                  std::string_view name = "web") {
    return R"({"type":")" + std::string(type) +
           R"(","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":")" + std::string(name) +
           R"(","resourceVersion":")" + std::string(version) +
           R"(","managedFields":[{"manager":"kubectl"}]},"data":{"key":")" + std::string(value) + "\"}}}\n";
}

std::string bookmark(std::string_view version) {
    return R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":")" + std::string(version) + "\"}}}\n";
}

std::string end_of_list(std::string_view version) {
    return R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":")" + std::string(version) +
           R"(","annotations":{"k8s.io/initial-events-end":"true"}}}})" + "\n";
}

std::string json(const Reflector& reflector, const std::string& name = "web") {
    const auto found = reflector.objects().find(name);
    return found == reflector.objects().end() ? "absent" : std::string(found->second.view());
}

ApiError error(int status, Errc code = Errc::Unavailable) {
    return {.error = {code, "no"}, .http_status = status};
}

TEST(Reflector, BeginsWithAStreamedListAndIsKnownAtItsEnd) {
    Reflector r = reflector();
    const auto call = r.begin(0);
    EXPECT_EQ(call.step, Step::StreamedList);
    EXPECT_THAT(call.query, HasSubstr("sendInitialEvents=true"));
    EXPECT_THAT(call.query, HasSubstr("resourceVersionMatch=NotOlderThan"));
    EXPECT_THAT(call.query, HasSubstr("fieldSelector=metadata.name%3Dweb"));
    EXPECT_EQ(call.time, kWatchTime);
    EXPECT_FALSE(*r.feed(event("ADDED", "5")));
    EXPECT_FALSE(r.is_known()) << "there may be more of it";
    EXPECT_TRUE(*r.feed(end_of_list("7")));
    EXPECT_TRUE(r.is_known());
    EXPECT_THAT(json(r), HasSubstr(R"("data":{"key":"x"})"));
    EXPECT_THAT(json(r), Not(HasSubstr("managedFields")));
    EXPECT_TRUE(*r.feed(event("MODIFIED", "9", "y")));
    EXPECT_THAT(json(r), HasSubstr(R"("key":"y")"));
    EXPECT_TRUE(*r.feed(event("DELETED", "10")));
    EXPECT_EQ(json(r), "absent");
}

TEST(Reflector, KnowsThatThereIsNothing) {
    Reflector r = reflector();
    (void)r.begin(0);
    EXPECT_TRUE(*r.feed(end_of_list("7")));
    EXPECT_TRUE(r.is_known());
    EXPECT_EQ(json(r), "absent");
}

TEST(Reflector, ReadsEventsHoweverTheyAreCut) {
    const std::string all = event("ADDED", "5") + end_of_list("7") + event("MODIFIED", "8", "y") + bookmark("9");
    for (std::size_t size = 1; size < all.size(); ++size) {
        Reflector r = reflector();
        (void)r.begin(0);
        for (std::size_t at = 0; at < all.size(); at += size)
            ASSERT_TRUE(r.feed(std::string_view(all).substr(at, size)));
        ASSERT_THAT(json(r), HasSubstr(R"("key":"y")")) << size;
        (void)r.ended(nullptr, 0);
        ASSERT_THAT(r.begin(0).query, HasSubstr("resourceVersion=9"));
    }
}

TEST(Reflector, ResumesWhereTheLastWatchEnded) {
    Reflector r = reflector();
    (void)r.begin(0);
    (void)r.feed(event("ADDED", "5") + end_of_list("7") + bookmark("12"));
    EXPECT_EQ(r.ended(nullptr, 0), 0s);
    const auto call = r.begin(0);
    EXPECT_EQ(call.step, Step::Watch);
    EXPECT_THAT(call.query, HasSubstr("resourceVersion=12"));
    EXPECT_THAT(call.query, Not(HasSubstr("sendInitialEvents")));
    EXPECT_TRUE(*r.feed(event("MODIFIED", "13", "y")));
    const ApiError cut = error(0);
    EXPECT_EQ(r.ended(&cut, 0), 0s) << "a connection may go";
    EXPECT_THAT(r.begin(0).query, HasSubstr("resourceVersion=13"));
    EXPECT_THAT(json(r), HasSubstr(R"("key":"y")")) << "what is known stays";
}

TEST(Reflector, ListsAnewWhenTheServerHasForgottenThePlace) {
    struct Case {
        std::string_view name;
        bool inside;
    };
    for (const Case& c : {Case{"as the answer to the watch", false}, Case{"inside the watch", true}}) {
        SCOPED_TRACE(c.name);
        Reflector r = reflector();
        (void)r.begin(0);
        (void)r.feed(event("ADDED", "5") + end_of_list("7"));
        (void)r.ended(nullptr, 0);
        (void)r.begin(0);
        ApiError gone = error(410, Errc::NotFound);
        if (c.inside) {
            EXPECT_FALSE(r.feed(R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}})"
                                "\n"));
            gone = *r.watch_error();
        }
        EXPECT_EQ(r.ended(&gone, 0), 0s);
        EXPECT_THAT(json(r), HasSubstr("\"x\"")) << "until the new list is complete";
        EXPECT_EQ(r.begin(0).step, Step::StreamedList);
        EXPECT_TRUE(*r.feed(end_of_list("20")));
        EXPECT_EQ(json(r), "absent") << "it was deleted meanwhile";
    }
}

TEST(Reflector, ListsAndWatchesWhereListsAreNotStreamed) {
    Reflector r = reflector();
    (void)r.begin(0);
    const ApiError invalid = error(422, Errc::Invalid);
    EXPECT_EQ(r.ended(&invalid, 0), 0s);
    EXPECT_FALSE(r.streams());
    const auto list = r.begin(0);
    EXPECT_EQ(list.step, Step::List);
    EXPECT_EQ(list.query, "fieldSelector=metadata.name%3Dweb");
    EXPECT_TRUE(*r.take_list(R"({"kind":"ConfigMapList","metadata":{"resourceVersion":"40"},)"
                             R"("items":[{"metadata":{"name":"web","resourceVersion":"31"},"data":{"key":"z"}}]})"));
    EXPECT_THAT(json(r), HasSubstr(R"("kind":"ConfigMap","apiVersion":"v1")")) << "which items do not say";
    EXPECT_EQ(r.ended(nullptr, 0), 0s);
    EXPECT_THAT(r.begin(0).query, HasSubstr("resourceVersion=40"));
}

TEST(Reflector, AnEqualListIsNoNews) {
    Reflector r = reflector();
    r.never_stream();
    constexpr std::string_view kList = R"({"metadata":{"resourceVersion":"40"},)"
                                       R"("items":[{"metadata":{"name":"web","resourceVersion":"31"}}]})";
    (void)r.begin(0);
    EXPECT_TRUE(*r.take_list(kList));
    EXPECT_FALSE(*r.take_list(kList));
}

TEST(Reflector, AStreamedListThatIsCutOffIsForgotten) {
    Reflector r = reflector();
    (void)r.begin(0);
    (void)r.feed(event("ADDED", "5"));
    EXPECT_GT(r.ended(nullptr, 0), 0s);
    EXPECT_FALSE(r.is_known());
    EXPECT_EQ(r.begin(0).step, Step::StreamedList);
    EXPECT_TRUE(*r.feed(end_of_list("7")));
    EXPECT_EQ(json(r), "absent");
}

TEST(Reflector, PausesMoreAndMoreAndForAMinuteWhereOnlyAPersonHelps) {
    struct Case {
        std::string_view name;
        ApiError error;
        Duration least;
        Duration most;
    };
    ApiError busy = error(429);
    busy.retry_after = 20s;
    ApiError maintenance = error(503);
    maintenance.retry_after = 1h;
    const Case cases[] = {
        {"no answer", error(0), 500ms, 1s},
        {"a server that says when", std::move(busy), 20s, 20s},
        {"a page of a proxy, which knows no better", std::move(maintenance), 5min, 5min},
        {"no right", error(403, Errc::Denied), 60s, 60s},
        {"no such kind", error(404, Errc::NotFound), 60s, 60s},
        {"a credential that is refused", error(401, Errc::Denied), 500ms, 1s},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        for (const std::uint64_t random : {std::uint64_t{0}, ~std::uint64_t{0}}) {
            Reflector r = reflector();
            (void)r.begin(0);
            const Duration pause = r.ended(&c.error, random);
            EXPECT_GE(pause, c.least);
            EXPECT_LE(pause, c.most);
        }
    }
    Reflector r = reflector();
    Duration last{};
    for (int i = 0; i < 40; ++i) {
        (void)r.begin(0);
        const ApiError away = error(0);
        last = r.ended(&away, ~std::uint64_t{0});
    }
    EXPECT_LE(last, 30s);
    EXPECT_GT(last, 15s);
    EXPECT_EQ(r.failures(), 40U);
}

TEST(Reflector, AServerThatEndsEveryWatchAtOnceIsNotAskedWithoutEnd) {
    Reflector r = reflector();
    (void)r.begin(0);
    (void)r.feed(end_of_list("7"));
    EXPECT_EQ(r.ended(nullptr, 0), 0s);
    (void)r.begin(0);
    EXPECT_GE(r.ended(nullptr, 0), 500ms);
}

TEST(Reflector, RefusesWhatIsNoWatchAndQuotesNothingOfIt) {
    struct Case {
        std::string_view name;
        std::string text;
    };
    const Case cases[] = {
        {"a page", "<html>hunter2</html>\n"},
        {"no object", R"({"type":"ADDED","hunter2":1})"
                      "\n"},
        {"no version", R"({"type":"ADDED","object":{"metadata":{"name":"hunter2"}}})"
                       "\n"},
        {"an unknown type", event("hunter2", "5")},
        {"a line without end", std::string(kMaxWatchLine + 1, 'x')},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        Reflector r = reflector();
        (void)r.begin(0);
        const Result<bool> fed = r.feed(c.text);
        ASSERT_FALSE(fed);
        EXPECT_EQ(fed.error().code, Errc::Unavailable);
        EXPECT_THAT(fed.error().what, Not(HasSubstr("hunter2")));
    }
}

}  // namespace
}  // namespace tokenlet::kube
