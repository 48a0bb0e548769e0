// SPDX-License-Identifier: Apache-2.0
#include "http/listener.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <mutex>

#include "tests/http/running_listener.h"
#include "tests/http/scratch_directory.h"

namespace tokenlet::http {
namespace {

using namespace std::chrono_literals;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::string_view kGet = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

class ListenerTest : public testing::Test {
protected:
    ScratchDirectory directory_;
    std::string socket_ = directory_.file("s");
};

TEST_F(ListenerTest, ARequestArrivesWholeAndItsAnswerGoesBack) {
    std::mutex mutex;
    std::vector<Request> seen;
    RunningListener listener(socket_, {}, [&](Listener& l, Batch batch) {
        for (Request& request : batch.requests) {
            l.respond(request.id, json_response(201, R"({"a":1})"));
            const std::lock_guard lock(mutex);
            seen.push_back(std::move(request));
        }
    });
    ASSERT_TRUE(listener.started());
    RawClient client(socket_);
    client.send("POST /v1/a?b=c HTTP/1.1\r\nHost: h\r\nX-Y: z\r\nContent-Length: 5\r\n\r\nhel");
    client.send("lo");
    const std::string answer = client.read_until("}");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 201 "));
    EXPECT_THAT(answer, HasSubstr("Content-Type: application/json\r\n"));
    EXPECT_THAT(answer, HasSubstr("Content-Length: 7\r\n"));
    EXPECT_THAT(answer, EndsWith("\r\n\r\n{\"a\":1}"));
    const std::lock_guard lock(mutex);
    ASSERT_EQ(seen.size(), 1U);
    EXPECT_EQ(seen[0].method, "POST");
    EXPECT_EQ(seen[0].target, "/v1/a?b=c");
    EXPECT_EQ(seen[0].header("x-y"), "z");
    EXPECT_EQ(seen[0].body.view(), "hello");
    ASSERT_TRUE(seen[0].peer);
    EXPECT_EQ(seen[0].peer->uid, ::getuid());
    EXPECT_EQ(seen[0].peer->gid, ::getgid());
    EXPECT_EQ(seen[0].peer->pid, ::getpid());
}

TEST_F(ListenerTest, BadRequestsAreAnsweredAndNeverReachTheCaller) {
    struct Case {
        std::string_view name;
        std::string bytes;
        std::string_view want;
    };
    const std::string host = "Host: a\r\n";
    const Case cases[] = {
        {"two Content-Lengths", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
         "400"},
        {"the same Content-Length twice",
         "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", "400"},
        {"length and chunked",
         "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
        {"no Host", "GET / HTTP/1.1\r\n\r\n", "400"},
        {"a blank before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"},
        {"a bare line feed", "GET / HTTP/1.1\nHost: a\n\n", "400"},
        {"a NUL, which would end the head",
         "POST / HTTP/1.1\r\n" + host + std::string(1, '\0') + "\r\nContent-Length: 4\r\n\r\nbody", "400"},
        {"an unknown encoding", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n", "400"},
        {"a huge body by its length",
         "POST / HTTP/1.1\r\n" + host + "Content-Length: 70000\r\n\r\n" + std::string(70000, 'b'), "413"},
        {"a huge body in chunks",
         "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n11170\r\n" + std::string(70000, 'b') +
             "\r\n0\r\n\r\n",
         "413"},
        {"a length beyond all numbers",
         "POST / HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999999\r\n\r\n", "4"},
        {"a huge field", "GET / HTTP/1.1\r\n" + host + "X: " + std::string(20000, 'x') + "\r\n\r\n", "4"},
        {"many fields",
         [&] {
             std::string all = "GET / HTTP/1.1\r\n" + host;
             for (int i = 0; i < 2000; ++i)
                 all += "X-" + std::to_string(i) + ": y\r\n";
             return all + "\r\n";
         }(),
         "4"},
        {"an unknown method", "BREW / HTTP/1.1\r\n" + host + "\r\n", "501"},
        {"not HTTP", "hello there\r\n\r\n", "4"},
        {"a target without a slash", "GET http://a/ HTTP/1.1\r\n" + host + "\r\n", "400"},
    };
    std::atomic<int> reached = 0;
    RunningListener listener(socket_, {.request_time = 2s}, [&](Listener& l, Batch batch) {
        reached += static_cast<int>(batch.requests.size());
        RunningListener::echo(l, std::move(batch));
    });
    ASSERT_TRUE(listener.started());
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        RawClient client(socket_);
        client.send(c.bytes);
        EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 " + std::string(c.want)));
        EXPECT_EQ(reached, 0);
    }
    RawClient client(socket_);
    client.send(kGet);
    EXPECT_THAT(client.read_until("GET /x 0"), StartsWith("HTTP/1.1 200"));
}

TEST_F(ListenerTest, ATlsHandshakeOrGarbageEndsTheConnectionAndNothingElse) {
    RunningListener listener(socket_, {.request_time = 200ms}, RunningListener::echo);
    ASSERT_TRUE(listener.started());
    RawClient garbage(socket_);
    garbage.send(std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\0\0\0", 14));
    EXPECT_THAT(garbage.read_all(), EndsWith("<end>"));
}

TEST_F(ListenerTest, PipelinedRequestsAreAnsweredInTheirOrder) {
    RunningListener listener(socket_, {}, RunningListener::echo);
    ASSERT_TRUE(listener.started());
    RawClient client(socket_);
    std::string all;
    for (int i = 0; i < 50; ++i)
        all += "POST /" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na\nb";
    client.send(all);
    const std::string answers = client.read_until("POST /49 3");
    std::size_t at = 0;
    for (int i = 0; i < 50; ++i) {
        at = answers.find("POST /" + std::to_string(i) + " 3", at);
        ASSERT_NE(at, std::string::npos) << i;
    }
}

TEST_F(ListenerTest, ABareLineFeedInAPipelinedRequestIsSeenToo) {
    RunningListener listener(socket_, {}, RunningListener::echo);
    ASSERT_TRUE(listener.started());
    RawClient client(socket_);
    client.send(std::string(kGet) + "GET /y HTTP/1.1\nHost: a\r\n\r\n");
    const std::string answers = client.read_all();
    EXPECT_THAT(answers, StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(answers, HasSubstr("HTTP/1.1 400 "));
    EXPECT_THAT(answers, testing::Not(HasSubstr("GET /y")));
}

TEST_F(ListenerTest, AChunkedBodyArrivesWhole) {
    RunningListener listener(socket_, {}, RunningListener::echo);
    ASSERT_TRUE(listener.started());
    RawClient client(socket_);
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
    EXPECT_THAT(client.read_until("POST /x 7"), StartsWith("HTTP/1.1 200"));
}

// evhttp lets a bare line feed end a chunk's line, and 0x3 be a length: another reader may see the end elsewhere.
TEST_F(ListenerTest, NothingIsReadBehindAChunkedBody) {
    RunningListener listener(socket_, {}, RunningListener::echo);
    ASSERT_TRUE(listener.started());
    RawClient client(socket_);
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n" + std::string(kGet));
    const std::string answers = client.read_all();
    EXPECT_THAT(answers, HasSubstr("Connection: close"));
    EXPECT_THAT(answers, EndsWith("POST /x 0<end>"));
}

TEST_F(ListenerTest, ABodyOfTheFullSizeArrives) {
    RunningListener listener(socket_, {}, RunningListener::echo);
    ASSERT_TRUE(listener.started());
    RawClient client(socket_);
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n" + std::string(65536, 'b'));
    EXPECT_THAT(client.read_until("POST /x 65536"), StartsWith("HTTP/1.1 200"));
}

TEST_F(ListenerTest, WhoeverAsksForCloseGetsTheWholeAnswerFirst) {
    const std::string big(3'000'000, 'x');
    RunningListener listener(socket_, {}, [&](Listener& l, Batch batch) {
        for (const Request& request : batch.requests)
            l.respond(request.id, text_response(200, big));
    });
    ASSERT_TRUE(listener.started());
    for (const std::string_view bytes :
         {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"}) {
        RawClient client(socket_);
        client.send(bytes);
        const std::string answer = client.read_all();
        EXPECT_THAT(answer, StartsWith("HTTP/1."));
        EXPECT_GT(answer.size(), big.size());
        EXPECT_THAT(answer, EndsWith("x<end>"));
    }
}

TEST_F(ListenerTest, WhoeverSendsSlowlyIsCutOffAtTheDeadline) {
    RunningListener listener(socket_, {.request_time = 300ms}, RunningListener::echo);
    ASSERT_TRUE(listener.started());
    RawClient silent(socket_);
    RawClient slow(socket_);
    // A byte every 10 ms would keep any idle time from passing.
    std::size_t sent = 0;
    while (slow.send(std::string_view("GET / HTTP/1.1\r\nX: ").substr(sent < 19 ? sent : 18, 1)) && sent < 500) {
        ++sent;
        pollfd nothing{.fd = -1, .events = 0, .revents = 0};
        ::poll(&nothing, 1, 10);
    }
    EXPECT_LT(sent, 500U);
    EXPECT_THAT(silent.read_all(), EndsWith("<end>"));
    RawClient good(socket_);
    good.send(kGet);
    EXPECT_THAT(good.read_until("GET /x 0"), StartsWith("HTTP/1.1 200"));
}

TEST_F(ListenerTest, AClientThatHangsUpBeforeTheAnswerHarmsNobody) {
    std::promise<void> arrived;
    std::promise<void> left;
    RunningListener listener(socket_, {}, [&, first = true](Listener& l, Batch batch) mutable {
        if (std::exchange(first, false)) {
            arrived.set_value();
            left.get_future().wait();
        }
        RunningListener::echo(l, std::move(batch));
    });
    ASSERT_TRUE(listener.started());
    {
        RawClient client(socket_);
        client.send(kGet);
        arrived.get_future().wait();
    }
    left.set_value();
    RawClient client(socket_);
    client.send(kGet);
    EXPECT_THAT(client.read_until("GET /x 0"), StartsWith("HTTP/1.1 200"));
}

TEST_F(ListenerTest, FiveHundredConnectionsAreServedAndTheNextOnesWait) {
    RunningListener listener(socket_, {.connections = 500}, RunningListener::echo);
    ASSERT_TRUE(listener.started());
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 500; ++i)
        clients.push_back(std::make_unique<RawClient>(socket_));
    for (const auto& client : clients)
        ASSERT_TRUE(client->send(kGet));
    for (const auto& client : clients)
        ASSERT_THAT(client->read_until("GET /x 0"), StartsWith("HTTP/1.1 200"));

    RawClient waiting(socket_);
    waiting.send(kGet);
    clients.pop_back();  // makes room
    EXPECT_THAT(waiting.read_until("GET /x 0"), StartsWith("HTTP/1.1 200"));
}

TEST_F(ListenerTest, AStreamReachesItsClientPieceByPieceAndItsEndIsToldOnce) {
    std::mutex mutex;
    std::condition_variable changed;
    RequestId id{};
    std::vector<RequestId> gone;
    RunningListener listener(socket_, {}, [&](Listener& l, Batch batch) {
        const std::lock_guard lock(mutex);
        for (const Request& request : batch.requests) {
            if (request.target == "/watch") {
                id = request.id;
                l.begin_stream(id, text_response(200, "one\n"));
            } else if (request.target == "/push") {
                l.send(id, Secret("two\n"));
                l.respond(request.id, {});
            } else {
                l.finish(id);
                l.respond(request.id, {});
            }
        }
        gone.insert(gone.end(), batch.gone.begin(), batch.gone.end());
        changed.notify_all();
    });
    ASSERT_TRUE(listener.started());
    const auto ask = [&](std::string_view target) {
        RawClient client(socket_);
        client.send("GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n");
        EXPECT_THAT(client.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 200"));
    };
    RawClient watcher(socket_);
    watcher.send("GET /watch HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_THAT(watcher.read_until("one\n"), HasSubstr("Transfer-Encoding: chunked"));
    ask("/push");
    watcher.read_until("two\n");
    ask("/finish");
    watcher.read_until("0\r\n\r\n");
    EXPECT_TRUE(gone.empty()) << "a stream that was finished is not gone";

    watcher.send("GET /watch HTTP/1.1\r\nHost: a\r\n\r\n");
    watcher.read_until("one\n");
    watcher.close();
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_for(lock, 10s, [&] { return gone.size() == 1; })) << "the client's leaving is noticed";
    EXPECT_EQ(gone.empty() ? RequestId{} : gone[0], id);
}

TEST_F(ListenerTest, AStreamThatNobodyReadsIsCut) {
    std::mutex mutex;
    std::condition_variable changed;
    bool gone = false;
    std::atomic<bool> pushing = true;
    RunningListener listener(socket_, {.stream_bytes = 100'000}, [&](Listener& l, Batch batch) {
        for (const Request& request : batch.requests) {
            l.begin_stream(request.id, {});
            for (int i = 0; i < 100; ++i)
                l.send(request.id, Secret(std::string(100'000, 'x')));
        }
        if (!batch.gone.empty()) {
            const std::lock_guard lock(mutex);
            gone = true;
            changed.notify_all();
        }
    });
    ASSERT_TRUE(listener.started());
    RawClient watcher(socket_);
    watcher.send(kGet);
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_for(lock, 10s, [&] { return gone; }));
}

TEST_F(ListenerTest, AnswersThatNobodyReadsAreBoundedTogether) {
    const std::string big(4'000'000, 'x');
    RunningListener listener(socket_, {.answer_bytes = 5'000'000}, [&](Listener& l, Batch batch) {
        for (const Request& request : batch.requests)
            l.respond(request.id, text_response(200, request.target == "/big" ? big : "small"));
    });
    ASSERT_TRUE(listener.started());
    RawClient hog(socket_);
    hog.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    hog.read_until("200 OK");
    RawClient second(socket_);
    second.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_THAT(second.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 503"));
    RawClient third(socket_);
    third.send(kGet);
    EXPECT_THAT(third.read_until("small"), StartsWith("HTTP/1.1 200"));
}

TEST_F(ListenerTest, WhoeverDoesNotTakeTheAnswerIsCutOff) {
    RunningListener listener(socket_, {.answer_time = 300ms}, [&](Listener& l, Batch batch) {
        for (const Request& request : batch.requests)
            l.respond(request.id, text_response(200, std::string(8'000'000, 'x')));
    });
    ASSERT_TRUE(listener.started());
    RawClient client(socket_);
    client.send(kGet);
    EXPECT_TRUE(client.wait_for_hangup());
    EXPECT_LT(client.read_all().size(), 8'000'000U);
}

TEST_F(ListenerTest, ItEndsAtOnceWithConnectionsOpenAndRequestsUnanswered) {
    const auto begin = std::chrono::steady_clock::now();
    RawClient* client = nullptr;
    std::unique_ptr<RawClient> owner;
    {
        auto listener = Listener::start({.socket = socket_}, {}, [] {});
        ASSERT_TRUE(listener);
        owner = std::make_unique<RawClient>(socket_);
        client = owner.get();
        client->send(kGet);
        RawClient idle(socket_);
        while ((*listener)->drain().requests.empty())
            std::this_thread::yield();
    }
    EXPECT_EQ(client->read_all(), "<end>");
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
    EXPECT_FALSE(std::filesystem::exists(socket_));
}

TEST_F(ListenerTest, ASecondAnswerToOneRequestAndAnswersToNobodyAreDropped) {
    RunningListener listener(socket_, {}, [&](Listener& l, Batch batch) {
        for (const Request& request : batch.requests) {
            l.respond(request.id, text_response(200, "first"));
            l.respond(request.id, text_response(200, "second"));
            l.send(request.id, Secret("third"));
            l.respond(RequestId{999'999}, text_response(200, "nobody"));
        }
    });
    ASSERT_TRUE(listener.started());
    RawClient client(socket_);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(client.read_all(), EndsWith("\r\n\r\nfirst<end>"));
}

}  // namespace
}  // namespace tokenlet::http
