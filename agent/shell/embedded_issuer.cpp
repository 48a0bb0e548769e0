// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/embedded_issuer.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

namespace tokenlet::agent {

EmbeddedIssuer::EmbeddedIssuer(Loop& loop, authority::Authority authority, std::string node_name,
                               std::function<Now()> clock)
    : loop_(loop),
      authority_(std::move(authority)),
      node_name_(std::move(node_name)),
      clock_(std::move(clock)),
      alive_(std::make_shared<bool>(true)) {}

EmbeddedIssuer::~EmbeddedIssuer() {
    *alive_ = false;
}

void EmbeddedIssuer::announce(IssuerNews news) {
    news_ = std::move(news);
    news_.root_ca(authority_.root_ca_pem());
    tell_keys();
}

void EmbeddedIssuer::tell_keys() {
    std::vector<std::string> keys = authority_.published_kids();
    if (told_keys_ == keys || !news_.keys)
        return;
    told_keys_ = std::move(keys);
    news_.keys(told_keys_);
}

void EmbeddedIssuer::issue(RequestToken ask, std::move_only_function<void(TokenAnswer)> done) {
    Result<kube::IssuedToken> issued = authority_.issue(ask.request, clock_().wall);
    TokenAnswer answer;
    if (issued) {
        issued->token = issued->token.copy();  // without the room it grew in: it is held until the next one comes
        answer = std::move(*issued);
    } else {
        answer = std::unexpected(TokenFailure{.error = std::move(issued.error()), .retry_after = {}});
    }
    loop_.post([answer = std::move(answer), done = std::move(done), alive = alive_]() mutable {
        if (*alive)
            done(std::move(answer));
    });
}

void EmbeddedIssuer::tell(TellIssuer news, std::move_only_function<void(Result<IssuerAnswer>)> done) {
    loop_.post([answer = take_in(news), done = std::move(done), alive = alive_]() mutable {
        if (*alive)
            done(std::move(answer));
    });
}

// What has gone goes first: a Pod or account that came back under its old name must not be taken for it.
Result<IssuerAnswer> EmbeddedIssuer::take_in(const TellIssuer& news) {
    const WallTime now = clock_().wall;
    for (const kube::ObjectKey& account : news.accounts_gone)
        TRY(authority_.remove_service_account(account, now), account.str());
    for (const PodIdentity& pod : news.pods_gone)
        authority_.mark_pod_deleted(pod.pod, now);
    if (news.everything) {
        std::set<kube::ObjectKey> accounts;
        std::set<kube::ObjectKey> pods;
        for (const IssuerAccount& account : news.accounts)
            accounts.insert(account.account);
        for (const IssuerPod& pod : news.pods)
            pods.insert(pod.pod);
        TRY(authority_.remove_absent(accounts, pods, now));
    }
    IssuerAnswer answer;
    for (const IssuerAccount& account : news.accounts) {
        std::string uid = TRY(authority_.put_service_account(account.account, account.uid, now), account.account.str());
        answer.account_uids.emplace_back(account.account, std::move(uid));
    }
    for (const IssuerPod& pod : news.pods)
        TRY(authority_.put_pod({.key = pod.pod,
                                .uid = pod.uid,
                                .service_account = pod.service_account,
                                .node_name = node_name_,
                                .deletion_timestamp = {}},
                               now),
            pod.pod.str());
    return answer;
}

std::optional<BootTime> EmbeddedIssuer::maintain(Now now) {
    const auto due = authority_.next_deadline();
    if (due && *due <= now.wall) {
        const Result<> done = authority_.tick(now.wall);
        if (!done && std::exchange(told_error_, done.error().what) != done.error().what && news_.report)
            news_.report({.level = Report::Level::Error,
                          .event = "token authority cannot save its state, tokens are served from memory",
                          .fields = {{"err", done.error().what}}});
        if (done && !std::exchange(told_error_, "").empty() && news_.report)
            news_.report(
                {.level = Report::Level::Info, .event = "token authority saves its state again", .fields = {}});
        tell_keys();
    }
    const auto next = authority_.next_deadline();
    if (!next)
        return std::nullopt;
    // A second at least, so that an authority that is behind cannot keep the loop spinning.
    return now.boot + std::max<Duration>(*next - now.wall, std::chrono::seconds(1));
}

}  // namespace tokenlet::agent
