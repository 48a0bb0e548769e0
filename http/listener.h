// SPDX-License-Identifier: Apache-2.0
// An HTTP/1.1 server that hands whole requests to another thread and takes the answers from there.
//
//     auto listener = TRY(Listener::start({.socket = path}, {}, [&] { uv_async_send(&async); }));
//     ...                                              // when the wake-up has arrived on the caller's thread:
//     for (Request& request : listener->drain().requests)
//         listener->respond(request.id, json_response(200, status));
//
// Shapes   a request is answered once: by respond(), or by begin_stream(), any number of send(), and finish().
//          An answer to a client that has gone is dropped; only the end of a stream is told, in Batch::gone.
// Units    bytes and std::chrono, as named.
// Owns     its thread, the socket, its file, every connection. Going away closes them all; the file goes too.
// Threads  every method on one thread, the caller's. `wake` runs on the listener's thread, at most once between
//          two calls of drain(), and must not block. Nobody connected: that thread does not wake up.
// Errors   start(): Conflict when another process listens there; otherwise from the system call, naming the path.
//          What a client does wrong is answered to the client (400, 413, 501, 503) or ends its connection, and
//          never reaches the caller.
// Source   RFC 9112. The parser is libevent's evhttp, the best of five that were measured (docs/decisions.md).
// Differs  from evhttp alone: what http/head_check.h lists is refused, and so is a request that trickles in. A connection
//          ends with the first chunked request.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace tokenlet::http {

// Where to listen. For now a unix socket, which everybody may connect to (0666): who may do what is decided by Peer.
// The directory must exist. The file of a process that is gone is replaced, that of a living one never.
struct Endpoint {
    std::string socket;
};

// What one client, and all of them together, can make us hold.
struct Limits {
    std::size_t head_bytes = 8 * 1024;
    std::size_t body_bytes = 64 * 1024;
    std::size_t connections = 1024;                  // further ones wait in the kernel's queue
    std::size_t answer_bytes = 64 * 1024 * 1024;     // not yet taken by their clients; beyond: 503
    std::size_t stream_bytes = 256 * 1024;           // of one stream not yet taken by its client; beyond: cut
    std::chrono::milliseconds request_time{10'000};  // from the first moment, or the last answer, to a whole request
    std::chrono::milliseconds answer_time{60'000};   // for the client to take an answer
};

// What happened since the last look.
struct Batch {
    std::vector<Request> requests;
    std::vector<RequestId> gone;  // streams whose client has left; sending there does nothing
};

class Listener {
public:
    [[nodiscard]] static Result<std::unique_ptr<Listener>> start(Endpoint endpoint, Limits limits,
                                                                 std::function<void()> wake);
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    ~Listener();

    [[nodiscard]] Batch drain();

    void respond(RequestId id, Response response);

    // An answer whose end is not known yet; the body of `head` is its first chunk.
    void begin_stream(RequestId id, Response head);
    void send(RequestId id, Secret chunk);
    void finish(RequestId id);

private:
    class Server;
    explicit Listener(std::unique_ptr<Server> server);
    std::unique_ptr<Server> server_;
};

}  // namespace tokenlet::http
