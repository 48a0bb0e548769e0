// SPDX-License-Identifier: Apache-2.0
// The signing keys of a data directory.
//
// Shapes   carries out what key_schedule.h plans: makes, publishes, promotes, drops. sign() is the one thing asked
//          often.
// Owns     the private keys that sign or will: dataDir/keys/<kid>.pem, 0600. A retired key's private half is destroyed
//          at once; its public half lives in the store until its last token has expired.
// Threads  one at a time.
// Errors   as durable_file.h and store.h; after a failed step the keys in use are unchanged and step() may be called
//          again.
//
// Order, so that a crash anywhere is mended by the next open: a new key's file is on disk before its JWK is published,
// and it is published before it is recorded. A key file without a record is therefore one that never signed: it becomes
// the successor. A record that has retired needs no file.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "authority/config.h"
#include "authority/key_schedule.h"
#include "authority/signing_key.h"
#include "authority/store.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace tokenlet::authority {

class KeyRing {
public:
    // Where a ring works; all outlive it.
    struct Place {
        const UniqueFd& data_dir;
        const UniqueFd& keys_dir;
        Store& store;
        const AuthorityConfiguration& config;
    };

    // Loads what there is, makes the first key if there is none, publishes the discovery documents. A signing key whose
    // file is gone is retired like any other, and the next one signs at once.
    [[nodiscard]] static Result<KeyRing> open(const Place& place, WallTime now);

    // Does what is due.
    [[nodiscard]] Result<> step(const Place& place, WallTime now);
    [[nodiscard]] std::optional<WallTime> next_step() const { return next_step_; }

    // Remembers and writes down, an hour ahead at a time, that the signer's tokens live until `expires`. When it cannot
    // be written, save() tries again.
    [[nodiscard]] Result<> reserve_until(const Place& place, WallTime expires);
    [[nodiscard]] Result<> save(const Place& place);
    [[nodiscard]] bool is_saved() const { return is_saved_; }
    [[nodiscard]] const SigningKey& signer() const { return *signer_; }

    [[nodiscard]] const std::vector<KeyRecord>& records() const { return records_; }

private:
    KeyRing() = default;
    [[nodiscard]] Result<> load(const Place& place, WallTime now);
    [[nodiscard]] Result<> make_successor(const Place& place, WallTime now);
    [[nodiscard]] Result<> promote(const Place& place, const std::string& kid, WallTime now);
    [[nodiscard]] Result<> drop(const Place& place, const std::string& kid);
    // Publishes and records another set of keys; ours changes only when both are done.
    [[nodiscard]] Result<> adopt(const Place& place, std::vector<KeyRecord> records);
    [[nodiscard]] Result<> forget_private_half(const Place& place, const std::string& kid);

    std::vector<KeyRecord> records_;
    std::map<std::string, SigningKey, std::less<>> keys_;  // by kid: those with a private half
    const SigningKey* signer_ = nullptr;
    std::optional<WallTime> next_step_;
    bool is_saved_ = true;
};

}  // namespace tokenlet::authority
