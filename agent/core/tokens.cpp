// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/core/state.h"
#include "kube/jwt.h"

namespace tokenlet::agent {
namespace {

// A Pod that waits for its first token is as urgent as a token with this long to live.
constexpr Duration kFirstTokenUrgency = std::chrono::minutes(1);

constexpr unsigned kTurnsToOneThatFails = 4;

std::size_t hash_of(const std::vector<std::string>& texts) {
    std::size_t hash = 0;
    for (const std::string& text : texts)
        hash = hash * 31 + std::hash<std::string>{}(text);
    return hash;
}

}  // namespace

std::uint64_t Core::State::want_token(const VolumeState& volume, const kube::TokenRequest& request) {
    TokenCache::Token& token = tokens_.want(request.key());
    TokenUse& use = uses_[token.id];
    use.token = &token;
    use.pod = volume.pod;
    if (std::ranges::find(use.volumes, volume.id) == use.volumes.end())
        use.volumes.push_back(volume.id);
    waking_tokens_.insert(token.id);
    return token.id;
}

// As the plan of its first volume has it. The key names all of a request, so that any other volume has the same.
kube::TokenRequest Core::State::request_of(const TokenUse& use) const {
    const VolumeState& volume = *volumes_.at(use.volumes.front());
    const auto source = std::ranges::find(volume.tokens, use.token->id) - volume.tokens.begin();
    return projector::token_request(*use.pod->plan,
                                    *projector::token_sources(*volume.plan).at(static_cast<std::size_t>(source)));
}

void Core::State::release_token(std::uint64_t id) {
    const auto use = uses_.find(id);
    const bool last = use->second.token->users == 1;
    tokens_.release(*use->second.token);
    if (!last)
        return;
    deadlines_.cancel({DeadlineKind::Token, id});
    waking_tokens_.erase(id);
    if (use->second.turn)
        asking_.erase(*use->second.turn);
    uses_.erase(use);
}

void Core::State::wake_tokens(const PodState& pod) {
    for (const VolumeState* volume : pod.volumes)
        waking_tokens_.insert(volume->tokens.begin(), volume->tokens.end());
}

// Takes over what an earlier process left, as old as it really is: the boot clock where it is still the same boot, else
// the wall clock, which cannot make a token younger than it was. False: nothing was left.
bool Core::State::adopt_token(Now now, const VolumeState& volume, TokenUse& use, const std::string& path) {
    if (!volume.found || !volume.found->record)
        return false;
    const VolumeRecord& record = *volume.found->record;
    const auto recorded = std::ranges::find_if(
        record.tokens, [&](const TokenRecord& token) { return token.path == path && token.key == use.token->key; });
    const auto file = std::ranges::find(volume.found->files, path, &std::pair<std::string, Secret>::first);
    if (recorded == record.tokens.end() || file == volume.found->files.end())
        return false;
    rotation::HeldToken held{.bytes = file->second.copy(),
                             .times = recorded->times,
                             .received_wall = recorded->received_wall,
                             .jitter = recorded->jitter,
                             .valid_until = recorded->valid_until,
                             .issuer = keep(recorded->issuer),
                             .key_id = keep(recorded->key_id),
                             .service_account_uid = keep(recorded->service_account_uid)};
    if (record.boot_id != settings_.boot_id) {
        const Duration age = now.wall - recorded->received_wall;
        held.times.received = now.boot - (age < Duration::zero() ? held.times.ttl : age);
    }
    tokens_.adopt(*use.token, std::move(held));
    demand_if_foreign(use);
    return true;
}

std::string_view Core::State::keep(std::string_view name) {
    const auto known = names_.find(name);
    return known != names_.end() ? *known : *names_.emplace(name).first;
}

void Core::State::demand(TokenUse& use) {
    use.token->demanded = true;
    waking_tokens_.insert(use.token->id);
}

// A token of another issuer, key or account is refused wherever it is shown, however young it is.
bool Core::State::is_foreign(const PodState& pod, const rotation::HeldToken& held) const {
    const auto account = account_uids_.find(planned_account(pod));
    const bool other_issuer = !settings_.issuer.empty() && held.issuer != settings_.issuer;
    const bool other_key = key_ids_ && !key_ids_->contains(held.key_id);
    // A cluster's account that we may not read has no uid here.
    const bool other_account =
        account != account_uids_.end() && !account->second.empty() && held.service_account_uid != account->second;
    return other_issuer || other_key || other_account;
}

void Core::State::demand_if_foreign(TokenUse& use) {
    if (use.token->held && is_foreign(*use.pod, *use.token->held))
        demand(use);
}

void Core::State::on_issuer_name(const std::string& name) {
    settings_.issuer = name;
    for (auto& [id, use] : uses_)
        demand_if_foreign(use);
}

void Core::State::on_issuer_keys(std::vector<std::string> key_ids) {
    key_ids_.emplace(std::make_move_iterator(key_ids.begin()), std::make_move_iterator(key_ids.end()));
    for (auto& [id, use] : uses_)
        demand_if_foreign(use);
}

// A clock that was ahead and is corrected makes tokens ones from the future, which verifiers refuse until that time comes.
void Core::State::on_issuer_clock(Now now, WallTime issuer_time) {
    if (settings_.issuer_clock != IssuerClock::Measured)
        return;
    const Duration step = issuer_time - issuer_now(now);
    skew_ += step;
    if (step <= rotation::kLeeway && step >= -rotation::kLeeway)
        return;
    report(Report::Level::Warn, "issuer's clock is another than was known, checking every token",
           {{"by", go_duration(step)}, {"ahead_of_ours", go_duration(skew_)}});
    wake_all_tokens();
}

Result<> Core::State::rotate_now(const kube::ObjectKey& pod, const std::string& volume) {
    const auto known = pods_by_key_.find(pod);
    if (known == pods_by_key_.end())
        return fail(Errc::NotFound, "pod " + pod.str() + ": no manifest names it");
    bool found = false;
    for (const VolumeState* state : known->second->volumes) {
        const std::vector<VolumeName> names = state->names();
        const bool meant = volume.empty() || std::ranges::find(names, volume, &VolumeName::name) != names.end();
        if (!meant || state->tokens.empty())
            continue;
        found = true;
        for (const std::uint64_t token : state->tokens)
            demand(uses_.at(token));
    }
    if (!found)
        return fail(Errc::NotFound,
                    "pod " + pod.str() + ": no volume " + (volume.empty() ? "" : "'" + volume + "' ") + "with a token");
    return {};
}

// When readers are lost without another token. One that is demanded, say of an account that was made anew, may be refused
// already, however young it is.
BootTime Core::State::needed_by(Now now, const TokenCache::Token& token) const {
    if (!token.held)
        return now.boot + kFirstTokenUrgency;
    const Duration left = rotation::time_left(token.held->times, now.boot, issuer_now(now));
    return now.boot + (token.demanded ? std::min(left, kFirstTokenUrgency) : left);
}

void Core::State::look_at_token(Now now, TokenUse& use) {
    TokenCache::Token& token = *use.token;
    if (token.in_flight && token.asked + rotation::kAnswerTimeout <= now.boot)
        token_failed(now, use, {fail(Errc::Unavailable, "TokenRequest: no answer within 60s").error(), {}});
    const rotation::Verdict verdict = tokens_.check(token, now.boot, issuer_now(now));
    if (verdict.look_again)
        deadlines_.set({DeadlineKind::Token, token.id}, *verdict.look_again);
    if (!verdict.ask || !may_ask(*use.pod))
        return;
    const bool failing = token.failures > 0;
    Turn turn{.failing = failing, .at = failing ? token.next_try : needed_by(now, token), .token = token.id};
    if (use.turn) {
        // One turn each; who has waited keeps the earlier place.
        if (use.turn->failing == turn.failing)
            turn.at = std::min(turn.at, use.turn->at);
        asking_.erase(*use.turn);
    }
    asking_.insert(*(use.turn = turn));
}

void Core::State::ask_for_tokens(Now now) {
    while (!asking_.empty() && tokens_.in_flight() < settings_.requests_at_once) {
        // Every so often one that has failed: it may have less time left than all the others, however many they are.
        auto next = asking_.begin();
        if (++turns_ % kTurnsToOneThatFails == 0) {
            if (const auto failing = asking_.lower_bound({.failing = true, .at = BootTime::min(), .token = 0});
                failing != asking_.end())
                next = failing;
        }
        const std::uint64_t id = next->token;
        asking_.erase(next);
        TokenUse& use = uses_.at(id);
        use.turn.reset();
        // It may have stood here for a while.
        const rotation::Verdict verdict = tokens_.check(*use.token, now.boot, issuer_now(now));
        if (!verdict.ask) {
            if (verdict.look_again)
                deadlines_.set({DeadlineKind::Token, id}, *verdict.look_again);
            continue;
        }
        const BootTime lost = needed_by(now, *use.token);
        commands_.emplace_back(RequestToken{.id = tokens_.begin(*use.token, now.boot),
                                            .request = request_of(use),
                                            .needed_by = lost,
                                            .held_binding = held_binding(*use.token)});
        deadlines_.set({DeadlineKind::Token, id}, now.boot + rotation::kAnswerTimeout);
        use.overtaken = false;
        ++requests_;
    }
}

// Of a token of this issuer: what another one bound to is nothing here. While nobody has said what this one is called, a Pod
// may be one that the embedded authority meant. A Secret or Node cannot, and is a lock that no restart opens.
std::optional<kube::BoundObjectRef> Core::State::held_binding(const TokenCache::Token& token) const {
    const std::string_view issuer = settings_.issuer.empty() ? issued_by_ : std::string_view(settings_.issuer);
    if (!token.held || (!issuer.empty() && token.held->issuer != issuer))
        return std::nullopt;
    const Result<kube::Jwt> jwt = kube::read_jwt(token.held->bytes.view(), kube::JwtText::LeftOut);
    if (!jwt)
        return std::nullopt;
    const auto ref = [](std::string kind, const kube::Jwt::Ref& object) {
        return kube::BoundObjectRef{std::move(kind), object.name, object.uid};
    };
    if (jwt->pod)
        return issuer.empty() ? std::nullopt : std::optional(ref("Pod", *jwt->pod));
    if (jwt->secret)
        return ref("Secret", *jwt->secret);
    return jwt->node ? std::optional(ref("Node", *jwt->node)) : std::nullopt;
}

void Core::State::on_token(Now now, RequestId id, TokenAnswer answer) {
    const TokenCache::Token* token = tokens_.awaiting(id);
    if (token == nullptr)
        return;
    TokenUse& use = uses_.at(token->id);
    waking_tokens_.insert(token->id);
    // Under way for longer than it is waited for, through a suspend: how old the token is, nobody can say.
    if (token->asked + rotation::kAnswerTimeout <= now.boot)
        return;
    if (answer) {
        take_token(now, use, std::move(*answer));
        return;
    }
    // A final no may have been one to the account before: it crossed the news of this one.
    if (use.overtaken && rotation::is_final(answer.error().error.code))
        answer.error().error.code = Errc::Conflict;
    token_failed(now, use, std::move(answer.error()));
}

// The last look before a token is published: what readers have now stays unless this one is what was asked for.
void Core::State::take_token(Now now, TokenUse& use, kube::IssuedToken issued) {
    const Result<kube::Jwt> jwt = kube::read_jwt(issued.token.view(), kube::JwtText::LeftOut);
    const WallTime issued_at = jwt && jwt->issued_at
                                   ? *jwt->issued_at
                                   : issued.expiration_timestamp - std::chrono::seconds(issued.expiration_seconds);
    on_issuer_clock(now, issued.server_time.value_or(issued_at));

    kube::TokenRequest request = request_of(use);
    if (issued.rebound)
        request.bound_object_ref = issued.rebound->to;
    const Result<> checked = jwt ? kube::check_token(*jwt, request, issuer_now(now)) : std::unexpected(jwt.error());
    if (!checked) {
        // Not the caller's fault, so not final: the issuer may do better the next time.
        token_failed(now, use,
                     {fail(Errc::Unavailable, "the issuer's answer is refused: " + checked.error().what).error(), {}});
        return;
    }
    if (issued.expiration_seconds <= 0 || issued.expiration_timestamp <= issuer_now(now)) {
        token_failed(now, use,
                     {fail(Errc::Unavailable, "the issuer's answer is refused: it has expired already").error(), {}});
        return;
    }
    if (const std::size_t warnings = hash_of(issued.warnings); std::exchange(use.warnings, warnings) != warnings) {
        // Injected volumes ask for 3607 s everywhere, so that shortening it to the hour is no news.
        const bool injected = request.expiration_seconds == kube::kInjectedExpirationSeconds;
        for (const std::string& warning : issued.warnings)
            report(injected ? Report::Level::Debug : Report::Level::Info, "issuer warns",
                   about(use, {{"warning", warning}}));
    }
    // API servers before 1.34 leave the answer's metadata.uid empty.
    const bool in_token = issued.service_account_uid.empty() && jwt->service_account;
    const std::string& account_uid = in_token ? jwt->service_account->uid : issued.service_account_uid;
    rotation::HeldToken held{.bytes = std::move(issued.token),
                             .times = {.received = now.boot,
                                       .issued = issued_at,
                                       .expires = issued.expiration_timestamp,
                                       .ttl = std::chrono::seconds(issued.expiration_seconds)},
                             .received_wall = now.wall,
                             .jitter = {},
                             .valid_until = jwt->expires_at.value_or(issued.expiration_timestamp),
                             .issuer = keep(jwt->issuer),
                             .key_id = keep(jwt->kid),
                             .service_account_uid = keep(account_uid)};
    issued_by_ = held.issuer;
    const unsigned failures = use.token->failures;
    const auto standing = is_foreign(*use.pod, held) ? rotation::Standing::Foreign : rotation::Standing::Good;
    tokens_.succeed(*use.token, std::move(held), standing, now.boot, issuer_now(now), random_());
    if (std::exchange(use.told, TokenUse::Told::Nothing) != TokenUse::Told::Nothing)
        report(Report::Level::Info, "token refresh works again", about(use, {{"failures", std::to_string(failures)}}));
    dirty_volumes_.insert(use.volumes.begin(), use.volumes.end());
}

// A lasting failure is reported when it starts, when little is left, and when readers are refused.
void Core::State::token_failed(Now now, TokenUse& use, TokenFailure failure) {
    ++request_failures_;
    TokenCache::Token& token = *use.token;
    tokens_.fail(token, std::move(failure.error), failure.retry_after, now.boot, issuer_now(now), random_());

    TokenUse::Told stage = TokenUse::Told::Failing;
    std::vector<Field> fields{{"err", token.error->what}, {"retry_in", go_duration(token.next_try - now.boot)}};
    std::string event = "token request failed, the pod waits for its first token";
    if (token.held) {
        const rotation::TokenTimes& times = token.held->times;
        const Duration left = rotation::time_left(times, now.boot, issuer_now(now));
        event = "token refresh failed, serving the old token";
        if (left <= Duration::zero()) {
            stage = TokenUse::Told::Expired;
            event = "token has expired and cannot be refreshed, readers are refused";
        } else if (left <= times.ttl / 10) {
            stage = TokenUse::Told::NearlyExpired;
            event = "token refresh still fails and the token is about to expire";
        }
        fields.emplace_back("expires_in", go_duration(left));
    }
    if (stage <= use.told)
        return;
    use.told = stage;
    report(stage == TokenUse::Told::Failing ? Report::Level::Warn : Report::Level::Error, std::move(event),
           about(use, std::move(fields)));
    dirty_volumes_.insert(use.volumes.begin(), use.volumes.end());
}

std::vector<Core::State::Field> Core::State::about(const TokenUse& use, std::vector<Field> more) const {
    std::vector<Field> fields{{"pod", use.pod->key.str()}};
    if (!use.volumes.empty()) {
        fields.emplace_back("volume", volumes_.at(use.volumes.front())->name);
        if (const kube::TokenRequest request = request_of(use); !request.audiences.empty())
            fields.emplace_back("audience", request.audiences.front());
    }
    fields.insert(fields.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    return fields;
}

}  // namespace tokenlet::agent
