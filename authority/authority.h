// SPDX-License-Identifier: Apache-2.0
// The embedded token authority: an issuer of service account tokens without a cluster.
//
// Shapes   open() a data directory, tell it of service accounts, Pods and the node, issue(). Whatever is due later is
//          done by tick() at next_deadline(); nothing happens by itself.
// Units    WallTime, passed in.
// Owns     the data directory (one authority each, by a lock), its keys and its database.
// Threads  one: the loop's. A token costs tens of microseconds (ES256); a commit to disk is due about once a minute,
//          and before the first token of an account or node that was not known.
// Errors   as token_rules.h for requests; Unavailable while the wall clock is behind; Io and Denied for the data
//          directory.
//
// Durability: what a token names (the account's and the node's uid, the key) is on disk before the token exists. Pods
// are written behind, within a second: after a crash the agent registers them again with the same uids. On a full disk
// tokens of what is known go on being signed; tick() says what could not be saved, and tries again.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "authority/config.h"
#include "authority/entropy.h"
#include "authority/records.h"
#include "base/result.h"
#include "base/time.h"
#include "kube/token_request.h"

namespace tokenlet::authority {

class Authority {
public:
    [[nodiscard]] static Result<Authority> open(AuthorityConfiguration config, WallTime now,
                                                Entropy entropy = system_entropy());
    Authority(Authority&&) noexcept;
    Authority& operator=(Authority&&) noexcept;
    ~Authority();  // call close() first: a destructor cannot say what went wrong

    [[nodiscard]] Result<kube::IssuedToken> issue(const kube::TokenRequest& request, WallTime now);

    // `uid` empty: the one on record, else a random one. Returns the uid.
    [[nodiscard]] Result<std::string> put_service_account(const kube::ObjectKey& key, std::string_view uid,
                                                          WallTime now);
    [[nodiscard]] Result<> remove_service_account(const kube::ObjectKey& key, WallTime now);

    // Registering a Pod again is how it changes; the same values again cost nothing.
    [[nodiscard]] Result<> put_pod(PodRecord pod, WallTime now);
    // From now on it is terminating: still served, and its tokens are dead kDeletionGrace later.
    void mark_pod_deleted(const kube::ObjectKey& key, WallTime now);
    void remove_pod(const kube::ObjectKey& key, WallTime now);

    [[nodiscard]] Result<std::string> put_node(std::string_view name, std::string_view uid, WallTime now);

    // After the first complete listing: what is on record and not in it went while nobody looked. Declared accounts are
    // removed, Pods marked deleted.
    [[nodiscard]] Result<> remove_absent(const std::set<kube::ObjectKey>& service_accounts,
                                         const std::set<kube::ObjectKey>& pods, WallTime now);

    [[nodiscard]] const std::string& root_ca_pem() const;  // for kube-root-ca.crt
    [[nodiscard]] const std::string& signing_kid() const;
    // The keys in the JWKS, sorted: verifiers refuse a token of any other.
    [[nodiscard]] std::vector<std::string> published_kids() const;

    // When tick() has something to do; unset: not before something is put or issued.
    [[nodiscard]] std::optional<WallTime> next_deadline() const;
    // Saves, rotates keys, forgets Pods that are long gone. After an error next_deadline() is a while ahead.
    [[nodiscard]] Result<> tick(WallTime now);

    // Saves everything, the time included.
    [[nodiscard]] Result<> close(WallTime now);

private:
    struct State;
    explicit Authority(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace tokenlet::authority
