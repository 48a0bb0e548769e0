// SPDX-License-Identifier: Apache-2.0
#include "http/unix_client.h"

#include <gtest/gtest.h>

#include "http/unix_socket.h"
#include "tests/http/running_listener.h"
#include "tests/http/scratch_directory.h"

namespace tokenlet::http {
namespace {

using namespace std::chrono_literals;

TEST(Fetch, GivesStatusAndBodyOfWhateverAnswer) {
    const ScratchDirectory directory;
    RunningListener listener(directory.file("s"), {}, [](Listener& l, Batch batch) {
        for (const Request& request : batch.requests)
            l.respond(request.id, text_response(request.target == "/x" ? 200 : 404,
                                                request.method + std::string(request.body.view())));
    });
    const Result<Response> found = fetch(directory.file("s"), {.target = "/x"});
    ASSERT_TRUE(found) << found.error().what;
    EXPECT_EQ(found->status, 200);
    EXPECT_EQ(found->body.view(), "GET");
    const Result<Response> posted =
        fetch(directory.file("s"), {.method = "POST", .target = "/y", .body = Secret(R"({"a":1})")});
    ASSERT_TRUE(posted) << posted.error().what;
    EXPECT_EQ(posted->status, 404);
    EXPECT_EQ(posted->body.view(), R"(POST{"a":1})");
}

TEST(Fetch, SaysWhenNobodyListens) {
    const ScratchDirectory directory;
    const Result<Response> absent = fetch(directory.file("s"), {});
    ASSERT_FALSE(absent);
    EXPECT_EQ(absent.error().code, Errc::NotFound);
    EXPECT_EQ(absent.error().what, directory.file("s") + ": nobody listens here");
    EXPECT_FALSE(fetch(directory.file(std::string(200, 'x')), {})) << "a name too long is an error, not a crash";
}

TEST(Fetch, IsBoundedInTimeAndSize) {
    const ScratchDirectory directory;
    const Result<BoundSocket> silent = BoundSocket::listen(directory.file("silent"));
    ASSERT_TRUE(silent);
    const Result<Response> late = fetch(directory.file("silent"), {.time = 100ms});
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, Errc::Unavailable);

    RunningListener listener(directory.file("s"), {}, [](Listener& l, Batch batch) {
        for (const Request& request : batch.requests)
            l.respond(request.id, text_response(200, std::string(1000, 'x')));
    });
    const Result<Response> large = fetch(directory.file("s"), {.body_bytes = 999});
    ASSERT_FALSE(large);
    EXPECT_EQ(large.error().code, Errc::Invalid);
    EXPECT_TRUE(fetch(directory.file("s"), {.body_bytes = 1000}));
}

}  // namespace
}  // namespace tokenlet::http
