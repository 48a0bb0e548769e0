// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/cluster_issuer.h"

#include <algorithm>
#include <utility>

#include "kube/document.h"
#include "kube/jwt.h"
#include "kube/token_request_json.h"
#include "rotation/backoff.h"

namespace tokenlet::agent {
namespace {

constexpr std::size_t kMostTokenBytes = 1024 * 1024;

std::string text_of(const kube::Node& node, std::string_view key) {
    const kube::Node* value = node.find(key);
    return value == nullptr || value->kind != kube::Node::Kind::String ? "" : value->text;
}

}  // namespace

ClusterIssuer::ClusterIssuer(Loop& loop, ApiCaller call, Settings settings)
    : loop_(loop),
      call_(std::move(call)),
      settings_(std::move(settings)),
      binding_(settings_.bound_object, settings_.node_name),
      queue_(settings_.pace),
      alive_(std::make_shared<bool>(true)) {
    const BoundObjectMode mode = settings_.bound_object.mode;
    if (mode == BoundObjectMode::PodSecret || mode == BoundObjectMode::GatedPod)
        own_ = std::make_unique<OwnObjects>(
            [this](kube::ApiRequest request, BootTime needed_by, std::move_only_function<void(kube::ApiResult)> done) {
                wait_for_turn(needed_by, [this, request = std::move(request), done = std::move(done)]() mutable {
                    call_(std::move(request), std::move(done));
                });
            },
            OwnObjects::Settings{
                .kind = mode == BoundObjectMode::PodSecret ? OwnObjects::Kind::Secret : OwnObjects::Kind::GatedPod,
                .node_name = settings_.node_name,
                .host_id = settings_.host_id,
                .namespaces = settings_.own_namespaces,
                .remember = settings_.remember_namespaces,
                .clock = settings_.clock,
                .random = settings_.random,
                .report = [this](Report report) { news_.report(std::move(report)); },
                .on_refusal = [this](const kube::ApiError& error) { advise(error); },
                .look = [this] { news_.look(); }});
}

ClusterIssuer::~ClusterIssuer() {
    *alive_ = false;
}

void ClusterIssuer::announce(IssuerNews news) {
    news_ = std::move(news);
    look_at_keys();
}

void ClusterIssuer::issue(RequestToken ask, std::move_only_function<void(TokenAnswer)> done) {
    const auto& bound = ask.request.bound_object_ref;
    const auto pod = bound && pods_of_server_.contains(bound->uid) ? PodAtServer::Possible : PodAtServer::Impossible;
    std::vector<Binding::Candidate> candidates =
        binding_.candidates(ask.request, pod, ask.held_binding, settings_.clock().boot);
    Attempt attempt{std::move(ask), std::move(done), std::move(candidates)};
    const kube::TokenRequest& wanted = attempt.ask.request;
    if (!own_ || !wanted.bound_object_ref)
        return ask_in_turn(std::move(attempt));
    const IssuerPod for_pod{
        {wanted.ns, wanted.bound_object_ref->name}, wanted.bound_object_ref->uid, wanted.service_account};
    const BootTime needed_by = attempt.ask.needed_by;
    own_->ensure(for_pod, needed_by, [this, attempt = std::move(attempt)](OwnObjects::Made made) mutable {
        if (made) {
            attempt.candidates = {std::move(*made)};
            return ask_in_turn(std::move(attempt));
        }
        advise(made.error());
        loop_.post([done = std::move(attempt.done), error = std::move(made.error()), alive = alive_]() mutable {
            if (*alive)
                done(std::unexpected(TokenFailure{std::move(error.error), error.retry_after}));
        });
    });
}

void ClusterIssuer::tell(TellIssuer news, std::move_only_function<void(Result<IssuerAnswer>)> done) {
    for (const PodIdentity& pod : news.pods_gone)
        pods_of_server_.erase(pod.uid);
    for (const IssuerPod& pod : news.pods)
        if (!pod.drawn)
            pods_of_server_.insert(pod.uid);
    if (own_)
        own_->follow({.gone = std::move(news.pods_gone),
                      .present = std::move(news.pods),
                      .extent = news.everything ? OwnObjects::Extent::Everything : OwnObjects::Extent::Changes});
    // What cannot be removed yet is no reason for new Pods to wait.
    loop_.post([done = std::move(done), alive = alive_]() mutable {
        if (*alive)
            done(IssuerAnswer{});
    });
}

std::optional<BootTime> ClusterIssuer::maintain(Now now) {
    if (keys_due_ && *keys_due_ <= now.boot)
        look_at_keys();
    const std::optional<BootTime> self_due = settings_.self ? settings_.self->maintain(now) : std::nullopt;
    const std::optional<BootTime> own_due = own_ ? own_->maintain(now) : std::nullopt;
    send_due(now);
    std::optional<BootTime> next = queue_.next(now.boot);
    for (const std::optional<BootTime>& due : {keys_due_, self_due, own_due})
        if (due && (!next || *due < *next))
            next = due;
    return next;
}

void ClusterIssuer::send_due(Now now) {
    while (std::optional<std::move_only_function<void()>> call = queue_.pop(now.boot))
        (*call)();
}

void ClusterIssuer::wait_for_turn(BootTime needed_by, std::move_only_function<void()> call) {
    queue_.push(needed_by, std::move(call));
    news_.look();
}

void ClusterIssuer::ask_in_turn(Attempt attempt) {
    const BootTime needed_by = attempt.ask.needed_by;
    wait_for_turn(needed_by, [this, attempt = std::move(attempt)]() mutable { request(std::move(attempt)); });
}

void ClusterIssuer::request(Attempt attempt) {
    kube::TokenRequest request = attempt.ask.request;
    request.bound_object_ref = attempt.candidates.front();
    kube::ApiRequest call = token_request_call(request);
    call.answer_bytes = kMostTokenBytes;
    call_(std::move(call), [this, alive = alive_, attempt = std::move(attempt),
                            request = std::move(request)](kube::ApiResult result) mutable {
        if (*alive)
            answered(std::move(attempt), request, std::move(result));
    });
}

void ClusterIssuer::answered(Attempt attempt, const kube::TokenRequest& sent, kube::ApiResult result) {
    const Now now = settings_.clock();
    if (!result) {
        kube::ApiError& error = result.error();
        const bool missing = binding_.is_missing(error, sent, now.boot);
        if (missing && attempt.candidates.size() > 1) {
            attempt.candidates.erase(attempt.candidates.begin());
            return ask_in_turn(std::move(attempt));
        }
        if (missing && own_ && attempt.ask.request.bound_object_ref)
            own_->forget(attempt.ask.request.bound_object_ref->uid);  // the next try makes it again
        else if (missing)
            error.error.what += "; " + binding_.explain(sent);
        advise(error);
        return attempt.done(std::unexpected(TokenFailure{std::move(error.error), error.retry_after}));
    }
    Result<kube::IssuedToken> issued = kube::read_issued_token(result->body.view());
    if (!issued)
        return attempt.done(std::unexpected(TokenFailure{std::move(issued.error()), {}}));
    issued->warnings = std::move(result->warnings);
    issued->server_time = result->server_time;
    if (sent.bound_object_ref != attempt.ask.request.bound_object_ref)
        issued->rebound = kube::Rebound{sent.bound_object_ref};
    if (!sent.bound_object_ref)
        warn_of_binding(sent);
    if (is_of_unknown_key(*issued))
        look_at_keys_soon();
    attempt.done(std::move(*issued));
}

void ClusterIssuer::warn_of_binding(const kube::TokenRequest& request) {
    if (settings_.bound_object.mode != BoundObjectMode::Auto || !unbound_told_.insert(request.ns).second)
        return;
    news_.report(
        Report(Report::Level::Warn, "tokens are bound to nothing, only their expiry ends them",
               {{"namespace", request.ns}, {"mend", secret_command(request.ns, settings_.bound_object.secret_name)}}));
}

void ClusterIssuer::advise(const kube::ApiError& error) {
    if (!error.advice.empty() && settings_.on_advice && advice_given_.insert(error.advice).second)
        settings_.on_advice(error.advice);
}

// A key that has gone, or an issuer that is another one, makes every token one that verifiers refuse: no age tells that.
void ClusterIssuer::look_at_keys() {
    if (std::exchange(reading_keys_, true))
        return;
    keys_due_.reset();
    read_name();
}

void ClusterIssuer::look_at_keys_soon() {
    const BootTime soon = std::max(settings_.clock().boot + kKeysSoon, keys_not_before_);
    if (!reading_keys_)
        keys_due_ = std::min(keys_due_.value_or(soon), soon);
    news_.look();
}

// Until the keys are read again, the core takes such a token for one that verifiers refuse.
bool ClusterIssuer::is_of_unknown_key(const kube::IssuedToken& issued) const {
    if (told_keys_.empty())
        return false;
    const Result<kube::Jwt> jwt = kube::read_jwt(issued.token.view(), kube::JwtText::LeftOut);
    return jwt && !jwt->kid.empty() && !std::ranges::binary_search(told_keys_, jwt->kid);
}

void ClusterIssuer::read_name() {
    call_({.path = "/.well-known/openid-configuration", .what = "the issuer's name", .answer_bytes = kMostTokenBytes},
          [this, alive = alive_](const kube::ApiResult& result) {
              if (!*alive)
                  return;
              if (!result)
                  return keys_failed(result.error());
              if (result->server_time)
                  news_.clock(*result->server_time);
              const Result<kube::Node> document = kube::parse_json(result->body.view());
              const std::string name = document ? text_of(*document, "issuer") : "";
              if (!name.empty() && std::exchange(told_name_, name) != name)
                  news_.name(name);
              read_keys();
          });
}

void ClusterIssuer::read_keys() {
    call_({.path = "/openid/v1/jwks",
           .accept = "application/jwk-set+json",
           .what = "the issuer's keys",
           .answer_bytes = kMostTokenBytes},
          [this, alive = alive_](const kube::ApiResult& result) {
              if (!*alive)
                  return;
              if (!result)
                  return keys_failed(result.error());
              reading_keys_ = false;
              keys_error_told_ = false;
              keys_failures_ = 0;
              keys_due_ = settings_.clock().boot + kKeysPeriod;
              std::vector<std::string> ids;
              if (const Result<kube::Node> document = kube::parse_json(result->body.view())) {
                  if (const kube::Node* keys = document->find("keys"); keys != nullptr)
                      for (const kube::Node& key : keys->children)
                          if (std::string id = text_of(key, "kid"); !id.empty())
                              ids.push_back(std::move(id));
              }
              std::ranges::sort(ids);
              if (!ids.empty() && told_keys_ != ids) {
                  told_keys_ = ids;
                  news_.keys(std::move(ids));
              }
              news_.look();
          });
}

void ClusterIssuer::keys_failed(const kube::ApiError& error) {
    reading_keys_ = false;
    advise(error);
    const bool away = error.is_retryable();
    const rotation::Failure failure{
        .count = ++keys_failures_, .code = error.error.code, .retry_after = error.retry_after};
    const Duration pause = away ? rotation::retry_delay(failure, {}, settings_.random()) : Duration(kKeysPeriod);
    keys_due_ = settings_.clock().boot + pause;
    if (error.retry_after)
        keys_not_before_ = *keys_due_;
    if (!away && !std::exchange(keys_error_told_, true))
        news_.report(Report(Report::Level::Warn,
                            "the issuer's keys cannot be read, another key is noticed when a token is due",
                            {{"err", error.error.what}}));
    news_.look();
}

}  // namespace tokenlet::agent
