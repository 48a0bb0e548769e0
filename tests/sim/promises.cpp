// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/promises.h"

#include <algorithm>

namespace tokenlet::sim {
namespace {

constexpr Duration kGivenUp = 60s;  // an answer that takes longer is not waited for
constexpr Duration kLongestRetry = 60s;
constexpr Duration kRemovalDelay = 10s;
constexpr Duration kGrace = 10s;
constexpr Duration kHold = 1h;
constexpr Duration kAudit = 10min;
constexpr Duration kAtOnce = 3s;  // answers take milliseconds when nothing is wrong

std::string ago(Duration time) {
    return go_duration(std::chrono::floor<std::chrono::seconds>(time)) + " ago";
}

}  // namespace

Promises::Promises(const World& world, Fleet& fleet, const agent::CoreSettings& settings)
    : world_(world),
      fleet_(fleet),
      measured_(settings.issuer_clock == agent::IssuerClock::Measured),
      requests_at_once_(settings.requests_at_once),
      start_(world.elapsed()),
      awake_since_(start_),
      stepped_at_(start_),
      key_changed_at_(start_),
      listings_work_at_(start_) {}

void Promises::fail(const std::string& promise, const std::string& what) {
    if (broken_.empty())
        broken_ = promise + ": " + what + " (after " + go_duration(now() - start_) + ")";
}

FleetPod* Promises::pod_of(const std::string& uid) {
    const auto known = uids_.find(uid);
    return known == uids_.end() ? nullptr : fleet_.find(known->second);
}

void Promises::see(const agent::Command& command) {
    if (const auto* request = std::get_if<agent::RequestToken>(&command)) {
        see_request(request->request);
    } else if (const auto* publish = std::get_if<agent::PublishVolume>(&command)) {
        see_payload(*publish);
    } else if (const auto* sweep = std::get_if<agent::SweepVolume>(&command)) {
        see_sweep(*sweep);
    } else if (const auto* remove = std::get_if<agent::RemoveVolume>(&command)) {
        see_volume_leaving(remove->path);
    } else if (const auto* save = std::get_if<agent::SaveIdentities>(&command)) {
        for (const agent::PodIdentity& pod : save->removed)
            see_leaving(pod.uid);
        for (const agent::PodIdentity& pod : save->added) {
            uids_[pod.uid] = pod.pod;
            fleet_.find(pod.pod)->uid = pod.uid;
            if (gone_.contains(pod.uid))
                fail("uid", pod.pod.str() + " is recorded under the uid of one that has left");
        }
    } else if (const auto* tell = std::get_if<agent::TellIssuer>(&command)) {
        for (const agent::PodIdentity& pod : tell->pods_gone)
            see_leaving(pod.uid);
        for (const agent::IssuerPod& pod : tell->pods) {
            if (gone_.contains(pod.uid))
                fail("uid", pod.pod.str() + " comes back under the uid that has left, and its old tokens with it");
        }
    }
}

void Promises::see_request(const kube::TokenRequest& request) {
    const std::string key = request.key();
    const std::string uid = request.bound_object_ref ? request.bound_object_ref->uid : "";
    const FleetPod* pod = pod_of(uid);
    if (pod == nullptr)
        return fail("bound", "a token is asked for that is bound to no Pod known: " + key);
    if (!world_.identities.contains(uid))
        fail("uid", "a token is asked for " + pod->key.str() + " before its uid is on disk");
    const auto before = asked_.find(key);
    if (before != asked_.end() && now() - before->second.since < kGivenUp &&
        pod->shown.touched <= before->second.since)  // an edit may forget a token and want it again
        fail("flight", "two requests at once for " + key);
    asked_[key] = {now(), uid, {request.ns, request.service_account}};
    quiet_[key] = now() + kGivenUp + kLongestRetry;
    if (asked_.size() >= requests_at_once_)
        std::erase_if(asked_, [&](const auto& entry) { return now() - entry.second.since >= kGivenUp; });
    if (asked_.size() >= requests_at_once_)
        crowded_at_ = now();

    const auto held = held_.find(key);
    if (held == held_.end() || !issuer_clock_known_)
        return;
    Given& last = held->second;
    adopt(last, *pod);
    const Duration earliest = std::min<Duration>(last.ttl * 8 / 10, 24h) - std::min<Duration>(last.ttl / 10, 5min) - 1s;
    const bool excused = last.no_good || std::max({stepped_at_, key_changed_at_, pod->shown.touched}) >= last.at;
    const bool refused = last.issued - 60s > issuer_now() || last.expires < issuer_now();
    if (now() - last.at < earliest && !excused && !refused)
        fail("needless", "a token of " + pod->key.str() + " is asked for that was received " + ago(now() - last.at) +
                             ", ttl " + go_duration(last.ttl));
}

// How long readers can go on with it, as the agent can know.
std::optional<Duration> Promises::left(const Given& given) const {
    const Duration by_age = given.at + given.ttl - now();
    return issuer_clock_known_ ? std::min(by_age, given.expires - issuer_now()) : by_age;
}

void Promises::see(const AnswerSeen& seen) {
    const std::string key = seen.request.key();
    if (!seen.first || seen.took >= kGivenUp)
        return;
    const auto asked = asked_.find(key);
    if (asked == asked_.end() || now() - asked->second.since != seen.took)
        return;  // of a token that was forgotten since
    const bool is_first = !is_on_disk(asked->second.pod_uid, key);
    asked_.erase(asked);
    if (seen.answer)
        issuer_clock_known_ = true;
    // One that a step of the clock overtook is as bad as none.
    const bool expired = seen.answer && !measured_ && seen.answer->expiration_timestamp <= issuer_now();
    if (!seen.answer || seen.twisted || expired) {
        Duration wait = kLongestRetry;
        if (!seen.answer && seen.answer.error().retry_after) {
            Duration at_most = *seen.answer.error().retry_after;
            if (const auto held = held_.find(key); held != held_.end() && !is_first)
                at_most = std::min(at_most, std::max(*left(held->second), Duration::zero()) / 3 + kAtOnce);
            wait = std::max(wait, at_most);
        }
        quiet_[key] = now() + wait;
        return;
    }
    quiet_[key] = now();
    const Duration ttl = std::chrono::seconds(seen.answer->expiration_seconds);
    const std::string text(seen.answer->token.view());
    Given given{text,
                now(),
                world_.now().wall,
                ttl,
                seen.answer->expiration_timestamp - ttl,
                seen.answer->expiration_timestamp,
                seen.key_id,
                seen.answer->service_account_uid};
    // One of a key or account that went while it was under way is refused, and asked for again at a retry's pace.
    const FleetPod* pod = pod_of(seen.request.bound_object_ref->uid);
    const kube::ObjectKey account{seen.request.ns, seen.request.service_account};
    given.no_good = pod != nullptr && (bad_since(given, *pod) || fleet_.is_news(account, given.account_uid));
    if (given.no_good)
        quiet_[key] = now() + kLongestRetry;
    held_[key] = std::move(given);
}

// Two volumes that a reboot left with different tokens of one key: which is younger, only their wall clocks say. And the
// younger one may be in a volume that nobody wants any more.
bool Promises::adopted_another(const std::string& key, const std::string& text) {
    const auto held = held_.find(key);
    if (held == held_.end())
        return false;
    for (const auto& [path, volume] : on_disk_) {
        for (const auto& [file, token] : volume.tokens) {
            const FleetPod* pod = pod_of(path.pod_uid);
            const bool alone = path.volume == "v" && pod != nullptr && !pod->shown.second_volume;
            if (!token.is_adoptable() || token.key != key || token.given.text != text ||
                !(alone || token.given.rebooted || held->second.rebooted))
                continue;
            held->second = token.given;
            return true;
        }
    }
    return false;
}

// What the agent holds may be of a volume that has left: should it come back, it asks as for the first time.
bool Promises::is_on_disk(const std::string& uid, const std::string& key) const {
    for (const char* volume : {"v", "w"}) {
        const auto disk = on_disk_.find({uid, "kubernetes.io~projected", volume});
        if (disk == on_disk_.end())
            continue;
        for (const auto& [file, token] : disk->second.tokens)
            if (token.key == key)
                return true;
    }
    return false;
}

void Promises::see_payload(const agent::PublishVolume& publish) {
    const std::string where = publish.path.str();
    FleetPod* pod = pod_of(publish.path.pod_uid);
    if (pod == nullptr || gone_.contains(publish.path.pod_uid))
        return fail("uid", where + " is published for nobody");
    const auto& files = publish.payload.files;
    const auto text = [&](const std::string& path) -> std::string {
        const auto file = files.find(path);
        return file == files.end() ? "missing" : std::string(file->second.bytes.view());
    };
    for (const agent::TokenRecord& token : publish.record.tokens) {
        const auto held = held_.find(token.key);
        const bool same = held != held_.end() && held->second.text == text(token.path);
        if (!same && !adopted_another(token.key, text(token.path)))
            fail("mixed", where + "/" + token.path + " is not the token that was given for it");
    }
    if (publish.path.volume == "v") {
        const std::string want = "v" + std::to_string(pod->shown.config);
        if (text("a") != want || text("b") != want)
            fail("mixed", where + " has a=" + text("a") + " b=" + text("b") + " where all say " + want);
        const std::string optional = "v" + std::to_string(pod->shown.optional_version);
        if (pod->shown.optional && text("o") != optional)
            fail("mixed", where + " has o=" + text("o") + " where it should be " + optional);
    }
    const std::size_t tokens = publish.path.volume == "v" ? 1 : 2;
    if (publish.record.tokens.size() != tokens || publish.record.pod_uid != publish.path.pod_uid)
        fail("mixed", where + " has another's record");
}

void Promises::see_publish(const agent::PublishVolume& publish, End end) {
    if (end == End::Fails) {
        publish_failed_[publish.path] = now();
        return;
    }
    going_.erase(publish.path);
    damaged_.erase(publish.path);
    OnDiskVolume& disk = on_disk_[publish.path];
    const FleetPod* pod = pod_of(publish.path.pod_uid);
    std::map<std::string, OnDisk> fresh;
    for (const agent::TokenRecord& token : publish.record.tokens) {
        const auto held = held_.find(token.key);
        if (held == held_.end())
            continue;
        const auto before = disk.tokens.find(token.path);
        if (pod != nullptr) {
            adopt(held->second, *pod);
            believe_younger(held->second, *pod);
        }
        if (before != disk.tokens.end() && pod != nullptr && before->second.given.text != held->second.text)
            check_token(*pod, publish.path, token.path, before->second);  // was it replaced in time?
        OnDisk& now_there = fresh[token.path];
        now_there = {token.key, held->second, held->second, boot_};
        if (end != End::Done) {
            now_there.record = before != disk.tokens.end() ? before->second.record : std::nullopt;
            now_there.boot = before != disk.tokens.end() ? before->second.boot : boot_;
        }
    }
    disk.tokens = std::move(fresh);
    if (pod != nullptr && publish.path.volume == "v")
        disk.config = pod->shown.config;
    if (end == End::Done)
        publish_failed_.erase(publish.path);
    else
        publish_failed_[publish.path] = now();
}

void Promises::see_sweep(const agent::SweepVolume& sweep) {
    const auto volume = world_.disk.find(sweep.path);
    if (volume == world_.disk.end())
        return;
    for (const auto& [name, generation] : volume->second.generations) {
        const bool kept = name == volume->second.current || std::ranges::find(sweep.keep, name) != sweep.keep.end();
        if (!kept && (!generation.replaced || now() - *generation.replaced < kGrace))
            fail("grace", sweep.path.str() + " loses " + name + " too early");
    }
}

// A Pod leaves only when its manifest has been away for the delay, and not with a directory that is not mounted.
void Promises::see_leaving(const std::string& uid) {
    if (gone_.contains(uid))
        return;
    FleetPod* pod = pod_of(uid);
    if (pod == nullptr)
        return fail("removed", "a Pod that nobody knows: " + uid);
    if (!pod->absent_since || now() - *pod->absent_since < kRemovalDelay)
        return fail("removed", pod->key.str() + " has left while its manifest was there");
    if (fleet_.unmounted_at() && now() - *fleet_.unmounted_at() < kHold)
        fail("removed", pod->key.str() + " has left because the directory is not mounted");
    gone_.insert(uid);
    fleet_.see_left(*pod);
}

void Promises::see_volume_leaving(const agent::VolumePath& path) {
    const FleetPod* pod = pod_of(path.pod_uid);
    const bool dropped =
        pod != nullptr && path.volume == "w" && pod->dropped_since && now() - *pod->dropped_since >= kRemovalDelay;
    going_.insert(path);
    if (!dropped)
        see_leaving(path.pod_uid);
}

void Promises::see_removal(const agent::VolumePath& path, End end) {
    removed_ = true;
    if (end != End::Done)
        removal_failed_[path.pod_uid] = now();
    if (end == End::Fails)
        return;
    on_disk_.erase(path);
    damaged_.erase(path);
}

void Promises::see_account_replaced(const kube::ObjectKey& account) {
    account_anew_[account] = now();
    fleet_.see_account_replaced(account);
}

void Promises::agent_died() {
    asked_.clear();
    quiet_.clear();
    publish_failed_.clear();
    removal_failed_.clear();
    held_.clear();
    // One that died while it took leave of a Pod, and had told nobody yet, may find it again.
    std::erase_if(gone_, [&](const std::string& uid) {
        return world_.identities.contains(uid) && !world_.issuer.deleted.contains(uid);
    });
    fleet_.agent_died();
}

void Promises::agent_starts(bool rebooted) {
    awake_since_ = listings_work_at_ = now();
    if (measured_)
        issuer_clock_known_ = issuer_clock_known_ && !rebooted;
    boot_ += rebooted ? 1 : 0;
    find_tokens();
}

// What was given and did not reach the disk with its record is lost; the rest has to be adopted.
void Promises::find_tokens() {
    for (auto& [path, volume] : on_disk_) {
        for (auto& [file, token] : volume.tokens) {
            if (!token.is_adoptable())
                continue;
            token.given = *token.record;
            token.given.other_boot = token.boot != boot_;
            token.given.rebooted |= token.given.other_boot;
            const auto [held, first] = held_.emplace(token.key, token.given);
            const bool surer =
                held->second.text == token.given.text && held->second.other_boot && !token.given.other_boot;
            if (!first && (surer || held->second.at < token.given.at))
                held->second = token.given;
        }
    }
}

// After a reboot the wall clock is all there is to tell a token's age by; one from the future counts as old.
void Promises::adopt(Given& given, const FleetPod& pod) {
    if (!given.other_boot || !pod.shown.since)
        return;
    given.other_boot = false;
    const Duration age = pod.shown.since_wall - given.at_wall;
    given.at = *pod.shown.since - (age < Duration::zero() ? given.ttl : age);
}

// Of two records of a token, one from before a reboot, the agent believes the one that has it younger.
void Promises::believe_younger(Given& given, const FleetPod& pod) {
    if (!given.rebooted)
        return;
    for (const char* volume : {"v", "w"}) {
        const auto disk = on_disk_.find(pod.path_of(volume));
        if (disk == on_disk_.end())
            continue;
        for (auto& [file, token] : disk->second.tokens) {
            if (token.given.text != given.text || !token.is_adoptable())
                continue;
            adopt(token.given, pod);
            given.at = std::max(given.at, token.given.at);
        }
    }
}

// What was under way through it is given up.
void Promises::machine_slept(Duration time) {
    awake_since_ = now();
    for (const auto& [key, request] : asked_) {
        if (now() - request.since < time + kGivenUp)
            quiet_[key] = now() + kLongestRetry;
    }
}

void Promises::clock_stepped() {
    if (!measured_)
        stepped_at_ = now();  // an issuer with a clock of its own goes on as it did
}

void Promises::key_changed() {
    key_changed_at_ = now();
}

void Promises::damaged(const agent::VolumePath& path, const std::string& file, bool told) {
    damaged_[path] = now() + (told ? Duration::zero() : kAudit);
    const auto volume = on_disk_.find(path);
    if (volume == on_disk_.end())
        return;
    for (auto& [name, token] : volume->second.tokens) {
        if (file.empty() || file == name)
            token.damaged = true;
    }
}

void Promises::listings_work() {
    listings_work_at_ = now();
}

void Promises::demanded(const FleetPod& pod) {
    fleet_.find(pod.key)->shown.touched = now();
}

// Since when nothing but a token has been missing for this volume; nothing while something else is.
std::optional<BootTime> Promises::unobstructed(const FleetPod& pod, const std::string& volume) const {
    const FleetPod::Shown& shown = pod.shown;
    if (!world_.running() || pod.absent_since || !shown.since)
        return std::nullopt;
    if (!shown.account_since)
        return std::nullopt;
    BootTime since = std::max({*shown.since, *shown.account_since, awake_since_, listings_work_at_});
    if (volume == "v") {
        if (!shown.config_since || !shown.optional_since)
            return std::nullopt;
        since = std::max({since, *shown.config_since, *shown.optional_since});
    } else if (!shown.second_volume || !pod.second_volume) {
        return std::nullopt;
    }
    if (world_.registers_failed)
        since = std::max(since, *world_.registers_failed + kLongestRetry);
    return since;
}

BootTime Promises::able(const FleetPod& pod, const agent::VolumePath& path) const {
    BootTime since = unobstructed(pod, path.volume).value_or(BootTime::max());
    if (const auto failed = publish_failed_.find(path); failed != publish_failed_.end())
        since = std::max(since, failed->second + kLongestRetry);
    if (const auto failed = removal_failed_.find(path.pod_uid); failed != removal_failed_.end())
        since = std::max(since, failed->second + kLongestRetry);
    return since;
}

// With fewer requests at once than tokens are due, each has to wait for its turn.
Duration Promises::slack() const {
    const std::size_t keys = fleet_.pods().size() * 2;
    const auto turns = static_cast<Duration::rep>(1 + keys / requests_at_once_);
    const bool crowded = now() - crowded_at_ <= turns * kGivenUp;
    return kAtOnce + (crowded ? turns * kGivenUp : Duration::zero());
}

std::optional<std::pair<BootTime, std::string>> Promises::bad_since(const Given& given, const FleetPod& pod) const {
    std::optional<std::pair<BootTime, std::string>> bad;
    const auto since = [&](BootTime time, const char* why) {
        if (time <= now() && (!bad || time < bad->first))
            bad = {time, why};
    };
    since(given.at + std::min<Duration>(given.ttl - std::chrono::floor<std::chrono::seconds>(given.ttl / 5), 24h),
          "due");
    if (issuer_clock_known_) {
        // The agent measures a clock by answers that may have been under way for a minute.
        const Duration doubt = measured_ ? kGivenUp : Duration::zero();
        if (given.issued - 60s > issuer_now() + doubt)
            since(stepped_at_, "from the future");
        if (given.expires < issuer_now() - doubt)
            since(std::max(stepped_at_, now() - (issuer_now() - doubt - given.expires)), "expired");
    }
    if (given.key_id != world_.issuer.key_id)
        since(key_changed_at_, "of a key that is not accepted");
    const kube::ObjectKey account{pod.key.ns, pod.account};
    const auto present = world_.issuer.accounts.find(account);
    const auto anew = account_anew_.find(account);
    if (present != world_.issuer.accounts.end() && anew != account_anew_.end() &&
        present->second != given.account_uid && !fleet_.is_news(account, present->second))
        since(anew->second, "of an account that is not there any more");
    return bad;
}

void Promises::check_token(const FleetPod& pod, const agent::VolumePath& path, const std::string& file, OnDisk& token) {
    ++checks_;
    adopt(token.given, pod);
    believe_younger(token.given, pod);
    const auto bad = bad_since(token.given, pod);
    if (!bad)
        return;
    const BootTime free = able(pod, path);
    if (free == BootTime::max())
        return;
    const BootTime from = std::max({bad->first, free, quiet_until(on_disk_.at(path))});
    if (now() - from > slack())
        fail("stale", pod.key.str() + ": " + path.str() + "/" + file + " is still the token of " +
                          ago(now() - token.given.at) + ", ttl " + go_duration(token.given.ttl) + ", " + bad->second +
                          " since " + ago(now() - bad->first));
}

// A volume waits for all its tokens.
BootTime Promises::quiet_until(const OnDiskVolume& volume) const {
    BootTime until{};
    for (const auto& [file, token] : volume.tokens) {
        if (const auto quiet = quiet_.find(token.key); quiet != quiet_.end())
            until = std::max(until, quiet->second);
    }
    return until;
}

void Promises::check_damage(const FleetPod& pod, const agent::VolumePath& path) {
    const auto damage = damaged_.find(path);
    const BootTime free = able(pod, path);
    if (damage == damaged_.end() || free == BootTime::max())
        return;
    const BootTime from = std::max({damage->second, free, quiet_until(on_disk_.at(path))});
    if (now() > from && now() - from > slack())
        fail("damage", path.str() + " of " + pod.key.str() + " is still as somebody left it");
}

void Promises::check_pod(FleetPod& pod) {
    for (const std::string volume : {"v", "w"}) {
        const std::optional<BootTime> since = unobstructed(pod, volume);
        if (!since)
            continue;
        if (pod.uid.empty() || gone_.contains(pod.uid)) {
            if (now() - *since > kAtOnce)
                fail("missing", pod.key.str() + " is in the directory and has no uid");
            continue;
        }
        const agent::VolumePath path = pod.path_of(volume);
        const BootTime free = able(pod, path);
        const auto known = on_disk_.find(path);
        if (known == on_disk_.end() || !world_.names.contains({pod.key.ns, pod.key.name, volume})) {
            BootTime from = free;
            for (const auto& [key, quiet] : quiet_) {
                if (key.find(pod.uid) != std::string::npos)
                    from = std::max(from, quiet);
            }
            if (now() > from && now() - from > slack())
                fail("missing", pod.key.str() + " has no volume " + volume);
            continue;
        }
        check_damage(pod, path);
        auto& [tokens, config] = known->second;
        for (auto& [file, token] : tokens)
            check_token(pod, path, file, token);
        if (volume == "w" || config == pod.shown.config || now() <= free || now() - free <= kAtOnce)
            continue;
        const auto token = tokens.find("token");
        if (token != tokens.end() && held_.contains(token->second.key))
            fail("stale", pod.key.str() + " has an old config");
    }
}

void Promises::check() {
    if (std::exchange(removed_, false))
        check_names();
    for (FleetPod& pod : fleet_.pods())
        check_pod(pod);
    if (world_.running() && !world_.listing_fails && !fleet_.unmounted_at())
        check_remains();
}

void Promises::check_names() {
    for (const auto& [name, path] : world_.names) {
        const auto volume = world_.disk.find(path);
        if (volume != world_.disk.end() && !volume->second.current.empty())
            continue;
        if (!gone_.contains(path.pod_uid) && !going_.contains(path) && !damaged_.contains(path))
            fail("missing", name.ns + "/" + name.pod + "/" + name.name + " leads nowhere");
    }
}

// What has left is removed, held removals after their hour.
void Promises::check_remains() {
    const auto& pods = fleet_.pods();
    const bool all_here =
        gone_.empty() && std::ranges::none_of(pods, [](const FleetPod& pod) { return pod.absent_since.has_value(); });
    if (all_here || std::ranges::any_of(pods, &FleetPod::broken))
        return;
    for (const auto& [path, volume] : world_.disk) {
        const FleetPod* pod = pod_of(path.pod_uid);
        if (pod == nullptr)
            continue;
        BootTime since = std::max({awake_since_, fleet_.mended_at(), listings_work_at_});
        if (const auto failed = removal_failed_.find(path.pod_uid); failed != removal_failed_.end())
            since = std::max(since, failed->second);
        const bool left = gone_.contains(path.pod_uid);
        if (!left && !pod->absent_since)
            continue;
        if (!left)
            since = std::max(since, *pod->absent_since);
        if (now() - since > kHold + kLongestRetry + kRemovalDelay)
            fail("remains", path.str() + " is still there");
    }
}

}  // namespace tokenlet::sim
