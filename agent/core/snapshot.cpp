// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/core/state.h"

namespace tokenlet::agent {
namespace {

std::string_view kind_of(projector::ObjectKind kind) {
    return kind == projector::ObjectKind::Secret ? "secret" : "configMap";
}

void add_files(std::vector<FileStatus>& files, const projector::ObjectSource& source) {
    const auto add = [&](const std::string& path) {
        FileStatus file;
        file.path = path;
        file.kind = kind_of(source.kind);
        files.push_back(std::move(file));
    };
    for (const projector::KeyFile& key : source.files)
        add(key.path);
    if (source.files.empty())
        add("*");  // every key of the object
}

}  // namespace

Status Core::State::status(Now now) const {
    Status status;
    status.listed = first_listed_.has_value();
    status.settled = status.listed;
    status.token_requests = requests_;
    status.token_failures = request_failures_;
    status.publishes = publishes_;
    status.repairs = repairs_;
    status.removal_held = held_why_;
    for (const kube::Problem& problem : manifests_.problems())
        status.problems.push_back(problem.str());
    for (const auto& [id, pod] : pods_) {
        const bool left_behind = pod->absent_since && !pod->volumes.empty();  // of an earlier run
        if (pod->gone || (!pod->plan && !pod->error && !left_behind))
            continue;
        PodStatus& shown = status.pods.emplace_back();
        shown.ns = pod->key.ns;
        shown.name = pod->key.name;
        shown.uid = pod->uid;
        shown.service_account = pod->plan ? pod->plan->service_account : "";
        shown.leaving = pod->absent_since.has_value();
        shown.ready = pod->plan.has_value();
        const bool blocked = (identities_error_ && !pod->saved) || (issuer_error_ && !pod->registered);
        if (pod->error)
            shown.message = pod->error->what;
        else if (identities_error_ && !pod->saved)
            shown.message = "its uid cannot be recorded: " + identities_error_->what;
        else if (issuer_error_ && !pod->registered)
            shown.message = "it cannot be registered with the issuer: " + issuer_error_->what;
        else if (shown.leaving)
            shown.message =
                held_until_ ? "its manifest has vanished; removal is held: " + held_why_ : "its manifest has vanished";
        if (!pod->plan)
            continue;
        for (const projector::VolumePlan& plan : pod->plan->volumes) {
            const VolumeState* found = pod->volume(projector::plugin_directory(plan.kind), plan.name, plan.place());
            if (found == nullptr)
                continue;
            shown.volumes.push_back(volume_status(now, *found));
            const VolumeStatus& volume = shown.volumes.back();
            shown.ready = shown.ready && volume.ready;
            if (shown.message.empty() && !volume.error.empty())
                shown.message = "volume " + volume.name + ": " + volume.error;
            // An error that is on its way out, because what was waited for has come, decides nothing.
            const bool being_mended = found->publishing && found->failures == 0;
            const bool failed = found->error && !found->waiting && !being_mended;
            const bool decided = found->published || failed || blocked;
            status.settled = status.settled && decided;
        }
    }
    std::ranges::sort(status.pods, {}, [](const PodStatus& pod) { return std::pair(pod.ns, pod.name); });
    return status;
}

// Ready: readers can use what stands there, and will be able to. It turns false before the last tenth of a token that cannot
// be replaced is over. An error beside it says what is amiss with the next version.
VolumeStatus Core::State::volume_status(Now now, const VolumeState& volume) const {
    VolumeStatus shown;
    shown.name = volume.plan->name;
    shown.path = volume.path().str();
    shown.rotations = volume.rotations;
    shown.ready = volume.published.has_value();
    if (volume.error)
        shown.error = volume.error->what;
    if (volume.published) {
        const VolumeState::Published& published = *volume.published;
        const auto failing = [&](std::uint64_t id) { return uses_.at(id).token->error.has_value(); };
        const bool too_early = published.valid_from && issuer_now(now) < *published.valid_from;
        const bool expired = (published.lost_at && *published.lost_at <= now.boot) ||
                             (published.expires && *published.expires < issuer_now(now));
        const bool endangered = published.endangered_at && *published.endangered_at <= now.boot &&
                                (volume.error || std::ranges::any_of(volume.tokens, failing));
        shown.ready = !expired && !endangered && !too_early && !volume.blocked;
        if (shown.error.empty() && !shown.ready)
            shown.error = expired     ? "a token has expired"
                          : too_early ? "a token is not valid before " + rfc3339(*published.valid_from)
                                      : "a token is about to expire and cannot be refreshed";
    }

    std::size_t token = 0;
    for (const projector::Source& source : volume.plan->sources) {
        if (const auto* wanted = std::get_if<projector::TokenSource>(&source)) {
            shown.files.push_back(token_status(now, *wanted, uses_.at(volume.tokens.at(token++))));
            const FileStatus& file = shown.files.back();
            if (!file.last_error.empty() && !shown.ready)
                shown.error += (shown.error.empty() ? "" : ": ") + file.last_error;
        } else if (const auto* object = std::get_if<projector::ObjectSource>(&source)) {
            add_files(shown.files, *object);
        } else if (const auto* downward = std::get_if<projector::DownwardSource>(&source)) {
            for (const projector::RenderedFile& file : downward->files) {
                FileStatus& status = shown.files.emplace_back();
                status.path = file.path;
                status.kind = "downwardAPI";
            }
        } else if (const auto* bundle = std::get_if<projector::BundleSource>(&source)) {
            FileStatus& status = shown.files.emplace_back();
            status.path = bundle->path;
            status.kind = "clusterTrustBundle";
        }
    }
    return shown;
}

FileStatus Core::State::token_status(Now now, const projector::TokenSource& source, const TokenUse& use) const {
    const TokenCache::Token& token = *use.token;
    FileStatus file;
    file.path = source.path;
    file.kind = "serviceAccountToken";
    file.audience = source.audience;
    const auto on_wall = [&](BootTime time) { return now.wall + (time - now.boot); };
    if (token.held) {
        const rotation::Due due = rotation::due(token.held->times, token.held->jitter, tokens_.policy());
        file.issued_at = token.held->times.issued;
        file.expires_at = token.held->times.expires;
        file.valid_until = token.held->valid_until;
        file.rotates_at = on_wall(due.at);
        file.rule = to_string(due.rule);
    }
    file.failures = token.failures;
    if (token.error) {
        file.last_error = token.error->what;
        file.retries_at = on_wall(token.next_try);
    }
    return file;
}

}  // namespace tokenlet::agent
