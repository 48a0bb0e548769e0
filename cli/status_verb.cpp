// SPDX-License-Identifier: Apache-2.0
#include "cli/status_verb.h"

#include "cli/status_answer.h"
#include "cli/text.h"

namespace tokenlet::cli {

namespace {

constexpr char kNothing[] = "-";

std::string or_dash(std::string_view text) {
    return text.empty() ? kNothing : printable(text);
}

std::string when(const std::optional<WallTime>& time, WallTime now) {
    return time ? relative(*time, now) : kNothing;
}

std::string expiry(const std::optional<WallTime>& time, WallTime now) {
    return time && *time <= now ? "expired " + relative(*time, now) : when(time, now);
}

// The innermost that says something: the file's error, the volume's, the Pod's.
std::string message_of(const PodAnswer& pod, const VolumeAnswer& volume, const FileAnswer& file) {
    return or_dash(!file.last_error.empty() ? file.last_error : !volume.error.empty() ? volume.error : pod.message);
}

using Row = std::vector<std::string>;

Row header(StatusFormat format) {
    if (format == StatusFormat::Wide)
        return {"POD",    "UID",     "VOLUME",  "FILE", "KIND", "AUDIENCE", "READY",
                "ISSUED", "EXPIRES", "ROTATES", "READ", "PATH", "MESSAGE"};
    return {"POD", "VOLUME", "FILE", "READY", "EXPIRES", "ROTATES", "MESSAGE"};
}

Row row(const PodAnswer& pod, const VolumeAnswer& volume, const FileAnswer& file, StatusFormat format, WallTime now) {
    // Where there is no volume, the Pod speaks for itself.
    const std::string ready = (volume.name.empty() ? pod.ready : volume.ready) ? "yes" : "no";
    if (format == StatusFormat::Wide)
        return {printable(pod.key()),
                or_dash(pod.uid),
                or_dash(volume.name),
                or_dash(file.path),
                or_dash(file.kind),
                or_dash(file.audience),
                ready,
                when(file.issued_at, now),
                expiry(file.expires_at, now),
                when(file.rotates_at, now),
                when(file.last_read_at, now),
                or_dash(volume.path),
                message_of(pod, volume, file)};
    return {printable(pod.key()),         or_dash(volume.name),       or_dash(file.path),           ready,
            expiry(file.expires_at, now), when(file.rotates_at, now), message_of(pod, volume, file)};
}

void add_volume(std::vector<Row>& rows, const PodAnswer& pod, const VolumeAnswer& volume, StatusFormat format,
                WallTime now) {
    const std::size_t before = rows.size();
    for (const FileAnswer& file : volume.files) {
        if (format == StatusFormat::Wide || file.kind == "serviceAccountToken" || !file.last_error.empty())
            rows.push_back(row(pod, volume, file, format, now));
    }
    if (rows.size() == before)
        rows.push_back(row(pod, volume, {}, format, now));
}

}  // namespace

Result<Outcome> status_table(std::string_view json, const StatusOptions& options, WallTime now) {
    const StatusAnswer answer = TRY(read_status_answer(json));
    std::vector<Row> rows{header(options.format)};
    for (const PodAnswer& pod : answer.pods) {
        if (!pod.is_called(options.pod))
            continue;
        for (const VolumeAnswer& volume : pod.volumes)
            add_volume(rows, pod, volume, options.format, now);
        if (pod.volumes.empty())
            rows.push_back(row(pod, {}, {}, options.format, now));
    }
    Outcome outcome;
    outcome.complaints = answer.problems;
    if (!answer.removal_held.empty())
        outcome.complaints.push_back("removal is held: " + answer.removal_held);
    if (rows.size() > 1)
        outcome.out = table(rows);
    else if (options.pod.empty())
        outcome.complaints.push_back("the agent has no Pods; put a manifest into its manifest directory");
    else
        return fail(Errc::NotFound, "the agent has no Pod '" + options.pod + "'");
    return outcome;
}

Outcome run(const StatusOptions& options, WallTime now) {
    return show_status(options.where, [&](std::string_view json) -> Result<Outcome> {
        if (options.format == StatusFormat::Json)
            return Outcome{.out = std::string(json) + (json.ends_with('\n') ? "" : "\n")};
        return status_table(json, options, now);
    });
}

}  // namespace tokenlet::cli
