// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/world.h"

#include <algorithm>

#include "base/base64.h"
#include "kube/decode.h"

namespace tokenlet::sim {
namespace {

// A core that works on at one moment for longer than this will never rest.
constexpr int kMostTurns = 200'000;

std::string seconds(WallTime time) {
    return std::to_string(std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count());
}

std::string jwt(const kube::TokenRequest& request, const std::string& account_uid, const std::string& key_id,
                WallTime issued, WallTime expires, std::uint64_t id) {
    const std::string header = R"({"alg":"ES256","kid":")" + key_id + R"("})";
    std::string audience = request.audiences.empty() ? "api" : request.audiences.front();
    std::string claims = R"({"aud":[")" + audience + R"("],"exp":)" + seconds(expires) + R"(,"iat":)" +
                         seconds(issued) + R"(,"iss":"https://sim","jti":")" + std::to_string(id) +
                         R"(","kubernetes.io":{"namespace":")" + request.ns + '"';
    if (request.bound_object_ref)
        claims += std::string(request.bound_object_ref->kind == "Secret" ? R"(,"secret)" : R"(,"pod)") +
                  R"(":{"name":")" + request.bound_object_ref->name + R"(","uid":")" + request.bound_object_ref->uid +
                  R"("})";
    claims += R"(,"serviceaccount":{"name":")" + request.service_account + R"(","uid":")" + account_uid +
              R"("}},"nbf":)" + seconds(issued) + R"(,"sub":"system:serviceaccount:)" + request.ns + ':' +
              request.service_account + R"("})";
    return encode_base64url(header) + '.' + encode_base64url(claims) + '.' + encode_base64url("signature");
}

}  // namespace

agent::CoreSettings World::default_settings() {
    agent::CoreSettings settings;
    settings.boot_id = "boot-1";
    settings.rotation.max_jitter = 0s;
    settings.ownership = projector::Ownership::Chown;
    settings.direct = {"/direct"};
    return settings;
}

World::World(agent::CoreSettings settings, std::uint64_t seed) : settings_(std::move(settings)), random_(seed) {}
World::~World() = default;

void World::write(const std::string& file, const std::string& text) {
    files_[file] = text;
    touched_.insert(file);
    list_now();
}

void World::unlink(const std::string& file) {
    files_.erase(file);
    touched_.insert(file);
    list_now();
}

std::map<std::string, std::string> World::take_files() {
    for (const auto& [file, text] : files_)
        touched_.insert(file);
    return std::exchange(files_, {});
}

void World::put_files(const std::map<std::string, std::string>& files) {
    for (const auto& [file, text] : files) {
        files_[file] = text;
        touched_.insert(file);
    }
}

void World::list_now() {
    if (!core_)
        return;
    core_->on_listed(now(), list());
    carry_out();
}

void World::start() {
    listed_.clear();
    listed_before_ = false;
    core_ = std::make_unique<agent::Core>(settings_, [this] { return random_(); });
    std::vector<agent::PodIdentity> known;
    for (const auto& [uid, key] : identities)
        known.push_back({key, uid});
    core_->load_identities(std::move(known));
    core_->adopt(now(), find_volumes());
    core_->on_root_ca(now(), "CA\n");
    core_->on_issuer_keys(now(), {issuer.key_id});
    list_now();
}

void World::crash() {
    core_.reset();
    events_.clear();
    requests_under_way_ = 0;
}

void World::wake() {
    core_->on_timer(now());
    carry_out();
}

void World::reboot() {
    crash();
    settings_.boot_id += "+";
    booted_ = boot_.time_since_epoch() - 100s;
}

void World::act(const std::function<void(agent::Core&, Now)>& action) {
    if (!core_)
        return;
    action(*core_, now());
    carry_out();
}

void World::after(Duration delay, Action action) {
    events_.emplace(boot_ + delay, std::move(action));
}

void World::pass(Duration time) {
    carry_out();
    const BootTime end = boot_ + time;
    BootTime turn_at{};
    for (int turns = 0;; ++turns) {
        BootTime next = end;
        if (!events_.empty())
            next = std::min(next, std::max(events_.begin()->first, boot_));
        if (core_) {
            if (const auto deadline = core_->next_deadline())
                next = std::min(next, std::max(*deadline + booted_, boot_));
        }
        if (next != turn_at)
            turns = 0;
        turn_at = next;
        if (turns > kMostTurns) {
            trouble = "the core never comes to rest";
            return;
        }
        wall_ += next - boot_;
        boot_ = next;
        if (!events_.empty() && events_.begin()->first <= boot_) {
            const Action action = std::move(events_.begin()->second);
            events_.erase(events_.begin());
            action();
        } else if (core_ && core_->next_deadline().value_or(BootTime::max()) <= now().boot) {
            core_->on_timer(now());
        } else {
            return;
        }
        carry_out();
    }
}

void World::carry_out() {
    while (core_) {
        std::vector<agent::Command> commands = core_->take_commands();
        if (commands.empty())
            return;
        for (agent::Command& command : commands) {
            if (on_command)
                on_command(command);
            if (!core_)
                return;  // a crash at this command
            carry_out(command);
            if (!core_)
                return;  // it died halfway
        }
    }
}

void World::carry_out(agent::Command& command) {
    std::visit([this](auto& order) { answer(order); }, command);
}

void World::answer(const agent::WatchObjects& watch) {
    for (const agent::WatchedObject& object : watch.removed)
        watched.erase(object);
    watched.insert(watch.added.begin(), watch.added.end());
}

void World::answer(const agent::ListManifests&) {
    after(0s, [this] { core_->on_listed(now(), list()); });
}

Result<kube::Listing> World::list() {
    ++listings;
    if (listing_fails)
        return std::unexpected(*listing_fails);
    kube::Listing listing;
    listing.directory = {.device = device, .inode = 2};
    listing.whole = !std::exchange(listed_before_, true);
    if (listing.whole) {
        touched_.clear();
        for (const auto& [file, text] : files_)
            touched_.insert(file);
    }
    for (const std::string& file : std::exchange(touched_, {})) {
        const auto present = files_.find(file);
        const auto before = listed_.find(file);
        if (present == files_.end()) {
            if (before != listed_.end()) {
                listing.vanished.push_back(file);
                listed_.erase(before);
            }
        } else if (before == listed_.end() || before->second != present->second) {
            listing.updates.push_back({file, kube::decode_manifests(present->second, file)});
            listed_[file] = present->second;
        }
    }
    if (on_listing)
        on_listing(listing);
    return listing;
}

void World::answer(const agent::SaveIdentities& save) {
    Result<> result;
    if (identities_fail) {
        registers_failed = boot_;
        result = std::unexpected(*identities_fail);
    } else {
        for (const agent::PodIdentity& identity : save.removed)
            identities.erase(identity.uid);
        for (const agent::PodIdentity& identity : save.added)
            identities[identity.uid] = identity.pod;
    }
    after(0s, [this, ticket = save.ticket, result] { core_->on_identities_saved(now(), ticket, result); });
}

void World::answer(const agent::TellIssuer& tell) {
    Result<agent::IssuerAnswer> result;
    if (telling_fails) {
        registers_failed = boot_;
        result = std::unexpected(*telling_fails);
    } else {
        for (const kube::ObjectKey& account : tell.accounts_gone)
            issuer.accounts.erase(account);
        for (const agent::PodIdentity& pod : tell.pods_gone) {
            issuer.pods.erase(pod.uid);
            issuer.deleted[pod.uid] = boot_;
        }
        for (const agent::IssuerAccount& account : tell.accounts) {
            std::string& uid = issuer.accounts[account.account];
            const std::string before = uid;
            if (!account.uid.empty())
                uid = account.uid;
            else if (uid.empty())
                uid = "account-" + std::to_string(++last_id_);
            if (uid != before && on_account_replaced)
                on_account_replaced(account.account);
            result->account_uids.emplace_back(account.account, uid);
        }
        for (const agent::IssuerPod& pod : tell.pods)
            issuer.pods[pod.uid] = pod;
    }
    after(0s, [this, ticket = tell.ticket, result] { core_->on_issuer_told(now(), ticket, result); });
}

void World::answer(const agent::RequestToken& request) {
    issuer.requests.emplace_back(boot_, request.request);
    issuer.last_held = request.held_binding;
    most_requests_at_once = std::max(most_requests_at_once, ++requests_under_way_);
    if (!issuer.up || request.request.ns == issuer.unreachable_for)
        return;  // never answered
    const int times = issuer.answers_twice ? 2 : 1;
    for (int i = 0; i < times; ++i) {
        after(issuer.latency * (i + 1), [this, request, asked = boot_, first = i == 0] {
            if (issuer.moody)
                issuer.moody(issuer);
            auto signed_now =
                std::make_shared<Signed>(issue(request.request), asked, first, issuer.twist != nullptr, issuer.key_id);
            if (issuer.delivery == Duration::zero())
                deliver(request, *signed_now);
            else
                after(issuer.delivery, [this, request, signed_now] { deliver(request, *signed_now); });
        });
    }
}

void World::deliver(const agent::RequestToken& request, Signed& answer) {
    if (answer.first)
        --requests_under_way_;
    if (on_answer)
        on_answer({request.request, answer.answer, boot_ - answer.asked, answer.first, answer.twisted, answer.key_id});
    core_->on_token(now(), request.id, std::move(answer.answer));
}

agent::TokenAnswer World::issue(kube::TokenRequest request) {
    if (issuer.refuses)
        return std::unexpected(agent::TokenFailure{*issuer.refuses, issuer.retry_after});
    const auto refuse = [](std::string what) -> agent::TokenAnswer {
        return std::unexpected(agent::TokenFailure{Error{Errc::NotFound, std::move(what)}, {}});
    };
    const auto account = issuer.accounts.find({request.ns, request.service_account});
    if (account == issuer.accounts.end())
        return refuse("serviceaccounts \"" + request.service_account + "\" not found");
    if (request.bound_object_ref && !issuer.pods.contains(request.bound_object_ref->uid))
        return refuse("pods \"" + request.bound_object_ref->name + "\" not found");
    if (issuer.twist)
        issuer.twist(request);
    kube::IssuedToken issued;
    if (issuer.binds_to) {
        request.bound_object_ref = issuer.binds_to;
        issued.rebound = kube::Rebound{issuer.binds_to};
    }
    const WallTime present = wall_ + issuer.clock_offset;
    issued.expiration_seconds = std::min(request.expiration_seconds, issuer.max_seconds);
    issued.expiration_timestamp = present + std::chrono::seconds(issued.expiration_seconds);
    if (!issuer.names_no_account)
        issued.service_account_uid = account->second;
    if (settings_.issuer_clock == agent::IssuerClock::Measured)
        issued.server_time = present;
    issued.token = Secret(jwt(request, account->second, issuer.key_id, present,
                              issued.expiration_timestamp + issuer.extends, ++last_id_));
    return issued;
}

void World::answer(agent::PublishVolume& publish) {
    Result<agent::PublishOutcome> result;
    End end = publish_ends ? publish_ends(publish.path) : End::Done;
    if (publish_fails) {
        if (std::optional<Error> error = publish_fails(publish.path)) {
            result = std::unexpected(std::move(*error));
            end = End::Fails;
        }
    }
    if (!publish.path.direct.empty() && !take_place(publish)) {
        result = fail(Errc::Conflict, publish.path.direct + ": another volume is published there");
        end = End::Fails;
    }
    if (end == End::Fails || end == End::FailsHalfway) {
        if (result)
            result = fail(Errc::Io, "fsync: Input/output error");
    }
    if (end != End::Fails) {
        DiskVolume& volume = disk[publish.path];
        DiskVolume::Files files;
        for (const auto& [path, file] : publish.payload.files)
            files[path] = file.bytes.view();
        const bool wrote = volume.current.empty() || volume.generations[volume.current].files != files;
        if (wrote) {
            if (!volume.current.empty())
                volume.generations[volume.current].replaced = boot_;
            volume.current = "..g" + std::to_string(++last_id_);
            volume.generations[volume.current].files = std::move(files);
            ++volume.writes;
            ++writes;
        }
        if (end == End::Done) {
            volume.record = publish.record;
            volume.recorded.clear();
            for (const agent::TokenRecord& token : publish.record.tokens)
                volume.recorded[token.path] = volume.generations[volume.current].files.at(token.path);
            for (const agent::VolumeName& name : publish.names)
                names[name] = publish.path;
            result->wrote = wrote;
            result->generation = volume.current;
            for (const auto& [name, generation] : volume.generations) {
                if (name != volume.current)
                    result->older.push_back(name);
            }
        }
    }
    if (on_publish)
        on_publish(publish, end);
    if (core_)  // else it died halfway
        after(publish_latency, [this, path = publish.path, result] { core_->on_published(now(), path, result); });
}

// A directory outside of volumes.root is marked with Pod, volume and uid; the same Pod's volume may take it over.
bool World::take_place(const agent::PublishVolume& publish) {
    const std::pair owner(kube::ObjectKey{publish.record.ns, publish.record.pod}, publish.path.volume);
    for (auto volume = disk.begin(); volume != disk.end(); ++volume) {
        const agent::VolumePath& path = volume->first;
        if (path.direct != publish.path.direct || path == publish.path)
            continue;
        if (const auto found = places_.find(path.direct); found != places_.end() && found->second != owner)
            return false;
        disk.erase(volume);
        break;
    }
    places_[publish.path.direct] = owner;
    return true;
}

void World::answer(const agent::SweepVolume& sweep) {
    const auto volume = disk.find(sweep.path);
    if (volume == disk.end())
        return;
    std::erase_if(volume->second.generations, [&](const auto& generation) {
        return generation.first != volume->second.current &&
               std::ranges::find(sweep.keep, generation.first) == sweep.keep.end();
    });
}

void World::answer(const agent::RemoveVolume& remove) {
    const End end = removal_ends ? removal_ends(remove.path) : End::Done;
    Result<> result;
    if (end == End::Fails || end == End::FailsHalfway)
        result = fail(Errc::Io, "unlinkat: Input/output error");
    if (end == End::Done) {
        disk.erase(remove.path);
        for (const agent::VolumeName& name : remove.names) {
            if (const auto link = names.find(name); link != names.end() && link->second == remove.path)
                names.erase(link);
        }
    } else if (const auto volume = disk.find(remove.path); end != End::Fails && volume != disk.end()) {
        volume->second.generations.clear();
        volume->second.current.clear();
    }
    if (on_removal)
        on_removal(remove.path, end);
    if (core_)  // else it died halfway
        after(0s, [this, path = remove.path, result] { core_->on_removed(now(), path, result); });
}

std::vector<agent::FoundVolume> World::find_volumes() const {
    std::vector<agent::FoundVolume> found;
    for (const auto& [path, volume] : disk) {
        agent::FoundVolume& one = found.emplace_back();
        one.path = path;
        one.record = volume.record;
        for (const auto& [name, generation] : volume.generations) {
            if (name != volume.current)
                one.older.push_back(name);
        }
        if (volume.record && !volume.current.empty()) {
            const DiskVolume::Files& files = volume.generations.at(volume.current).files;
            for (const agent::TokenRecord& token : volume.record->tokens) {
                const auto file = files.find(token.path);
                if (file != files.end() && file->second == volume.recorded.at(token.path))
                    one.files.emplace_back(token.path, Secret(file->second));
            }
        }
    }
    return found;
}

const DiskVolume* World::volume(const std::string& ns, const std::string& pod, const std::string& name) const {
    const auto link = names.find({ns, pod, name});
    if (link == names.end())
        return nullptr;
    const auto volume = disk.find(link->second);
    return volume == disk.end() ? nullptr : &volume->second;
}

std::optional<std::string> World::read(const std::string& ns, const std::string& pod, const std::string& name,
                                       const std::string& path) const {
    const DiskVolume* found = volume(ns, pod, name);
    if (found == nullptr)
        return std::nullopt;
    if (found->current.empty())
        return std::nullopt;
    const DiskVolume::Files& files = found->generations.at(found->current).files;
    const auto file = files.find(path);
    return file == files.end() ? std::nullopt : std::optional(file->second);
}

const agent::PodStatus* World::pod_status(const std::string& ns, const std::string& pod) {
    static agent::Status last;
    last = status();
    const auto found =
        std::ranges::find_if(last.pods, [&](const agent::PodStatus& one) { return one.ns == ns && one.name == pod; });
    return found == last.pods.end() ? nullptr : &*found;
}

bool World::reported(std::string_view event) const {
    return std::ranges::any_of(reports, [&](const agent::Report& report) { return report.event.starts_with(event); });
}

std::string pod_yaml(const std::string& ns, const std::string& name, const std::string& extra) {
    return "apiVersion: v1\nkind: Pod\nmetadata: {namespace: " + ns + ", name: " + name +
           "}\nspec:\n  containers: [{name: c, image: i}]\n" + extra;
}

std::string volume_yaml(const std::string& ns, const std::string& name, const std::string& sources) {
    return "apiVersion: v1\nkind: Pod\nmetadata: {namespace: " + ns + ", name: " + name +
           "}\nspec:\n  automountServiceAccountToken: false\n  containers:\n  - name: c\n    image: i\n"
           "    volumeMounts: [{name: v, mountPath: /v}]\n  volumes:\n  - name: v\n    projected:\n      sources:\n" +
           sources;
}

}  // namespace tokenlet::sim
