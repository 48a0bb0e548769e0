// SPDX-License-Identifier: Apache-2.0
#include "authority/authority.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <utility>

#include "authority/certificate_authority.h"
#include "authority/claims.h"
#include "authority/clock_guard.h"
#include "authority/durable_file.h"
#include "authority/key_ring.h"
#include "authority/registry.h"
#include "authority/store.h"
#include "authority/token_rules.h"
#include "base/base64.h"
#include "base/unique_fd.h"

namespace tokenlet::authority {
namespace {

// A web server must get through to discovery/, and see nothing else on its way.
constexpr mode_t kDataDirMode = 0711;
constexpr mode_t kPrivateDirMode = 0700;
constexpr char kDatabase[] = "authority.db";
constexpr std::chrono::seconds kWriteBehind{1};
constexpr std::chrono::seconds kRetryAfterFailure{10};

// Keys without the database are an older backup, or a file that somebody removed: it works, but hardly as it was meant.
void warn_of_lost_database(const UniqueFd& data_dir, const std::string& path) {
    const bool is_lost = ::faccessat(data_dir.get(), kDatabase, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
    std::error_code trouble;
    if (is_lost && !std::filesystem::is_empty(path + "/keys", trouble) && !trouble)
        spdlog::warn(
            "database is gone though its keys are there, service accounts get new uids and the tokens of the old "
            "ones die data_dir=\"{}\"",
            path);
}

Result<UniqueFd> lock(const UniqueFd& dir) {
    UniqueFd file{::openat(dir.get(), "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (!file)
        return fail_errno(errno, "open", "lock");
    if (::flock(file.get(), LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return fail(Errc::Conflict,
                        "another tokenlet runs on this directory; stop it, or give this one a dataDir of its own");
        return fail_errno(errno, "flock", "lock");
    }
    return file;
}

// header.claims.signature, all of it in wiped memory from the moment it is worth something.
Result<Secret> sign(const SigningKey& key, const Claims& claims) {
    Secret token(encode_base64url(header_json(key.algorithm(), key.kid())));
    token.append(".");
    token.append(encode_base64url(to_json(claims)));
    const Secret signature = TRY(key.sign(token.view()));
    std::string text = encode_base64url(signature.view());
    token.append(".");
    token.append(text);
    wipe_memory(text.data(), text.size());
    return token;
}

}  // namespace

struct Authority::State {
    AuthorityConfiguration config;
    Entropy entropy;
    UniqueFd data_dir;
    UniqueFd lock_file;
    UniqueFd keys_dir;
    CertificateAuthority ca;
    ClockGuard clock;
    Store store;
    Registry registry;
    std::optional<KeyRing> keys;
    std::optional<WallTime> save_at;  // changes are waiting to be written
    std::optional<WallTime> retry_at;

    [[nodiscard]] KeyRing::Place place() { return {data_dir, keys_dir, store, config}; }

    void note_changes(WallTime now) {
        if (registry.urgency() != Urgency::None && !save_at)
            save_at = now + kWriteBehind;
    }

    [[nodiscard]] Result<> save() {
        if (registry.urgency() == Urgency::None)
            return {};
        TRY(store.save(registry.changes()));
        registry.changes_saved();
        save_at.reset();
        return {};
    }

    // What a token in circulation asks to be remembered. It may reach the disk late, but a full one must not stop the
    // tokens of everything that runs here: what failed is seen by is_saved(), tried again by tick(), and said there.
    void remember(WallTime now, WallTime expires) {
        (void)keys->reserve_until(place(), expires);
        (void)clock.note(data_dir, now);
        if (!keys->is_saved() || !clock.is_saved())
            save_at = now;
    }

    [[nodiscard]] Result<> do_what_is_due(WallTime now) {
        registry.remove_expired_pods(now);
        TRY(save());
        TRY(keys->save(place()));
        TRY(clock.save(data_dir));
        save_at.reset();
        if (const std::optional<WallTime> due = keys->next_step(); due && *due <= now) {
            TRY(clock.require_not_behind(now), "signing keys");
            TRY(keys->step(place(), now));
        }
        return {};
    }
};

Authority::Authority(std::unique_ptr<State> state) : state_(std::move(state)) {}
Authority::Authority(Authority&&) noexcept = default;
Authority& Authority::operator=(Authority&&) noexcept = default;
Authority::~Authority() = default;

Result<Authority> Authority::open(AuthorityConfiguration config, WallTime now, Entropy entropy) {
    const std::string path = config.data_dir;
    UniqueFd data_dir = TRY(open_directory(path, kDataDirMode), "dataDir");
    UniqueFd lock_file = TRY(lock(data_dir), "dataDir " + path);
    UniqueFd keys_dir = TRY(open_directory(data_dir, "keys", kPrivateDirMode), "dataDir " + path);
    const UniqueFd ca_dir = TRY(open_directory(data_dir, "ca", kPrivateDirMode), "dataDir " + path);
    CertificateAuthority ca = TRY(CertificateAuthority::open(ca_dir, now), "dataDir " + path + ": ca");
    ClockGuard clock = TRY(ClockGuard::load(data_dir, path), "dataDir " + path);
    warn_of_lost_database(data_dir, path);
    Store store = TRY(Store::open(path + "/" + kDatabase));
    Registry registry = TRY(store.load_registry());
    auto state = std::unique_ptr<State>(new State{.config = std::move(config),
                                                  .entropy = std::move(entropy),
                                                  .data_dir = std::move(data_dir),
                                                  .lock_file = std::move(lock_file),
                                                  .keys_dir = std::move(keys_dir),
                                                  .ca = std::move(ca),
                                                  .clock = std::move(clock),
                                                  .store = std::move(store),
                                                  .registry = std::move(registry),
                                                  .keys = {},
                                                  .save_at = {},
                                                  .retry_at = {}});
    state->keys = TRY(KeyRing::open(state->place(), now), "dataDir " + path);
    return Authority(std::move(state));
}

Result<kube::IssuedToken> Authority::issue(const kube::TokenRequest& request, WallTime now) {
    State& state = *state_;
    TRY(state.clock.require_not_behind(now));
    Grant granted = TRY(grant(request, state.config, state.registry, now),
                        "token for " + request.ns + "/" + request.service_account);
    if (state.registry.urgency() == Urgency::Before)
        TRY(state.save());
    state.remember(now, WallTime(std::chrono::seconds(granted.claims.expires_at_seconds)));
    granted.claims.jti = TRY(random_uuid(state.entropy));
    return kube::IssuedToken{.token = TRY(sign(state.keys->signer(), granted.claims)),
                             .expiration_timestamp = granted.expiration_timestamp,
                             .expiration_seconds = granted.expiration_seconds,
                             .service_account_uid = std::move(granted.claims.service_account.uid),
                             .warnings = std::move(granted.warnings),
                             .server_time = now};
}

Result<std::string> Authority::put_service_account(const kube::ObjectKey& key, std::string_view uid, WallTime now) {
    std::string recorded = TRY(state_->registry.put_service_account(key, uid, state_->entropy));
    state_->note_changes(now);
    return recorded;
}

Result<> Authority::remove_service_account(const kube::ObjectKey& key, WallTime now) {
    TRY(state_->registry.remove_service_account(key, state_->entropy));
    state_->note_changes(now);
    return {};
}

Result<> Authority::put_pod(PodRecord pod, WallTime now) {
    TRY(state_->registry.put_pod(std::move(pod), state_->entropy));
    state_->note_changes(now);
    return {};
}

void Authority::mark_pod_deleted(const kube::ObjectKey& key, WallTime now) {
    state_->registry.mark_pod_deleted(key, now);
    state_->note_changes(now);
}

void Authority::remove_pod(const kube::ObjectKey& key, WallTime now) {
    state_->registry.remove_pod(key);
    state_->note_changes(now);
}

Result<std::string> Authority::put_node(std::string_view name, std::string_view uid, WallTime now) {
    std::string recorded = TRY(state_->registry.put_node(name, uid, state_->entropy));
    state_->note_changes(now);
    return recorded;
}

Result<> Authority::remove_absent(const std::set<kube::ObjectKey>& service_accounts,
                                  const std::set<kube::ObjectKey>& pods, WallTime now) {
    std::vector<kube::ObjectKey> absent;
    for (const auto& [key, account] : state_->registry.service_accounts()) {
        if (account.origin == ServiceAccountRecord::Origin::Declared && !service_accounts.contains(key))
            absent.push_back(key);
    }
    for (const kube::ObjectKey& key : absent)
        TRY(remove_service_account(key, now));
    absent.clear();
    for (const auto& [key, pod] : state_->registry.pods()) {
        if (!pods.contains(key))
            absent.push_back(key);
    }
    for (const kube::ObjectKey& key : absent)
        mark_pod_deleted(key, now);
    return {};
}

const std::string& Authority::root_ca_pem() const {
    return state_->ca.certificate_pem();
}

const std::string& Authority::signing_kid() const {
    return state_->keys->signer().kid();
}

std::vector<std::string> Authority::published_kids() const {
    std::vector<std::string> kids;
    for (const KeyRecord& record : state_->keys->records())
        kids.push_back(record.kid);
    std::ranges::sort(kids);
    return kids;
}

std::optional<WallTime> Authority::next_deadline() const {
    if (state_->retry_at)
        return state_->retry_at;
    std::optional<WallTime> next;
    for (const std::optional<WallTime>& due :
         {state_->save_at, state_->keys->next_step(), state_->registry.next_pod_expiry()}) {
        if (due)
            next = next ? std::min(*next, *due) : *due;
    }
    return next;
}

Result<> Authority::tick(WallTime now) {
    Result<> done = state_->do_what_is_due(now);
    state_->retry_at = done ? std::nullopt : std::optional(now + kRetryAfterFailure);
    return done;
}

Result<> Authority::close(WallTime now) {
    TRY(state_->save());
    TRY(state_->keys->save(state_->place()));
    return state_->clock.persist(state_->data_dir, now);
}

}  // namespace tokenlet::authority
