// SPDX-License-Identifier: Apache-2.0
#include "kube/api_client.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/kube/test_certificates.h"
#include "tests/kube/test_loop.h"
#include "tests/kube/test_proxy.h"
#include "tests/kube/test_server.h"

namespace tokenlet::kube {
namespace {

using namespace std::chrono_literals;

class ApiClientTest : public testing::Test {
protected:
    ApiClientTest() : directory_(std::filesystem::path("/dev/shm") / ("tokenlet-api-" + std::to_string(::getpid()))) {
        std::filesystem::create_directories(directory_);
    }
    ~ApiClientTest() override { std::filesystem::remove_all(directory_); }

    std::string write(const std::string& name, const std::string& text) {
        // By rename, as everybody does it whose readers run on.
        const std::string path = (directory_ / name).string();
        std::ofstream(path + ".new") << text;
        std::filesystem::rename(path + ".new", path);
        return path;
    }

    ClusterAccess access(const std::string& server) const {
        ClusterAccess made;
        made.name = "kubeconfig, context 'test'";
        made.cluster.server = server;
        made.cluster.certificate_authority = {.file = {}, .bytes = Secret(authority_.pem()), .where = "the test's CA"};
        made.user.token = {.file = {}, .bytes = Secret("token-1"), .where = "line 9: users[0].user.token"};
        return made;
    }

    std::unique_ptr<ApiClient> client(ClusterAccess access) {
        auto made = ApiClient::create(loop_.uv(), std::move(access), {});
        EXPECT_TRUE(made) << made.error().what;
        return std::move(made).value_or(nullptr);
    }

    ApiResult ask(ApiClient& client, ApiRequest request) {
        std::optional<ApiResult> answer;
        const ApiCall call = client.request(std::move(request), [&](ApiResult result) { answer = std::move(result); });
        EXPECT_FALSE(answer) << "answered before request() returned";
        EXPECT_TRUE(loop_.run_until([&] { return answer.has_value(); })) << "no answer";
        EXPECT_FALSE(call);
        return answer ? std::move(*answer) : std::unexpected(ApiError{.error = {Errc::Internal, "no answer"}});
    }

    ApiResult ask(ApiClient& client) { return ask(client, {.path = "/version"}); }

    // What asking this server once comes to.
    ApiError failure(ClusterAccess access, ApiRequest request = {.path = "/version"}) {
        const auto made = client(std::move(access));
        const ApiResult result = ask(*made, std::move(request));
        EXPECT_FALSE(result) << "was answered";
        return result ? ApiError{.error = {}} : result.error();
    }

    static void answer_ok(TestExchange& exchange) { exchange.send(http_answer(200, "{}")); }

    TestLoop loop_;
    TestAuthority authority_{"ours"};
    TestPair pair_ = authority_.issue({.name = "localhost", .alternative_names = "DNS:localhost,IP:127.0.0.1"});
    std::filesystem::path directory_;
};

TEST_F(ApiClientTest, SendsWhatItIsAskedAndGivesWhatComesBack) {
    TestServer server(pair_, [](TestExchange& exchange) {
        exchange.send(
            http_answer(201, "{\"a\":1}",
                        "Warning: 299 - \"shorter \\\"than\\\" asked\"\r\nDate: Tue, 24 Nov 2026 05:39:00 GMT\r\n"));
    });
    ClusterAccess as = access(server.url());
    as.user.impersonation = {.user = "ada", .uid = {}, .groups = {"a", "b"}, .extra = {{"example.org/x", "1"}}};
    const auto made = client(std::move(as));
    const ApiResult result = ask(*made, {.method = "POST",
                                         .path = api_path({"api", "v1", "namespaces", "shop", "a b"}),
                                         .query = api_query({{"dryRun", "All"}, {"q", "a&b"}}),
                                         .body = Secret("{\"spec\":{}}")});
    ASSERT_TRUE(result) << result.error().error.what;
    EXPECT_EQ(result->http_status, 201);
    EXPECT_EQ(result->body.view(), "{\"a\":1}");
    EXPECT_EQ(result->warnings, std::vector<std::string>{"shorter \"than\" asked"});
    EXPECT_EQ(result->server_time, WallTime(1'795'498'740s));
    const TestRequest sent = server.requests().at(0);
    EXPECT_TRUE(sent.head.starts_with("POST /api/v1/namespaces/shop/a%20b?dryRun=All&q=a%26b HTTP/1.1\r\n"))
        << sent.head;
    EXPECT_EQ(sent.body, "{\"spec\":{}}");
    EXPECT_EQ(sent.header("Authorization"), "Bearer token-1");
    EXPECT_EQ(sent.header("Content-Type"), "application/json");
    EXPECT_EQ(sent.header("Impersonate-User"), "ada");
    EXPECT_TRUE(sent.head.contains("Impersonate-Group: a\r\nImpersonate-Group: b\r\n"));
    EXPECT_EQ(sent.header("Impersonate-Extra-example.org%2Fx"), "1");
}

TEST_F(ApiClientTest, KeepsItsConnection) {
    TestServer server(pair_, answer_ok);
    const auto made = client(access(server.url()));
    for (int i = 0; i < 20; ++i)
        EXPECT_TRUE(ask(*made));
    EXPECT_EQ(server.connections(), 1);
    EXPECT_EQ(made->figures().requests, 20u);
    EXPECT_EQ(made->figures().connections, 1u);
}

TEST_F(ApiClientTest, WakesNobodyWhileNothingIsAsked) {
    TestServer server(pair_, answer_ok);
    const auto made = client(access(server.url()));
    EXPECT_TRUE(ask(*made));
    EXPECT_EQ(uv_loop_alive(&loop_.uv()), 0) << "a timer is armed, or a descriptor watched";
}

TEST_F(ApiClientTest, AsksManyThingsAtOnce) {
    TestServer server(pair_, answer_ok);
    const auto made = client(access(server.url()));
    int answered = 0;
    for (int i = 0; i < 60; ++i)
        made->request({.path = "/version"}, [&](ApiResult result) { answered += result ? 1 : 0; }).leave_to_client();
    EXPECT_TRUE(loop_.run_until([&] { return answered == 60; })) << answered;
}

TEST_F(ApiClientTest, BelievesOnlyTheServerThatItIsTold) {
    TestAuthority stranger("stranger");
    struct Case {
        std::string_view name;
        TestPair pair;
        std::string_view want;
    };
    const Case cases[] = {
        {"wrong name", authority_.issue({.name = "x", .alternative_names = "DNS:other.example"}), "localhost"},
        {"wrong CA", stranger.issue({.name = "localhost", .alternative_names = "DNS:localhost"}), "issuer certificate"},
        {"expired", authority_.issue({.name = "x", .alternative_names = "DNS:localhost", .from_day = -2, .to_day = -1}),
         "expired"},
        {"not yet valid",
         authority_.issue({.name = "x", .alternative_names = "DNS:localhost", .from_day = 1, .to_day = 2}),
         "not yet valid"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        TestServer server(c.pair, answer_ok);
        const ApiError error = failure(access(server.url()));
        EXPECT_TRUE(error.is_retryable());
        EXPECT_EQ(error.http_status, 0);
        EXPECT_TRUE(error.error.what.starts_with("GET /version: " + server.url() + ": ")) << error.error.what;
        EXPECT_TRUE(error.error.what.contains(c.want)) << error.error.what;
        EXPECT_TRUE(error.error.what.ends_with("; trusted is the test's CA")) << error.error.what;
        EXPECT_TRUE(server.requests().empty()) << "the token was sent";
    }
}

TEST_F(ApiClientTest, TrustsTheSystemWhenTheKubeconfigNamesNobody) {
    TestServer server(pair_, answer_ok);
    ClusterAccess open = access(server.url());
    open.cluster.certificate_authority = {};
    const ApiError error = failure(std::move(open));
    EXPECT_TRUE(error.error.what.contains("trusted is what this system trusts")) << error.error.what;
}

TEST_F(ApiClientTest, BelievesAnybodyOnlyWhenToldTo) {
    TestAuthority stranger("stranger");
    TestServer server(stranger.issue({.name = "x", .alternative_names = "DNS:x"}), answer_ok);
    ClusterAccess open = access(server.url());
    open.cluster.certificate_authority = {};
    open.cluster.tls_verification = TlsVerification::Off;
    const auto made = client(std::move(open));
    EXPECT_TRUE(ask(*made));
    ASSERT_EQ(made->warnings().size(), 1u);
    EXPECT_TRUE(made->warnings()[0].contains("insecure-skip-tls-verify"));
}

TEST_F(ApiClientTest, LooksForAnotherNameInTheCertificateWhenToldTo) {
    TestServer server(authority_.issue({.name = "x", .alternative_names = "DNS:kubernetes.default"}), answer_ok);
    ClusterAccess other = access(server.url("127.0.0.1"));
    other.cluster.tls_server_name = "kubernetes.default";
    const auto made = client(std::move(other));
    const ApiResult result = ask(*made);
    ASSERT_TRUE(result) << result.error().error.what;
    EXPECT_EQ(server.requests().at(0).header("Host"), "127.0.0.1:" + std::to_string(server.port()));
}

TEST_F(ApiClientTest, ShowsItsCertificate) {
    std::string seen;
    TestServer server(
        pair_,
        [&](TestExchange& exchange) {
            seen = exchange.client_name;
            answer_ok(exchange);
        },
        authority_.pem());
    const TestPair own = authority_.issue({.name = "agent", .alternative_names = ""});
    ClusterAccess with = access(server.url());
    with.user.client_certificate = {.file = {}, .bytes = Secret(own.certificate_pem), .where = "line 1"};
    with.user.client_key = {.file = {}, .bytes = Secret(own.key_pem), .where = "line 2"};
    const auto made = client(std::move(with));
    const ApiResult result = ask(*made);
    ASSERT_TRUE(result) << result.error().error.what;
    EXPECT_EQ(seen, "agent");
}

TEST_F(ApiClientTest, ReadsItsTokenAgainAfterA401) {
    TestServer server(pair_, [&](TestExchange& exchange) {
        // The token was exchanged while the request was on its way.
        if (exchange.number == 1)
            write("token", "token-2\n");
        exchange.send(exchange.request.header("Authorization") == "Bearer token-2" ? http_answer(200, "{}")
                                                                                   : http_answer(401, "{}"));
    });
    ClusterAccess from_file = access(server.url());
    from_file.user.token = {.file = write("token", "token-1\n"), .bytes = {}, .where = "line 9"};
    const auto made = client(std::move(from_file));
    const ApiResult result = ask(*made);
    ASSERT_TRUE(result) << result.error().error.what;
    EXPECT_EQ(server.requests().size(), 2u);
    EXPECT_EQ(made->figures().unauthorized, 1u);
}

TEST_F(ApiClientTest, TakesANewTokenWithoutBeingTold) {
    TestServer server(pair_, answer_ok);
    ClusterAccess from_file = access(server.url());
    from_file.user.token = {.file = write("token", "token-1\n"), .bytes = {}, .where = "line 9"};
    const auto made = client(std::move(from_file));
    EXPECT_TRUE(ask(*made));
    write("token", "token-2\n");
    EXPECT_TRUE(ask(*made));
    std::filesystem::remove(directory_ / "token");
    EXPECT_TRUE(ask(*made)) << "what it had is better than nothing";
    const auto requests = server.requests();
    EXPECT_EQ(requests.at(0).header("Authorization"), "Bearer token-1");
    EXPECT_EQ(requests.at(1).header("Authorization"), "Bearer token-2");
    EXPECT_EQ(requests.at(2).header("Authorization"), "Bearer token-2");
}

TEST_F(ApiClientTest, AsksOnceWhenThereIsNoOtherCredential) {
    TestServer server(pair_, [](TestExchange& exchange) { exchange.send(http_answer(401, "{}")); });
    const ApiError error = failure(access(server.url()));
    EXPECT_EQ(error.error.code, Errc::Denied);
    EXPECT_TRUE(error.error.what.contains("line 9: users[0].user.token")) << error.error.what;
    EXPECT_EQ(server.requests().size(), 1u);
}

TEST_F(ApiClientTest, SaysWhyThereIsNoNewerCredential) {
    TestServer server(pair_, [](TestExchange& exchange) { exchange.send(http_answer(401, "{}")); });
    ClusterAccess from_file = access(server.url());
    from_file.user.token = {.file = write("token", "token-1\n"), .bytes = {}, .where = "line 9"};
    const auto made = client(std::move(from_file));
    std::filesystem::remove(directory_ / "token");
    const ApiResult result = ask(*made);
    ASSERT_FALSE(result);
    EXPECT_TRUE(result.error().error.what.contains("there is no newer one: line 9: stat("))
        << result.error().error.what;
}

TEST_F(ApiClientTest, BelievesANewAuthorityAsSoonAsTheFileHoldsIt) {
    TestAuthority next("next");
    TestServer server(next.issue({.name = "x", .alternative_names = "DNS:localhost"}), answer_ok);
    ClusterAccess from_file = access(server.url());
    from_file.cluster.certificate_authority = {
        .file = write("ca.crt", authority_.pem()), .bytes = {}, .where = "line 3"};
    const auto made = client(std::move(from_file));
    EXPECT_FALSE(ask(*made));
    write("ca.crt", "half a certif");
    EXPECT_FALSE(ask(*made));
    write("ca.crt", authority_.pem() + next.pem());
    const ApiResult result = ask(*made);
    EXPECT_TRUE(result) << result.error().error.what;
}

TEST_F(ApiClientTest, TellsWhenToAskAgain) {
    TestServer server(pair_,
                      [](TestExchange& exchange) { exchange.send(http_answer(429, "{}", "Retry-After: 7\r\n")); });
    const ApiError error = failure(access(server.url()));
    EXPECT_TRUE(error.is_retryable());
    EXPECT_EQ(error.retry_after, 7s);
    EXPECT_EQ(error.http_status, 429);
}

TEST_F(ApiClientTest, GivesAdviceForTheNamespaceAskedFor) {
    TestServer server(pair_, [](TestExchange& exchange) {
        exchange.send(http_answer(
            403,
            R"({"kind":"Status","reason":"Forbidden","message":"serviceaccounts \"web\" is forbidden: audience \"v\" )"
            R"(not found in pod spec volume, system:node:e is not authorized to request tokens for this audience"})"));
    });
    const ApiError error =
        failure(access(server.url()),
                {.path = api_path({"api", "v1", "namespaces", "shop", "serviceaccounts", "web", "token"})});
    EXPECT_EQ(error.error.code, Errc::Denied);
    EXPECT_TRUE(error.advice.contains("namespace: \"shop\"")) << error.advice;
}

TEST_F(ApiClientTest, TakesBrokenAnswersForNoAnswer) {
    struct Case {
        std::string_view name;
        TestServer::Handler handler;
    };
    const Case cases[] = {
        {"cut before the answer", [](TestExchange& exchange) { exchange.cut(); }},
        {"cut in the head",
         [](TestExchange& exchange) {
             exchange.send("HTTP/1.1 200 OK\r\nContent-Le");
             exchange.cut();
         }},
        {"cut in the body",
         [](TestExchange& exchange) {
             exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{");
             exchange.cut();
         }},
        {"garbage",
         [](TestExchange& exchange) {
             exchange.send("\x01\x02 what?\r\n\r\n");
             exchange.cut();
         }},
        {"bad chunks",
         [](TestExchange& exchange) { exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"); }},
        {"endless headers",
         [](TestExchange& exchange) {
             exchange.send("HTTP/1.1 200 OK\r\n");
             for (int i = 0; i < 80; ++i)
                 exchange.send("X-Line: " + std::string(1000, 'x') + "\r\n");
             exchange.send("\r\n");
         }},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        TestServer server(pair_, c.handler);
        const ApiError error = failure(access(server.url()));
        EXPECT_TRUE(error.is_retryable()) << error.error.what;
        EXPECT_EQ(error.http_status, 0);
    }
}

TEST_F(ApiClientTest, FindsNobodyWhereNobodyListens) {
    std::string url;
    {
        TestServer server(pair_, answer_ok);
        url = server.url("127.0.0.1");
    }
    const ApiError error = failure(access(url));
    EXPECT_TRUE(error.is_retryable());
    EXPECT_TRUE(error.error.what.contains("onnect")) << error.error.what;
}

TEST_F(ApiClientTest, ConnectsAnewWhenTheServerHasClosedItsConnection) {
    TestServer server(pair_, [](TestExchange& exchange) {
        answer_ok(exchange);
        exchange.cut();
    });
    const auto made = client(access(server.url()));
    EXPECT_TRUE(ask(*made));
    // Whoever asks in the very moment of the cut may be told to ask again.
    for (int i = 0; i < 3; ++i) {
        const ApiResult later = ask(*made);
        EXPECT_TRUE(later || later.error().is_retryable());
    }
    EXPECT_GE(server.connections(), 2);
}

TEST_F(ApiClientTest, StopsReadingAnAnswerThatIsTooLong) {
    TestServer server(pair_, [](TestExchange& exchange) { exchange.send(http_answer(200, std::string(5000, 'x'))); });
    const ApiError error = failure(access(server.url()), {.path = "/version", .answer_bytes = 4999});
    EXPECT_FALSE(error.is_retryable());
    EXPECT_TRUE(error.error.what.contains("longer than 4999 bytes")) << error.error.what;
}

TEST_F(ApiClientTest, FollowsNoRedirect) {
    TestServer elsewhere(pair_, answer_ok);
    TestServer server(pair_, [&](TestExchange& exchange) {
        exchange.send(http_answer(302, "", "Location: " + elsewhere.url() + "/version\r\n"));
    });
    const ApiError error = failure(access(server.url()));
    EXPECT_EQ(error.http_status, 302);
    EXPECT_FALSE(error.is_retryable());
    EXPECT_EQ(elsewhere.connections(), 0);
}

TEST_F(ApiClientTest, WaitsNoLongerThanItIsTold) {
    // A busy machine may need more than the first to send it.
    for (const auto& [time, in_words] :
         {std::pair(80ms, "80 ms"), std::pair(2000ms, "2 s"), std::pair(15000ms, "15 s")}) {
        TestServer server(pair_, [](TestExchange& exchange) {
            if (exchange.request.head.starts_with("GET /slow "))
                return exchange.wait();
            answer_ok(exchange);
        });
        const auto made = client(access(server.url()));
        EXPECT_TRUE(ask(*made));
        const ApiResult late = ask(*made, {.path = "/slow", .time = time});
        ASSERT_FALSE(late);
        EXPECT_TRUE(late.error().is_retryable());
        if (server.requests().size() < 2)
            continue;
        EXPECT_TRUE(late.error().error.what.ends_with(std::string("no answer within ") + in_words))
            << late.error().error.what;
        EXPECT_TRUE(ask(*made)) << "by a connection of its own";
        EXPECT_EQ(server.connections(), 2);
        return;
    }
    ADD_FAILURE() << "the request was never sent";
}

TEST_F(ApiClientTest, StreamsWhatArrives) {
    TestServer server(pair_, [](TestExchange& exchange) {
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n");
        exchange.send("4\r\ntwo\n\r\n");
        exchange.send("0\r\n\r\n");
    });
    const auto made = client(access(server.url()));
    std::string got;
    const ApiResult result =
        ask(*made, {.path = "/watch", .answer_bytes = 0, .on_data = [&](std::string_view data) { got += data; }});
    ASSERT_TRUE(result) << result.error().error.what;
    EXPECT_EQ(got, "one\ntwo\n");
    EXPECT_TRUE(result->body.empty());
}

TEST_F(ApiClientTest, StreamsNoRefusal) {
    TestServer server(pair_, [](TestExchange& exchange) {
        exchange.send(http_answer(410, R"({"kind":"Status","reason":"Expired","message":"too old"})"));
    });
    std::string got;
    const ApiError error =
        failure(access(server.url()), {.path = "/watch", .on_data = [&](std::string_view data) { got += data; }});
    EXPECT_EQ(got, "");
    EXPECT_TRUE(error.is_expired());
}

TEST_F(ApiClientTest, EndsAStreamThatHasFallenSilent) {
    TestServer server(pair_, [](TestExchange& exchange) {
        if (!exchange.request.head.starts_with("GET /watch "))
            return answer_ok(exchange);
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n");
        exchange.wait();
    });
    const auto made = client(access(server.url()));
    // On a busy machine the first piece may take longer than the first of these.
    for (const auto& [time, in_words] :
         {std::pair(300ms, "300 ms"), std::pair(2000ms, "2 s"), std::pair(15000ms, "15 s")}) {
        SCOPED_TRACE(in_words);
        EXPECT_TRUE(ask(*made)) << "so that the connection is there when the clock starts";
        std::string got;
        const ApiResult result = ask(
            *made,
            {.path = "/watch", .time = 0ms, .idle_time = time, .on_data = [&](std::string_view data) { got += data; }});
        ASSERT_FALSE(result);
        EXPECT_TRUE(result.error().is_retryable());
        EXPECT_TRUE(result.error().error.what.ends_with(std::string("nothing was heard for ") + in_words))
            << result.error().error.what;
        if (got == "one\n")
            return;
    }
    ADD_FAILURE() << "no piece of the stream came";
}

TEST_F(ApiClientTest, GoesThroughAProxy) {
    TestServer server(pair_, answer_ok);
    TestProxy proxy(server.port(), 200);
    // A name that only the proxy would know.
    ClusterAccess through = access("https://api.cluster.example:6443");
    through.cluster.tls_server_name = "localhost";
    through.cluster.proxy_url = Secret("http://ada:s3cret@127.0.0.1:" + std::to_string(proxy.port()));
    const auto made = client(std::move(through));
    const ApiResult result = ask(*made);
    ASSERT_TRUE(result) << result.error().error.what;
    ASSERT_EQ(proxy.heads().size(), 1u);
    EXPECT_TRUE(proxy.heads()[0].starts_with("CONNECT api.cluster.example:6443 HTTP/1.1\r\n")) << proxy.heads()[0];
    EXPECT_TRUE(proxy.heads()[0].contains("Proxy-Authorization: Basic "));
    EXPECT_FALSE(proxy.heads()[0].contains("Bearer")) << "the token is the server's";
}

TEST_F(ApiClientTest, NeedsItsProxy) {
    TestServer server(pair_, answer_ok);
    TestProxy proxy(server.port(), 407);
    ClusterAccess through = access(server.url());
    through.cluster.proxy_url = Secret("http://ada:s3cret@127.0.0.1:" + std::to_string(proxy.port()));
    const ApiError error = failure(std::move(through));
    EXPECT_TRUE(error.is_retryable());
    EXPECT_TRUE(error.error.what.contains("407")) << error.error.what;
    EXPECT_FALSE(error.error.what.contains("s3cret"));
    EXPECT_EQ(server.connections(), 0) << "went around it";
}

TEST_F(ApiClientTest, ForgetsACallThatIsDropped) {
    TestServer server(pair_, [](TestExchange& exchange) { exchange.wait(); });
    const auto made = client(access(server.url()));
    ApiCall call = made->request({.path = "/version"}, [](ApiResult) { FAIL() << "was called"; });
    EXPECT_TRUE(call);
    EXPECT_TRUE(loop_.run_until([&] { return !server.requests().empty(); }));
    call = ApiCall();
    ApiCall never = made->request({.path = "/version"}, [](ApiResult) { FAIL() << "was called"; });
    never = ApiCall();
    loop_.run_turns();
}

TEST_F(ApiClientTest, DropsWhatIsPendingWhenItGoes) {
    TestServer server(pair_, [](TestExchange& exchange) { exchange.wait(); });
    auto made = client(access(server.url()));
    const ApiCall call = made->request({.path = "/version"}, [](ApiResult) { FAIL() << "was called"; });
    EXPECT_TRUE(loop_.run_until([&] { return !server.requests().empty(); }));
    made.reset();
    EXPECT_FALSE(call);
    loop_.run_turns();
}

TEST_F(ApiClientTest, MayBeDestroyedByItsOwnAnswer) {
    TestServer server(pair_, answer_ok);
    auto made = client(access(server.url()));
    std::vector<ApiCall> calls;
    int answered = 0;
    for (int i = 0; i < 5; ++i)
        calls.push_back(made->request({.path = "/version"}, [&](ApiResult) {
            ++answered;
            made.reset();
        }));
    EXPECT_TRUE(loop_.run_until([&] { return made == nullptr; }));
    EXPECT_EQ(answered, 1);
    for (const ApiCall& call : calls)
        EXPECT_FALSE(call);
}

TEST_F(ApiClientTest, MayBeDestroyedByAPieceOfAStream) {
    TestServer server(pair_, [](TestExchange& exchange) {
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n");
        exchange.wait();
    });
    auto made = client(access(server.url()));
    made->request({.path = "/watch", .on_data = [&](std::string_view) { made.reset(); }},
                  [](ApiResult) { FAIL() << "was called"; })
        .leave_to_client();
    EXPECT_TRUE(loop_.run_until([&] { return made == nullptr; }));
}

TEST_F(ApiClientTest, ACallMayBeDroppedByAPieceOfItsStream) {
    TestServer server(pair_, [](TestExchange& exchange) {
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n");
        exchange.wait();
    });
    const auto made = client(access(server.url()));
    ApiCall call;
    bool heard = false;
    call = made->request({.path = "/watch",
                          .on_data =
                              [&](std::string_view) {
                                  heard = true;
                                  call = ApiCall();
                              }},
                         [](ApiResult) { FAIL() << "was called"; });
    EXPECT_TRUE(loop_.run_until([&] { return heard; }));
}

TEST_F(ApiClientTest, RefusesAtOnceWhatNoWaitingMends) {
    struct Case {
        std::string_view name;
        std::string want;
        std::function<void(ClusterAccess&)> spoil;
    };
    const TestPair own = authority_.issue({.name = "agent", .alternative_names = ""});
    const TestPair other = authority_.issue({.name = "other", .alternative_names = ""});
    const TestPair expired = authority_.issue({.name = "a", .alternative_names = "", .from_day = -2, .to_day = -1});
    const auto embed = [](ClusterAccess& access, const std::string& certificate, const std::string& key) {
        access.user.client_certificate = {.file = {}, .bytes = Secret(certificate), .where = "line 1"};
        access.user.client_key = {.file = {}, .bytes = Secret(key), .where = "line 2"};
    };
    const Case cases[] = {
        {"CA file missing", "line 3: stat(/nonexistent/ca.crt): No such file or directory",
         [](ClusterAccess& access) { access.cluster.certificate_authority = {"/nonexistent/ca.crt", {}, "line 3"}; }},
        {"CA that is no PEM", "line 3: holds no certificate in PEM",
         [](ClusterAccess& access) { access.cluster.certificate_authority = {"", Secret("hello"), "line 3"}; }},
        {"CA that is DER", "line 3: holds no certificate in PEM; it looks like DER",
         [](ClusterAccess& access) { access.cluster.certificate_authority = {"", Secret("0\x82\x01"), "line 3"}; }},
        {"CA bundle with a damaged end", "line 3: certificate 2 of it is damaged",
         [&](ClusterAccess& access) {
             access.cluster.certificate_authority = {
                 "", Secret(authority_.pem() + authority_.pem().substr(0, 200) + "\n-----END CERTIFICATE-----\n"),
                 "line 3"};
         }},
        {"key in place of the certificate",
         "line 1: holds no certificate in PEM; what it holds is something else, or damaged",
         [&](ClusterAccess& access) { embed(access, own.key_pem, own.key_pem); }},
        {"certificate in place of the key", "line 2: holds no private key in PEM",
         [&](ClusterAccess& access) { embed(access, own.certificate_pem, own.certificate_pem); }},
        {"key of another", "line 2: the key is not that of the certificate in line 1",
         [&](ClusterAccess& access) { embed(access, own.certificate_pem, other.key_pem); }},
        {"expired certificate", "line 1: the client certificate expired at ",
         [&](ClusterAccess& access) { embed(access, expired.certificate_pem, expired.key_pem); }},
        {"token file missing", "line 9: stat(/nonexistent/token): No such file or directory",
         [](ClusterAccess& access) { access.user.token = {"/nonexistent/token", {}, "line 9"}; }},
        {"token file empty", "line 9: " + write("empty", " \n") + ": holds no token",
         [&](ClusterAccess& access) { access.user.token = {write("empty", " \n"), {}, "line 9"}; }},
        {"token file of two lines", "holds a character that no token has",
         [&](ClusterAccess& access) { access.user.token = {write("two", "a\nb\n"), {}, "line 9"}; }},
        {"token file that is a directory", "line 9: /dev: is no regular file",
         [](ClusterAccess& access) { access.user.token = {"/dev", {}, "line 9"}; }},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        ClusterAccess spoilt = access("https://localhost:1");
        c.spoil(spoilt);
        const auto made = ApiClient::create(loop_.uv(), std::move(spoilt), {});
        ASSERT_FALSE(made);
        EXPECT_NE(made.error().code, Errc::Unavailable);
        EXPECT_TRUE(made.error().what.contains(c.want)) << made.error().what;
        EXPECT_FALSE(made.error().what.contains('\n'));
    }
}

}  // namespace
}  // namespace tokenlet::kube
