// SPDX-License-Identifier: Apache-2.0
#include "agent/core/state.h"
#include "rotation/backoff.h"

namespace tokenlet::agent {

// A token may be asked for when everything it names will outlive a crash and is known to the issuer: otherwise the next
// start would draw another uid, and the token's Pod would be a stranger.
bool Core::State::may_ask(const PodState& pod) const {
    return pod.saved && pod.registered && !pod.gone && account_uids_.contains(planned_account(pod));
}

void Core::State::save_identities() {
    const DeadlineId retry{DeadlineKind::SaveIdentities};
    if (saving_ || deadlines_.deadline(retry) || (pods_to_save_.empty() && identities_to_remove_.empty()))
        return;
    SaveIdentities save{.ticket = ++last_ticket_, .added = {}, .removed = identities_to_remove_};
    for (const std::uint64_t id : pods_to_save_)
        save.added.push_back({pods_.at(id)->key, pods_.at(id)->uid});
    saving_ = save;
    commands_.emplace_back(std::move(save));
}

void Core::State::on_identities_saved(Now now, std::uint64_t ticket, const Result<>& result) {
    if (!saving_ || saving_->ticket != ticket)
        return;
    const SaveIdentities saved = *std::exchange(saving_, std::nullopt);
    if (!result) {
        const Duration delay = backoff(++identity_failures_, Errc::Io, std::nullopt);
        deadlines_.set({DeadlineKind::SaveIdentities}, now.boot + delay);
        if (!identities_error_)
            report(Report::Level::Error, "cannot record the uids of new pods, their tokens wait",
                   {{"err", result.error().what}, {"retry_in", go_duration(delay)}});
        identities_error_ = result.error();
        return;
    }
    identity_failures_ = 0;
    if (std::exchange(identities_error_, std::nullopt))
        report(Report::Level::Info, "uids of new pods are recorded", {});
    identities_to_remove_.erase(identities_to_remove_.begin(),
                                identities_to_remove_.begin() + static_cast<std::ptrdiff_t>(saved.removed.size()));
    pods_gone_.insert(pods_gone_.end(), saved.removed.begin(), saved.removed.end());
    for (const PodIdentity& identity : saved.added) {
        const auto pod = pods_by_uid_.find(identity.uid);
        if (pod == pods_by_uid_.end())
            continue;
        pod->second->saved = true;
        pods_to_save_.erase(pod->second->id);
        wake_tokens(*pod->second);
    }
}

void Core::State::tell_issuer() {
    const DeadlineId retry{DeadlineKind::TellIssuer};
    if (telling_ || deadlines_.deadline(retry))
        return;
    const bool own_accounts = settings_.objects_from == ObjectsFrom::Cluster;
    if (own_accounts) {
        accounts_gone_.clear();
        accounts_to_tell_.clear();
    }
    if (accounts_gone_.empty() && pods_gone_.empty() && accounts_to_tell_.empty() && pods_to_tell_.empty() &&
        !everything_to_tell_)
        return;
    TellIssuer tell{.ticket = ++last_ticket_,
                    .accounts_gone = accounts_gone_,
                    .pods_gone = pods_gone_,
                    .accounts = {},
                    .pods = {},
                    .everything = everything_to_tell_};
    if (everything_to_tell_) {
        for (const kube::ServiceAccount* account : manifests_.service_accounts())
            accounts_to_tell_.insert(account->meta.key());
        for (const auto& [account, pods] : pods_by_account_)
            accounts_to_tell_.insert(account);
        for (const auto& [id, pod] : pods_) {
            if (pod->plan && !pod->gone)
                pods_to_tell_.insert(id);
        }
    }
    // A Pod may name an account that does not exist. It would never be answered for, and be told again without end.
    std::erase_if(accounts_to_tell_, [&](const kube::ObjectKey& key) {
        return own_accounts ||
               (manifests_.service_account(key) == nullptr && key.name != kube::kDefaultServiceAccount);
    });
    for (const kube::ObjectKey& key : accounts_to_tell_) {
        const kube::ServiceAccount* account = manifests_.service_account(key);
        tell.accounts.push_back({key, account == nullptr ? "" : account->meta.uid});
    }
    for (const std::uint64_t id : pods_to_tell_) {
        const PodState& pod = *pods_.at(id);
        tell.pods.push_back({pod.key, pod.uid, pod.plan->service_account, pod.drawn});
    }
    telling_ = tell;
    commands_.emplace_back(std::move(tell));
}

void Core::State::on_issuer_told(Now now, std::uint64_t ticket, const Result<IssuerAnswer>& answer) {
    if (!telling_ || telling_->ticket != ticket)
        return;
    const TellIssuer told = *std::exchange(telling_, std::nullopt);
    if (!answer) {
        const Duration delay = backoff(++issuer_failures_, answer.error().code, std::nullopt);
        deadlines_.set({DeadlineKind::TellIssuer}, now.boot + delay);
        if (!issuer_error_)
            report(Report::Level::Error, "cannot register pods with the issuer, new tokens wait",
                   {{"err", answer.error().what}, {"retry_in", go_duration(delay)}});
        issuer_error_ = answer.error();
        return;
    }
    issuer_failures_ = 0;
    if (std::exchange(issuer_error_, std::nullopt))
        report(Report::Level::Info, "pods are registered with the issuer", {});

    const auto drop = [](auto& list, std::size_t count) {
        list.erase(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(count));
    };
    drop(accounts_gone_, told.accounts_gone.size());
    drop(pods_gone_, told.pods_gone.size());
    if (told.everything)
        everything_to_tell_ = false;
    for (const IssuerAccount& account : told.accounts)
        accounts_to_tell_.erase(account.account);
    for (const auto& [account, uid] : answer->account_uids)
        take_account_uid(account, uid);
    for (const IssuerPod& pod : told.pods) {
        const auto known = pods_by_uid_.find(pod.uid);
        if (known == pods_by_uid_.end() || known->second->gone ||
            known->second->plan->service_account != pod.service_account)
            continue;  // it has changed meanwhile, and its mark still stands
        known->second->registered = true;
        pods_to_tell_.erase(known->second->id);
        wake_tokens(*known->second);
    }
}

// Another uid is another account: whoever verifies refuses the tokens of the old one.
void Core::State::take_account_uid(const kube::ObjectKey& account, const std::string& uid) {
    std::string& known = account_uids_[account];
    if (known == uid)
        return;
    known = uid;
    const auto pods = pods_by_account_.find(account);
    if (pods == pods_by_account_.end())
        return;
    for (const std::uint64_t id : pods->second) {
        for (const VolumeState* volume : pods_.at(id)->volumes) {
            for (const std::uint64_t token : volume->tokens) {
                TokenUse& use = uses_.at(token);
                use.overtaken = true;
                // What was refused for good was refused to the account before.
                if (use.token->failures > 0 && rotation::is_final(use.token->error->code))
                    use.token->next_try = use.token->asked;
                demand_if_foreign(use);
                waking_tokens_.insert(token);
            }
        }
    }
}

}  // namespace tokenlet::agent
