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
        claims += R"(,"pod":{"name":")" + request.bound_object_ref->name + R"(","uid":")" +
                  request.bound_object_ref->uid + R"("})";
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
    return settings;
}

World::World(agent::CoreSettings settings) : settings_(std::move(settings)) {}
World::~World() = default;

void World::write(const std::string& file, const std::string& text) {
    files_[file] = text;
    list_now();
}

void World::unlink(const std::string& file) {
    files_.erase(file);
    list_now();
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
    new_boot_id();
    boot_ = BootTime(100s);
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
            next = std::min(next, events_.begin()->first);
        if (core_) {
            if (const auto deadline = core_->next_deadline())
                next = std::min(next, std::max(*deadline, boot_));
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
        } else if (core_ && core_->next_deadline() && *core_->next_deadline() <= boot_) {
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
        }
    }
}

void World::carry_out(agent::Command& command) {
    std::visit([this](auto& order) { answer(order); }, command);
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
    for (const auto& [file, text] : files_) {
        const auto before = listed_.find(file);
        if (before == listed_.end() || before->second != text)
            listing.updates.push_back({file, kube::decode_manifests(text, file)});
    }
    for (const auto& [file, text] : listed_) {
        if (!files_.contains(file))
            listing.vanished.push_back(file);
    }
    listed_ = files_;
    return listing;
}

void World::answer(const agent::SaveIdentities& save) {
    Result<> result;
    if (identities_fail) {
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
            if (!account.uid.empty())
                uid = account.uid;
            else if (uid.empty())
                uid = "account-" + std::to_string(++last_id_);
            result->account_uids.emplace_back(account.account, uid);
        }
        for (const agent::IssuerPod& pod : tell.pods)
            issuer.pods[pod.uid] = pod;
    }
    after(0s, [this, ticket = tell.ticket, result] { core_->on_issuer_told(now(), ticket, result); });
}

void World::answer(const agent::RequestToken& request) {
    issuer.requests.emplace_back(boot_, request.request);
    most_requests_at_once = std::max(most_requests_at_once, ++requests_under_way_);
    if (!issuer.up)
        return;  // never answered
    const int times = issuer.answers_twice ? 2 : 1;
    for (int i = 0; i < times; ++i) {
        after(issuer.latency * (i + 1), [this, request, asked = boot_, first = i == 0] {
            agent::TokenAnswer answer = issue(request.request);
            if (first) {
                --requests_under_way_;
                if (on_answer)
                    on_answer(request.request, answer, boot_ - asked);
            }
            core_->on_token(now(), request.id, std::move(answer));
        });
    }
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
    const WallTime present = wall_ + issuer.clock_offset;
    issued.expiration_seconds = std::min(request.expiration_seconds, issuer.max_seconds);
    issued.expiration_timestamp = present + std::chrono::seconds(issued.expiration_seconds);
    issued.service_account_uid = account->second;
    issued.token =
        Secret(jwt(request, account->second, issuer.key_id, present, issued.expiration_timestamp, ++last_id_));
    return issued;
}

void World::answer(agent::PublishVolume& publish) {
    Result<agent::PublishOutcome> result;
    if (publish_fails) {
        if (std::optional<Error> error = publish_fails(publish.path))
            result = std::unexpected(std::move(*error));
    }
    if (result) {
        DiskVolume& volume = disk[publish.path];
        DiskVolume::Files files;
        for (const auto& [path, file] : publish.payload.files)
            files[path] = file.bytes.view();
        if (volume.current.empty() || volume.generations[volume.current].files != files) {
            if (!volume.current.empty())
                volume.generations[volume.current].replaced = boot_;
            volume.current = "..g" + std::to_string(++last_id_);
            volume.generations[volume.current].files = std::move(files);
            ++volume.writes;
            ++writes;
            result->wrote = true;
        }
        volume.record = publish.record;
        for (const agent::VolumeName& name : publish.names)
            names[name] = publish.path;
        result->generation = volume.current;
        for (const auto& [name, generation] : volume.generations) {
            if (name != volume.current)
                result->older.push_back(name);
        }
    }
    after(publish_latency, [this, path = publish.path, result] { core_->on_published(now(), path, result); });
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
    Result<> result;
    if (removal_fails) {
        result = std::unexpected(*removal_fails);
    } else {
        disk.erase(remove.path);
        for (const agent::VolumeName& name : remove.names) {
            if (const auto link = names.find(name); link != names.end() && link->second == remove.path)
                names.erase(link);
        }
    }
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
        if (volume.record) {
            const DiskVolume::Files& files = volume.generations.at(volume.current).files;
            for (const agent::TokenRecord& token : volume.record->tokens)
                one.files.emplace_back(token.path, Secret(files.at(token.path)));
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
