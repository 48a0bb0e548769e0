// SPDX-License-Identifier: Apache-2.0
#include "authority/key_ring.h"

#include <dirent.h>
#include <fcntl.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string_view>
#include <utility>

#include "authority/discovery.h"
#include "authority/durable_file.h"

namespace tokenlet::authority {
namespace {

constexpr std::string_view kSuffix = ".pem";
constexpr std::string_view kTemporarySuffix = ".tmp";  // durable_file.cpp's
// How far ahead of need the last expiry is written down: a write an hour, not one a token.
constexpr std::chrono::hours kReserve{1};

std::string file_of(std::string_view kid) {
    return std::string(kid).append(kSuffix);
}

Result<std::vector<std::string>> names_in(const UniqueFd& dir) {
    const int copy = ::openat(dir.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0)
        return fail_errno(errno, "open", "keys");
    const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(copy), ::closedir);
    if (!listing) {
        const int os_errno = errno;
        const UniqueFd closes{copy};
        return fail_errno(os_errno, "fdopendir", "keys");
    }
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(listing.get()))
        names.emplace_back(entry->d_name);
    if (errno != 0)
        return fail_errno(errno, "readdir", "keys");
    return names;
}

Result<SigningKey> load_key(const UniqueFd& keys_dir, std::string_view kid) {
    const std::string file = file_of(kid);
    const Secret pem = TRY(read_file(keys_dir, file, Readers::OwnerOnly));
    SigningKey key = TRY(SigningKey::from_pem(pem), file);
    if (key.kid() != kid)
        return fail(Errc::Invalid, file + " holds another key, " + key.kid());
    return key;
}

// Records are whole seconds on disk; rounded up, so that no key is thought older than it is.
WallTime whole_seconds(WallTime time) {
    return std::chrono::ceil<std::chrono::seconds>(time);
}

KeyRecord new_record(const SigningKey& key, WallTime now) {
    return {.kid = key.kid(),
            .algorithm = key.algorithm(),
            .jwk = key.jwk(),
            .published_at = whole_seconds(now),
            .signing_since = {},
            .retired_at = {},
            .signed_until = {}};
}

KeyRecord* find(std::vector<KeyRecord>& records, std::string_view kid) {
    const auto found = std::ranges::find(records, kid, &KeyRecord::kid);
    return found == records.end() ? nullptr : &*found;
}

}  // namespace

Result<KeyRing> KeyRing::open(const Place& place, WallTime now) {
    KeyRing ring;
    TRY(ring.load(place, now));
    TRY(ring.step(place, now));
    return ring;
}

Result<> KeyRing::load(const Place& place, WallTime now) {
    std::vector<KeyRecord> records = TRY(place.store.load_keys());
    const std::vector<KeyRecord> recorded = records;
    const std::vector<std::string> files = TRY(names_in(place.keys_dir));

    // 1. What a crash left behind: half-written files, and private halves of keys that have retired.
    for (const std::string& file : files) {
        const std::string_view kid =
            std::string_view(file).substr(0, file.size() - std::min(file.size(), kSuffix.size()));
        const KeyRecord* record = file.ends_with(kSuffix) ? find(records, kid) : nullptr;
        if (file.ends_with(kTemporarySuffix) || (record != nullptr && record->retired_at))
            TRY(remove_file(place.keys_dir, file), "keys");
    }

    // 2. Recorded keys that sign or will. One that is unreadable stops us, one that is gone does not: it cannot be got
    //    back by waiting, and its tokens stay valid by its public half.
    for (KeyRecord& record : records) {
        if (record.retired_at)
            continue;
        Result<SigningKey> key = load_key(place.keys_dir, record.kid);
        if (key) {
            keys_.emplace(record.kid, std::move(*key));
        } else if (key.error().code == Errc::NotFound) {
            spdlog::warn("signing key is gone, its tokens stay valid and another key takes over kid={}", record.kid);
            record.retired_at = whole_seconds(now);
        } else {
            return std::unexpected(
                std::move(key.error()).with("keys; restore it, or remove it to have another key take over"));
        }
    }

    // 3. Key files without a record never signed: made just before a crash.
    for (const std::string& file : files) {
        if (!file.ends_with(kSuffix))
            continue;
        const std::string kid = file.substr(0, file.size() - kSuffix.size());
        if (find(records, kid) != nullptr)
            continue;
        Result<SigningKey> key = load_key(place.keys_dir, kid);
        if (!key) {
            spdlog::warn("file in the keys directory is no key of ours, ignoring it err=\"{}\"", key.error().what);
            continue;
        }
        records.push_back(new_record(*key, now));
        keys_.emplace(kid, std::move(*key));
    }

    if (records == recorded) {
        records_ = std::move(records);
        TRY(publish_discovery(place.data_dir, place.config.issuer, records_));
    } else {
        TRY(adopt(place, std::move(records)));
    }
    if (const KeyRecord* signer = signer_of(records_))
        signer_ = &keys_.find(signer->kid)->second;
    return {};
}

Result<> KeyRing::step(const Place& place, WallTime now) {
    for (;;) {
        const KeyPlan plan = plan_keys(records_, place.config.keys, now);
        next_step_ = plan.next;
        if (!plan.drop.empty())
            TRY(drop(place, plan.drop.front()), "dropping a signing key");
        else if (plan.make_successor)
            TRY(make_successor(place, now), "making a signing key");
        else if (plan.promote)
            TRY(promote(place, *plan.promote, now), "changing the signing key");
        else
            return {};
    }
}

Result<> KeyRing::make_successor(const Place& place, WallTime now) {
    SigningKey key = TRY(SigningKey::generate(place.config.keys.algorithm));
    const Secret pem = TRY(key.to_pem());
    TRY(write_file(place.keys_dir, file_of(key.kid()), pem.view(), 0600), "keys");
    std::vector<KeyRecord> records = records_;
    records.push_back(new_record(key, now));
    std::string kid = key.kid();
    TRY(adopt(place, std::move(records)));
    spdlog::info("signing key made and published kid={} algorithm={}", kid, to_string(key.algorithm()));
    keys_.emplace(std::move(kid), std::move(key));
    return {};
}

Result<> KeyRing::promote(const Place& place, const std::string& kid, WallTime now) {
    std::vector<KeyRecord> records = records_;
    std::string old;
    for (KeyRecord& record : records) {
        if (record.signing_since && !record.retired_at) {
            record.retired_at = whole_seconds(now);
            old = record.kid;
        }
    }
    KeyRecord* next = find(records, kid);
    next->signing_since = whole_seconds(now);
    TRY(adopt(place, std::move(records)));
    signer_ = &keys_.find(kid)->second;
    spdlog::info("signing key in use kid={} instead_of={}", kid, old.empty() ? "none" : old);
    return old.empty() ? Result<>() : forget_private_half(place, old);
}

Result<> KeyRing::drop(const Place& place, const std::string& kid) {
    // The file first: without its record it would be taken for a successor.
    TRY(forget_private_half(place, kid));
    std::vector<KeyRecord> records = records_;
    std::erase_if(records, [&](const KeyRecord& record) { return record.kid == kid; });
    TRY(adopt(place, std::move(records)));
    spdlog::info("signing key is no longer published kid={}", kid);
    return {};
}

Result<> KeyRing::forget_private_half(const Place& place, const std::string& kid) {
    keys_.erase(kid);
    return remove_file(place.keys_dir, file_of(kid));
}

Result<> KeyRing::adopt(const Place& place, std::vector<KeyRecord> records) {
    TRY(publish_discovery(place.data_dir, place.config.issuer, records));
    TRY(place.store.save_keys(records));
    records_ = std::move(records);
    is_saved_ = true;
    return {};
}

Result<> KeyRing::reserve_until(const Place& place, WallTime expires) {
    KeyRecord* record = find(records_, signer_->kid());
    if (record->signed_until && expires <= *record->signed_until)
        return {};
    record->signed_until = whole_seconds(expires) + kReserve;
    is_saved_ = false;
    return save(place);
}

Result<> KeyRing::save(const Place& place) {
    if (is_saved_)
        return {};
    TRY(place.store.save_keys(records_), "signing keys");
    is_saved_ = true;
    return {};
}

}  // namespace tokenlet::authority
