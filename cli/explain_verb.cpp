// SPDX-License-Identifier: Apache-2.0
#include "cli/explain_verb.h"

#include <algorithm>

#include "cli/status_answer.h"
#include "cli/text.h"

namespace tokenlet::cli {

namespace {

std::string reason(std::string_view rule) {
    if (rule == "fraction")
        return ", when as much of its lifetime is over as rotation.fraction says";
    if (rule == "maxAge")
        return ", at the age that rotation.maxAge says, before its lifetime calls for it";
    if (rule == "clock")
        return ", because by the issuer's clock it is not valid: a clock was stepped";
    if (rule == "demand")
        return ", because what it was made from has changed, or `tokenlet rotate` asked for it";
    return "";
}

std::string moment(WallTime time, WallTime now) {
    return relative(time, now) + " (" + rfc3339(time) + ")";
}

// "  token   " and what follows it, line by line.
class Lines {
public:
    explicit Lines(std::string_view head) : indent_(head.size(), ' ') { text_ = head; }
    void add(const std::string& line) {
        text_ += (has_line_ ? indent_ : "") + line + "\n";
        has_line_ = true;
    }
    [[nodiscard]] const std::string& text() const { return text_; }

private:
    std::string indent_;
    std::string text_;
    bool has_line_ = false;
};

void explain_token(Lines& lines, const FileAnswer& file, WallTime now) {
    lines.add("a token for " + (file.audience.empty() ? "the issuer's own audiences" : printable(file.audience)));
    if (file.expires_at) {
        const bool is_over = *file.expires_at <= now;
        lines.add((file.issued_at ? "issued " + relative(*file.issued_at, now) + ", " : "") +
                  (is_over ? "expired " : "expires ") + moment(*file.expires_at, now));
    }
    if (file.valid_until && file.expires_at && *file.valid_until > *file.expires_at)
        lines.add(
            "a copy of it is good until " + moment(*file.valid_until, now) +
            ": the API server extends tokens, unless it runs with --service-account-extend-token-expiration=false");
    if (file.rotates_at)
        lines.add((*file.rotates_at <= now ? "due " : "rotates ") + moment(*file.rotates_at, now) + reason(file.rule));
    if (file.issued_at)
        lines.add(file.last_read_at ? "last read " + relative(*file.last_read_at, now)
                                    : "nobody has read it since it was written");
}

std::string explain_file(const FileAnswer& file, std::size_t widest, WallTime now) {
    const std::string path = printable(file.path);
    Lines lines("  " + path + std::string(widest - path.size() + 3, ' '));
    if (file.kind == "serviceAccountToken")
        explain_token(lines, file, now);
    else
        lines.add("from " + (file.kind.empty() ? "another source" : "a " + printable(file.kind)) +
                  ", written again when that changes");
    if (!file.last_error.empty())
        lines.add("failed" + (file.failures > 1 ? " " + counted(file.failures, "time") + " in a row" : "") + ": " +
                  printable(file.last_error));
    if (file.retries_at)
        lines.add("next try " + (*file.retries_at <= now ? "now" : relative(*file.retries_at, now)));
    return lines.text();
}

std::string explain_volume(const VolumeAnswer& volume, WallTime now) {
    std::string text = "\n" + printable(volume.name) + " is " + (volume.ready ? "ready" : "not ready") + ", written " +
                       counted(volume.rotations, "time") + " since the agent started\n  at " + printable(volume.path) +
                       "\n";
    if (!volume.error.empty())
        text += "  failed: " + printable(volume.error) + "\n";
    std::size_t widest = 0;
    for (const FileAnswer& file : volume.files)
        widest = std::max(widest, printable(file.path).size());
    for (const FileAnswer& file : volume.files)
        text += explain_file(file, widest, now);
    for (const FileMountAnswer& mount : volume.file_mounts)
        text += "  " + (mount.file.empty() ? "one generation of it" : printable(mount.file)) + " is mounted at " +
                printable(mount.mounted_at) +
                " and will never change there: mount the directory, see `tokenlet mounts`\n";
    return text;
}

std::string explain_pod(const PodAnswer& pod, WallTime now) {
    std::string text = "Pod " + printable(pod.key()) + " is " + (pod.ready ? "ready" : "not ready") +
                       (pod.leaving ? ", and leaving: no manifest has it any more" : "") + "\n";
    if (!pod.uid.empty())
        text += "  uid " + printable(pod.uid) + "\n";
    if (!pod.service_account.empty())
        text += "  service account " + printable(pod.service_account) + "\n";
    if (!pod.message.empty())
        text += "  " + printable(pod.message) + "\n";
    for (const VolumeAnswer& volume : pod.volumes)
        text += explain_volume(volume, now);
    return text;
}

}  // namespace

Result<std::string> explanation(std::string_view json, const std::string& pod, WallTime now) {
    const StatusAnswer answer = TRY(read_status_answer(json));
    std::string text;
    for (const PodAnswer& candidate : answer.pods) {
        if (candidate.is_called(pod))
            text += (text.empty() ? "" : "\n") + explain_pod(candidate, now);
    }
    if (text.empty())
        return fail(Errc::NotFound, "the agent has no Pod '" + pod + "'");
    if (!answer.removal_held.empty())
        text += "\nRemovals are held: " + printable(answer.removal_held) + "\n";
    return text;
}

Outcome run(const ExplainOptions& options, WallTime now) {
    return show_status(options.where, [&](std::string_view json) -> Result<Outcome> {
        std::string text = TRY(explanation(json, options.pod, now));
        return Outcome{.out = std::move(text)};
    });
}

}  // namespace tokenlet::cli
