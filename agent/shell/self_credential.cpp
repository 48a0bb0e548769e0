// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/self_credential.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/file_bytes.h"
#include "base/unique_fd.h"
#include "kube/jwt.h"
#include "kube/token_request_json.h"
#include "rotation/backoff.h"

namespace tokenlet::agent {
namespace {

Result<kube::Jwt> read_token(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!file)
        return fail_errno(errno, "open", path);
    const Secret token = TRY(read_all(file.get(), kube::kMaxTokenBytes, path));
    return kube::read_jwt(token.view(), kube::JwtText::LeftOut);
}

}  // namespace

Result<> write_secret_file(const std::string& directory, const std::string& name, const Secret& bytes) {
    const UniqueFd where(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!where)
        return fail_errno(errno, "open", directory);
    struct stat owner{};
    if (::fstat(where.get(), &owner) < 0)
        return fail_errno(errno, "fstat", directory);
    const std::string fresh = name + ".new";
    const UniqueFd file(
        ::openat(where.get(), fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file)
        return fail_errno(errno, "open", fresh);
    if (::geteuid() == 0 && ::fchown(file.get(), owner.st_uid, owner.st_gid) < 0)
        return fail_errno(errno, "fchown", fresh);
    TRY(write_all(file.get(), bytes.view(), fresh));
    if (::fsync(file.get()) < 0)
        return fail_errno(errno, "fsync", fresh);
    if (::renameat(where.get(), fresh.c_str(), where.get(), name.c_str()) < 0)
        return fail_errno(errno, "rename", name);
    if (::fsync(where.get()) < 0)
        return fail_errno(errno, "fsync", directory);
    return {};
}

// `secrets "tokenlet-edge-7" not found`: in a 404 the server names what it is about.
bool is_not_there(const kube::ApiError& refusal, const kube::BoundObjectRef& bound) {
    const std::string_view resource = bound.kind == "Pod" ? "pods" : bound.kind == "Secret" ? "secrets" : "nodes";
    return refusal.http_status == 404 &&
           refusal.message.find(std::string(resource) + " \"" + bound.name + "\"") != std::string::npos;
}

std::string revoked(const kube::TokenRequest& tried) {
    const kube::BoundObjectRef bound = tried.bound_object_ref.value_or(kube::BoundObjectRef{});
    const std::string where = bound.kind == "Node" ? "" : tried.ns + "/";
    return "the token so far is bound to " + bound.kind + " " + where + bound.name +
           ", and whoever deleted that has ended it: nothing looser is asked for";
}

bool holds_valid_token(const std::string& path, WallTime now) {
    const Result<kube::Jwt> jwt = read_token(path);
    return jwt && jwt->expires_at && *jwt->expires_at > now;
}

bool holds_bound_token(const std::string& path) {
    const Result<kube::Jwt> jwt = read_token(path);
    return jwt && jwt->secret;
}

SelfCredential::SelfCredential(ApiCaller call, Settings settings)
    : call_(std::move(call)), settings_(std::move(settings)), alive_(std::make_shared<bool>(true)) {
    plan(settings_.clock(), Age::AsItSays);
}

SelfCredential::~SelfCredential() {
    *alive_ = false;
}

// From the token that stands there; at once when there is none, or one that does not say how old it is.
void SelfCredential::plan(Now now, Age counts) {
    due_ = now.boot;
    due_by_wall_.reset();
    times_.reset();
    const Result<kube::Jwt> jwt = read_token(path());
    if (!jwt || !jwt->issued_at || !jwt->expires_at || *jwt->expires_at <= *jwt->issued_at)
        return;
    const bool is_new = counts == Age::None;
    const Duration age = is_new ? Duration::zero() : std::max<Duration>(now.wall - *jwt->issued_at, Duration::zero());
    times_ = rotation::TokenTimes{.received = now.boot - age,
                                  .issued = *jwt->issued_at,
                                  .expires = *jwt->expires_at,
                                  .ttl = *jwt->expires_at - *jwt->issued_at};
    const Duration jitter = rotation::draw_jitter(times_->ttl, settings_.policy, settings_.random());
    due_ = rotation::due(*times_, jitter, settings_.policy).at;
    due_by_wall_ = (is_new ? now.wall + times_->ttl : times_->expires) - times_->ttl / 5;
}

std::optional<BootTime> SelfCredential::maintain(Now now) {
    if (due_ && due_by_wall_)
        due_ = std::min(*due_, now.boot + std::max<Duration>(*due_by_wall_ - now.wall, Duration::zero()));
    if (!asking_ && due_ && *due_ <= now.boot)
        ask();
    return asking_ ? std::nullopt : due_;
}

void SelfCredential::ask() {
    asking_ = true;
    // Somebody may have enrolled this host anew meanwhile.
    if (failures_ > 0 && holds_valid_token(path(), settings_.clock().wall))
        settings_.obtained();
    kube::TokenRequest request = settings_.request;
    if (!bound_)
        request.bound_object_ref.reset();
    kube::ApiRequest call = token_request_call(request);
    call.what = "TokenRequest for the agent itself, " + request.ns + "/" + request.service_account;
    call_(std::move(call), [this, alive = alive_, request = std::move(request)](kube::ApiResult result) mutable {
        if (*alive)
            answered(request, std::move(result));
    });
}

void SelfCredential::answered(const kube::TokenRequest& sent, kube::ApiResult result) {
    asking_ = false;
    const Now now = settings_.clock();
    if (!result) {
        kube::ApiError& refusal = result.error();
        if (refusal.http_status == 401 && !holds_valid_token(path(), now.wall) && settings_.expired())
            return ask();
        const bool unbound = sent.bound_object_ref && is_not_there(refusal, *sent.bound_object_ref);
        // Nobody has made the object that would end this token: better one that only expires than none.
        if (unbound && !holds_bound_token(path())) {
            bound_ = false;
            return ask();
        }
        if (unbound)
            refusal.error.what += "; " + revoked(sent) + "; `tokenlet enroll` lets this host in again";
        settings_.on_refusal(refusal);
        return failed(std::move(refusal.error), refusal.retry_after);
    }
    Result<kube::IssuedToken> issued = kube::read_issued_token(result->body.view());
    if (!issued)
        return failed(std::move(issued.error()), {});
    if (Result<kube::Jwt> jwt = kube::read_jwt(issued->token.view(), kube::JwtText::LeftOut); !jwt)
        return failed(std::move(jwt.error()), {});
    if (Result<> written = write_secret_file(settings_.directory, kSelfTokenFile, issued->token); !written)
        return failed(std::move(written.error()), {});
    bound_ = true;
    if (std::exchange(failures_, 0) > 0)
        settings_.report({.level = Report::Level::Info, .event = "own credential is renewed again", .fields = {}});
    plan(now, Age::None);
    settings_.obtained();
    settings_.look();
}

void SelfCredential::failed(Error error, std::optional<Duration> retry_after) {
    const Now now = settings_.clock();
    std::optional<Duration> left;
    if (times_)
        left = rotation::time_left(*times_, now.boot, now.wall);
    const Duration delay = rotation::retry_delay({.count = ++failures_, .code = error.code, .retry_after = retry_after},
                                                 left, settings_.random());
    due_ = now.boot + delay;
    due_by_wall_.reset();
    if (failures_ == 1)
        settings_.report({.level = Report::Level::Error,
                          .event = "own credential cannot be renewed, going on with the old one",
                          .fields = {{"err", error.what}, {"expires_in", left ? go_duration(*left) : "unknown"}}});
    settings_.look();
}

}  // namespace tokenlet::agent
