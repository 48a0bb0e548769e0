// SPDX-License-Identifier: Apache-2.0
#include "http/connections.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <sys/socket.h>

#include <string>
#include <utility>

namespace tokenlet::http {

namespace {

constexpr int kForever = 30 * 24 * 3600;  // evhttp's own idle time, out of the way of our deadlines
constexpr timeval kAcceptPause{.tv_sec = 1, .tv_usec = 0};
constexpr std::size_t kReadAhead = 4096;  // beyond one request: how much of the next may wait with us

struct FreeBuffer {
    void operator()(evbuffer* buffer) const { ::evbuffer_free(buffer); }
};
using BufferPtr = std::unique_ptr<evbuffer, FreeBuffer>;

timeval to_timeval(std::chrono::milliseconds time) {
    return {.tv_sec = time.count() / 1000, .tv_usec = (time.count() % 1000) * 1000};
}

// The bytes go to the socket from where they are and are wiped when they have gone.
BufferPtr buffer_of(Secret bytes) {
    BufferPtr buffer(::evbuffer_new());
    if (bytes.empty())
        return buffer;
    auto* owner = new Secret(std::move(bytes));
    const auto free_owner = [](const void*, size_t, void* secret) noexcept { delete static_cast<Secret*>(secret); };
    if (::evbuffer_add_reference(buffer.get(), owner->view().data(), owner->size(), free_owner, owner) < 0)
        delete owner;
    return buffer;
}

// Moves what the buffer holds, and wipes it there.
Secret take_all(evbuffer* buffer) {
    Secret bytes;
    evbuffer_iovec part{};
    while (::evbuffer_peek(buffer, 1, nullptr, &part, 1) > 0) {
        bytes.append({static_cast<const char*>(part.iov_base), part.iov_len});
        wipe_memory(part.iov_base, part.iov_len);
        if (::evbuffer_drain(buffer, part.iov_len) < 0)
            break;
    }
    return bytes;
}

// Feeds what stands in the buffer from `offset` on.
void feed(LineEndings& lines, evbuffer* buffer, std::size_t offset) {
    evbuffer_ptr at{};
    evbuffer_iovec part{};
    while (offset < ::evbuffer_get_length(buffer) && !lines.head_is_over() &&
           ::evbuffer_ptr_set(buffer, &at, offset, EVBUFFER_PTR_SET) == 0 &&
           ::evbuffer_peek(buffer, -1, &at, &part, 1) > 0) {
        lines.feed({static_cast<const char*>(part.iov_base), part.iov_len});
        offset += part.iov_len;
    }
}

std::string_view method_name(evhttp_cmd_type type) {
    switch (type) {
        case EVHTTP_REQ_GET:
            return "GET";
        case EVHTTP_REQ_POST:
            return "POST";
        case EVHTTP_REQ_HEAD:
            return "HEAD";
        case EVHTTP_REQ_PUT:
            return "PUT";
        case EVHTTP_REQ_DELETE:
            return "DELETE";
        case EVHTTP_REQ_OPTIONS:
            return "OPTIONS";
        case EVHTTP_REQ_PATCH:
            return "PATCH";
        default:
            return "";
    }
}

constexpr ev_uint16_t kMethods = EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT |
                                 EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH;

std::vector<Header> headers_of(evhttp_request* request) {
    std::vector<Header> headers;
    for (const evkeyval* pair = ::evhttp_request_get_input_headers(request)->tqh_first; pair != nullptr;
         pair = pair->next.tqe_next)
        headers.push_back({pair->key, pair->value});
    return headers;
}

void set_headers(evhttp_request* request, const std::vector<Header>& headers) {
    for (const Header& header : headers)
        ::evhttp_add_header(::evhttp_request_get_output_headers(request), header.name.c_str(), header.value.c_str());
}

std::optional<Peer> peer_of(int fd) {
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
        return std::nullopt;
    return Peer{credentials.uid, credentials.gid, credentials.pid};
}

// No descriptor is left for a new connection: it stays in the kernel's queue, and epoll would report it for ever.
void pause_accepting(evconnlistener* listener) {
    ::evconnlistener_disable(listener);
    (void)::event_base_once(
        ::evconnlistener_get_base(listener), -1, EV_TIMEOUT,
        [](evutil_socket_t, short, void* paused) noexcept {
            ::evconnlistener_enable(static_cast<evconnlistener*>(paused));
        },
        listener, &kAcceptPause);
}

}  // namespace

struct Connections::Connection {
    Connections& all;
    evhttp_connection* handle;
    bufferevent* stream;
    std::optional<Peer> peer;
    EventPtr deadline;
    LineEndings lines;

    // The request that is with the caller, or whose answer is on its way; null between requests.
    evhttp_request* request = nullptr;
    std::uint64_t id = 0;
    enum class Answer { None, Whole, Stream } answer = Answer::None;
    std::size_t unsent_bytes = 0;

    void expect_within(std::chrono::milliseconds time) const {
        const timeval wait = to_timeval(time);
        ::event_add(deadline.get(), &wait);
    }

    // Ends the connection by way of evhttp, which sees the end of its input: it must not lose its objects under itself.
    void cut() const { ::shutdown(::bufferevent_getfd(stream), SHUT_RDWR); }
};

void Connections::FreeHttp::operator()(evhttp* http) const {
    ::evhttp_free(http);
}

void Connections::FreeEvent::operator()(event* e) const {
    ::event_free(e);
}

Result<std::unique_ptr<Connections>> Connections::open(event_base* base, const UniqueFd& listening,
                                                       const Limits& limits, Inbox& inbox) {
    std::unique_ptr<Connections> all(new Connections(base, limits, inbox));
    TRY(all->listen(listening));
    return all;
}

Result<> Connections::listen(const UniqueFd& listening) {
    adopt_event_.reset(::event_new(
        base_, -1, 0,
        [](evutil_socket_t, short, void* self) noexcept { static_cast<Connections*>(self)->adopt_newcomers(); }, this));
    http_.reset(::evhttp_new(base_));
    if (!adopt_event_ || !http_)
        return fail(Errc::Io, "evhttp_new failed");

    evhttp* http = http_.get();
    ::evhttp_set_timeout(http, kForever);
    ::evhttp_set_max_headers_size(http, static_cast<ev_ssize_t>(limits_.head_bytes));
    ::evhttp_set_max_body_size(http, static_cast<ev_ssize_t>(limits_.body_bytes));
    ::evhttp_set_allowed_methods(http, kMethods);
    ::evhttp_set_default_content_type(http, nullptr);
    ::evhttp_set_bevcb(
        http, [](event_base*, void* self) noexcept { return static_cast<Connections*>(self)->new_bufferevent(); },
        this);
    ::evhttp_set_gencb(
        http,
        [](evhttp_request* request, void* self) noexcept { static_cast<Connections*>(self)->on_request(request); },
        this);

    // The descriptor stays its owner's (no LEV_OPT_CLOSE_ON_FREE).
    listener_ = ::evconnlistener_new(base_, nullptr, nullptr, LEV_OPT_CLOSE_ON_EXEC, 0, listening.get());
    if (listener_ == nullptr)
        return fail(Errc::Io, "evconnlistener_new failed");
    if (::evhttp_bind_listener(http, listener_) == nullptr) {
        ::evconnlistener_free(listener_);
        return fail(Errc::Io, "evhttp_bind_listener failed");
    }
    ::evconnlistener_set_error_cb(listener_,
                                  [](evconnlistener* listener, void*) noexcept { pause_accepting(listener); });
    return {};
}

Connections::Connections(event_base* base, const Limits& limits, Inbox& inbox)
    : base_(base), limits_(limits), inbox_(inbox) {}

Connections::~Connections() {
    listener_ = nullptr;
    http_.reset();  // closes every connection, each of which calls on_close()
    for (bufferevent* stream : newcomers_)
        ::bufferevent_decref(stream);
}

bufferevent* Connections::new_bufferevent() {
    bufferevent* stream = ::bufferevent_socket_new(base_, -1, BEV_OPT_CLOSE_ON_FREE);
    if (stream == nullptr)
        return nullptr;
    // While a request is with the caller evhttp reads on, to see the client leave; this bounds what that gathers.
    ::bufferevent_setwatermark(stream, EV_READ, 0, limits_.head_bytes + limits_.body_bytes + kReadAhead);
    ::bufferevent_incref(stream);
    newcomers_.push_back(stream);
    if (connections_.size() + newcomers_.size() >= limits_.connections)
        ::evconnlistener_disable(listener_);
    ::event_active(adopt_event_.get(), 0, 0);
    return stream;
}

void Connections::adopt_newcomers() {
    for (bufferevent* stream : std::exchange(newcomers_, {})) {
        // evhttp passes its connection to its own callbacks; there is no other way to it before the first request.
        bufferevent_data_cb read = nullptr;
        bufferevent_data_cb write = nullptr;
        bufferevent_event_cb event = nullptr;
        void* handle = nullptr;
        ::bufferevent_getcb(stream, &read, &write, &event, &handle);
        if (handle != nullptr)
            adopt(static_cast<evhttp_connection*>(handle));
        ::bufferevent_decref(stream);
    }
    accept_if_below_limit();
}

Connections::Connection* Connections::adopt(evhttp_connection* handle) {
    if (const auto found = connections_.find(handle); found != connections_.end())
        return found->second.get();
    bufferevent* stream = ::evhttp_connection_get_bufferevent(handle);
    auto connection = std::make_unique<Connection>(Connection{.all = *this,
                                                              .handle = handle,
                                                              .stream = stream,
                                                              .peer = peer_of(::bufferevent_getfd(stream)),
                                                              .deadline = {},
                                                              .lines = {}});
    connection->deadline.reset(::event_new(
        base_, -1, 0, [](evutil_socket_t, short, void* self) noexcept { static_cast<Connection*>(self)->cut(); },
        connection.get()));
    connection->expect_within(limits_.request_time);
    ::evhttp_connection_set_closecb(
        handle,
        [](evhttp_connection*, void* self) noexcept {
            Connection& closed = *static_cast<Connection*>(self);
            closed.all.on_close(closed);
        },
        connection.get());
    ::evbuffer_add_cb(
        ::bufferevent_get_input(stream),
        [](evbuffer* buffer, const evbuffer_cb_info* info, void* self) noexcept {
            if (info->n_added > 0)
                feed(static_cast<Connection*>(self)->lines, buffer, info->orig_size);
        },
        connection.get());
    return (connections_[handle] = std::move(connection)).get();
}

void Connections::accept_if_below_limit() {
    if (listener_ != nullptr && connections_.size() + newcomers_.size() < limits_.connections)
        ::evconnlistener_enable(listener_);
}

void Connections::on_request(evhttp_request* request) {
    Connection& connection = *adopt(::evhttp_request_get_connection(request));
    ::event_del(connection.deadline.get());
    connection.request = request;
    connection.id = next_id_++;
    connection.answer = Connection::Answer::None;
    ::evhttp_request_set_on_complete_cb(
        request,
        [](evhttp_request*, void* self) noexcept {
            Connection& answered = *static_cast<Connection*>(self);
            answered.all.on_answered(answered);
        },
        &connection);

    Request whole{.id = RequestId{connection.id},
                  .method = std::string(method_name(::evhttp_request_get_command(request))),
                  .target = ::evhttp_request_get_uri(request),
                  .headers = headers_of(request),
                  .body = take_all(::evhttp_request_get_input_buffer(request)),
                  .peer = connection.peer};
    const bool old = request->major == 1 && request->minor == 0;
    std::optional<std::string_view> refusal =
        refuse_head(old ? Version::Http10 : Version::Http11, whole.target, whole.headers);
    if (connection.lines.bare_line_feed())
        refusal = "a line of the head ends in a bare line feed";
    if (connection.lines.has_nul())
        refusal = "the head holds a NUL";
    if (refusal) {
        // Where one request ends and the next begins is in doubt, so nothing more is read here.
        Response response = text_response(400, std::string(*refusal) + "\n");
        response.headers.push_back({"Connection", "close"});
        respond(connection, std::move(response));
        return;
    }
    // Where chunks end, evhttp is more lenient than others. So it is the last request here: none can be hidden in it.
    if (whole.header("Transfer-Encoding"))
        set_headers(request, {{"Connection", "close"}});
    by_request_[connection.id] = &connection;
    inbox_.add(std::move(whole));
}

void Connections::carry_out(Command command) {
    const auto found = by_request_.find(std::to_underlying(command.id));
    if (found == by_request_.end())
        return;
    Connection& connection = *found->second;
    const bool streaming = connection.answer == Connection::Answer::Stream;
    switch (command.kind) {
        case Command::Kind::Respond:
            if (!streaming) {
                by_request_.erase(found);
                respond(connection, std::move(command.response));
            }
            return;
        case Command::Kind::BeginStream:
            if (!streaming)
                begin_stream(connection, std::move(command.response));
            return;
        case Command::Kind::Send:
            if (streaming)
                send(connection, std::move(command.response.body));
            return;
        case Command::Kind::Finish:
            if (streaming) {
                by_request_.erase(found);
                connection.answer = Connection::Answer::Whole;
                connection.expect_within(limits_.answer_time);
                ::evhttp_send_reply_end(connection.request);
            }
            return;
    }
}

void Connections::respond(Connection& connection, Response response) {
    if (unsent_bytes_ > 0 && unsent_bytes_ + response.body.size() > limits_.answer_bytes)
        response = text_response(503, "too many answers wait to be read\n");
    connection.answer = Connection::Answer::Whole;
    connection.unsent_bytes = response.body.size();
    unsent_bytes_ += connection.unsent_bytes;
    set_headers(connection.request, response.headers);
    connection.expect_within(limits_.answer_time);
    const BufferPtr body = buffer_of(std::move(response.body));
    ::evhttp_send_reply(connection.request, response.status, nullptr, body.get());
}

void Connections::begin_stream(Connection& connection, Response head) {
    connection.answer = Connection::Answer::Stream;
    set_headers(connection.request, head.headers);
    ::evhttp_send_reply_start(connection.request, head.status, nullptr);
    if (!head.body.empty())
        send(connection, std::move(head.body));
}

void Connections::send(Connection& connection, Secret chunk) {
    if (::evbuffer_get_length(::bufferevent_get_output(connection.stream)) > limits_.stream_bytes) {
        connection.cut();
        return;
    }
    const BufferPtr bytes = buffer_of(std::move(chunk));
    ::evhttp_send_reply_chunk(connection.request, bytes.get());
}

void Connections::on_answered(Connection& connection) {
    unsent_bytes_ -= std::exchange(connection.unsent_bytes, 0);
    connection.request = nullptr;
    // What has come of the next request stands in the buffer already.
    connection.lines.restart();
    feed(connection.lines, ::bufferevent_get_input(connection.stream), 0);
    connection.expect_within(limits_.request_time);
}

void Connections::on_close(Connection& connection) {
    unsent_bytes_ -= std::exchange(connection.unsent_bytes, 0);
    if (connection.request != nullptr) {
        by_request_.erase(connection.id);
        if (connection.answer == Connection::Answer::Stream)
            inbox_.add_gone(RequestId{connection.id});
        // evhttp lets go of a request that waits for its answer when the connection breaks: then it is ours to free.
        if (::evhttp_request_get_connection(connection.request) == nullptr)
            ::evhttp_request_free(connection.request);
    }
    connections_.erase(connection.handle);
    accept_if_below_limit();
}

}  // namespace tokenlet::http
