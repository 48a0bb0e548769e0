// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/status_server.h"

#include <unistd.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

namespace tokenlet::agent {

namespace {

http::Response error_response(int status, std::string_view what) {
    const nlohmann::json body = {{"error", what}};
    return http::json_response(status, body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

http::Response error_response(const Error& error) {
    switch (error.code) {
        case Errc::NotFound:
            return error_response(404, error.what);
        case Errc::Invalid:
            return error_response(400, error.what);
        case Errc::Denied:
            return error_response(403, error.what);
        case Errc::Conflict:
            return error_response(409, error.what);
        case Errc::Unavailable:
            return error_response(503, error.what);
        case Errc::Io:
        case Errc::Internal:
            break;
    }
    return error_response(500, error.what);
}

http::Response not_allowed(std::string_view method) {
    http::Response response = error_response(405, "only " + std::string(method) + " is answered here");
    response.headers.push_back({"Allow", std::string(method)});
    return response;
}

// The value of a parameter as it stands: names of Pods and volumes need no escaping, so "%" is never part of one.
std::string_view parameter(std::string_view query, std::string_view name) {
    while (!query.empty()) {
        const std::size_t end = query.find('&');
        const std::string_view pair = query.substr(0, end);
        if (pair.size() > name.size() && pair.starts_with(name) && pair[name.size()] == '=')
            return pair.substr(name.size() + 1);
        query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    }
    return {};
}

bool may_change(const std::optional<http::Peer>& peer, const Operators& operators) {
    return peer && (peer->uid == 0 || peer->uid == operators.uid || peer->gid == operators.gid);
}

http::Response rotate(std::string_view query, const StatusActions& actions) {
    const std::string_view pod = parameter(query, "pod");
    const std::size_t slash = pod.find('/');
    if (slash == std::string_view::npos || slash == 0 || slash + 1 == pod.size())
        return error_response(400, "pod: must be namespace/name");
    const kube::ObjectKey key{std::string(pod.substr(0, slash)), std::string(pod.substr(slash + 1))};
    if (const Result<> done = actions.rotate(key, std::string(parameter(query, "volume"))); !done)
        return error_response(done.error());
    return http::json_response(200, "{}");
}

http::Response change(const http::Request& request, const StatusActions& actions, const Operators& operators) {
    if (request.method != "POST")
        return not_allowed("POST");
    if (!may_change(request.peer, operators))
        return error_response(403, "only root and the agent's user and group may do this");
    if (request.path() == "/v1/rotate")
        return rotate(request.query(), actions);
    actions.prune();
    return http::json_response(200, "{}");
}

}  // namespace

http::Response answer(const http::Request& request, const StatusActions& actions, const Operators& operators) {
    const std::string_view path = request.path();
    if (path == "/v1/prune" || path == "/v1/rotate")
        return change(request, actions, operators);
    if (path != "/v1/status" && path != "/livez" && path != "/readyz")
        return error_response(404, "no such path; see /v1/status, /livez, /readyz");
    if (request.method != "GET")
        return not_allowed("GET");
    if (path == "/v1/status")
        return http::json_response(200, actions.snapshot()());
    if (path == "/livez")
        return http::text_response(200, "ok\n");
    const std::string reason = actions.unready();
    return reason.empty() ? http::text_response(200, "ok\n") : http::text_response(503, reason + "\n");
}

Result<std::unique_ptr<StatusServer>> StatusServer::start(Loop& loop, const std::string& socket,
                                                          StatusActions actions) {
    std::unique_ptr<StatusServer> server(new StatusServer(loop));
    StatusServer* self = server.get();
    self->actions_ = std::move(actions);
    self->operators_ = {.uid = ::geteuid(), .gid = ::getegid()};
    self->wake_ = TRY(loop.wake([self] {
        for (const http::Request& request : self->listener_->drain().requests)
            self->serve(request);
    }));
    self->listener_ =
        TRY(http::Listener::start({.socket = socket}, {}, [self] { self->wake_.send(); }), "status.socket");
    return server;
}

StatusServer::StatusServer(Loop& loop) : loop_(loop), self_(std::make_shared<StatusServer*>(this)) {}

StatusServer::~StatusServer() {
    *self_ = nullptr;
}

void StatusServer::serve(const http::Request& request) {
    if (request.method != "GET" || request.path() != "/v1/status") {
        listener_->respond(request.id, answer(request, actions_, operators_));
        return;
    }
    waiting_.push_back(request.id);
    answer_waiting();
}

// Those who wait asked before the snapshot is taken, so that whoever has changed something sees it.
void StatusServer::answer_waiting() {
    if (waiting_.empty() || std::exchange(is_making_one_, true))
        return;
    loop_.work([make = actions_.snapshot(), requests = std::exchange(waiting_, {}), self = self_]() mutable -> Task {
        return [text = make(), requests = std::move(requests), self] {
            StatusServer* const server = *self;
            if (server == nullptr)
                return;
            for (const http::RequestId request : requests)
                server->listener_->respond(request, http::json_response(200, text));
            server->is_making_one_ = false;
            server->answer_waiting();
        };
    });
}

}  // namespace tokenlet::agent
