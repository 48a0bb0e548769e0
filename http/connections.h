// SPDX-License-Identifier: Apache-2.0
// The connections of one listener: evhttp, with the limits and the ends it does not know.
//
// Shapes   evhttp events in, Inbox calls out; Command values in, bytes to clients out.
// Units    as in http/listener.h.
// Owns     evhttp and every connection; not the base and not the listening descriptor.
// Threads  the one that runs the base, all of it.
// Errors   open(): Io. A command for a connection that has gone does nothing.
//
// evhttp tells of a connection at its first whole request, and forgets to tell of its end before that. So each new
// connection is adopted as soon as evhttp has made it: from then on a close callback and a deadline watch over it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "http/head_check.h"
#include "http/listener.h"
#include "http/message.h"

struct bufferevent;
struct event;
struct event_base;
struct evconnlistener;
struct evhttp;
struct evhttp_connection;
struct evhttp_request;

namespace tokenlet::http {

// Where requests go.
class Inbox {
public:
    virtual ~Inbox() = default;
    virtual void add(Request request) = 0;
    virtual void add_gone(RequestId id) = 0;
};

// One call of the listener's owner, on its way to the listener's thread.
struct Command {
    enum class Kind { Respond, BeginStream, Send, Finish };
    RequestId id{};
    Kind kind = Kind::Respond;
    Response response;  // of Send only the body, of Finish nothing
};

class Connections {
public:
    [[nodiscard]] static Result<std::unique_ptr<Connections>> open(event_base* base, const UniqueFd& listening,
                                                                   const Limits& limits, Inbox& inbox);
    Connections(const Connections&) = delete;
    Connections& operator=(const Connections&) = delete;
    ~Connections();

    void carry_out(Command command);

private:
    struct Connection;
    struct FreeHttp {
        void operator()(evhttp* http) const;
    };
    struct FreeEvent {
        void operator()(event* e) const;
    };
    using EventPtr = std::unique_ptr<event, FreeEvent>;

    Connections(event_base* base, const Limits& limits, Inbox& inbox);

    [[nodiscard]] Result<> listen(const UniqueFd& listening);
    bufferevent* new_bufferevent();
    void adopt_newcomers();
    Connection* adopt(evhttp_connection* handle);
    void accept_if_below_limit();
    void on_request(evhttp_request* request);
    void on_answered(Connection& connection);
    void on_close(Connection& connection);
    void respond(Connection& connection, Response response);
    void begin_stream(Connection& connection, Response head);
    void send(Connection& connection, Secret chunk);

    event_base* base_;
    Limits limits_;
    Inbox& inbox_;
    std::uint64_t next_id_ = 1;
    std::size_t unsent_bytes_ = 0;         // of answers, over all connections
    std::vector<bufferevent*> newcomers_;  // made for evhttp, not adopted yet; one reference each is ours
    std::unordered_map<evhttp_connection*, std::unique_ptr<Connection>> connections_;
    std::unordered_map<std::uint64_t, Connection*> by_request_;
    EventPtr adopt_event_;
    evconnlistener* listener_ = nullptr;      // evhttp's, valid as long as it is
    std::unique_ptr<evhttp, FreeHttp> http_;  // the last member: its end calls back
};

}  // namespace tokenlet::http
