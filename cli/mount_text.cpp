// SPDX-License-Identifier: Apache-2.0
#include "cli/mount_text.h"

#include <algorithm>

namespace tokenlet::cli {

namespace {

// Paths of these alone mean the same to every program.
bool is_plain(std::string_view text) {
    return text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-") == text.npos;
}

// `text`, with `prefix` before each of `special`.
std::string prefixed(std::string_view text, std::string_view special, std::string_view prefix) {
    std::string result;
    for (const char byte : text) {
        if (special.contains(byte))
            result += prefix;
        result += byte;
    }
    return result;
}

std::string replaced(std::string_view text, char what, std::string_view with) {
    std::string result;
    for (const char byte : text) {
        if (byte == what)
            result += with;
        else
            result += byte;
    }
    return result;
}

std::string shell_quoted(const std::string& text) {
    return "'" + replaced(text, '\'', R"('\'')") + "'";
}

// podman and docker read the value of --mount as a line of CSV.
std::string csv_field(const std::string& text) {
    return is_plain(text.substr(text.find('=') + 1)) ? text : "\"" + replaced(text, '"', "\"\"") + "\"";
}

std::string run_option(const BindMount& mount) {
    const std::string value =
        "type=bind," + csv_field("source=" + mount.source) + "," + csv_field("target=" + mount.target) + ",readonly";
    return "  --mount " + (is_plain(mount.source + mount.target) ? value : shell_quoted(value)) + " \\\n";
}

// In a compose file a dollar sign begins a variable. JSON's strings are YAML's, as far as these two escapes.
std::string compose_scalar(const std::string& text) {
    return is_plain(text) ? text : "\"" + replaced(prefixed(text, "\\\"", "\\"), '$', "$$") + "\"";
}

std::string compose_volume(const BindMount& mount) {
    return "      - type: bind\n        source: " + compose_scalar(mount.source) +
           "\n        target: " + compose_scalar(mount.target) +
           "\n        read_only: true\n        bind: {create_host_path: false}\n";
}

// Each path a quoted word of its own, for a colon outside of quotes divides them; a percent sign begins a specifier.
std::string systemd_word(const std::string& text) {
    return is_plain(text) ? text : "\"" + replaced(prefixed(text, "\\\"", "\\"), '%', "%%") + "\"";
}

std::string unit_setting(const BindMount& mount) {
    return "BindReadOnlyPaths=" + systemd_word(mount.source) + ":" + systemd_word(mount.target) + "\n";
}

std::string lines(const MountingContainer& container, std::string (*line)(const BindMount&)) {
    std::string text;
    for (const BindMount& mount : container.mounts)
        text += line(mount);
    return text;
}

}  // namespace

std::string mount_text(MountStyle style, const std::vector<MountingContainer>& containers) {
    std::string text = style == MountStyle::Compose ? "services:\n" : "";
    for (const MountingContainer& container : containers) {
        if (style == MountStyle::Compose)
            text += "  " + container.name + ":\n    volumes:\n" + lines(container, compose_volume);
        else if (style == MountStyle::Systemd)
            text += "# container " + container.name + "\n[Service]\n" + lines(container, unit_setting);
        else
            text += "# container " + container.name + "\n" + lines(container, run_option);
    }
    return text;
}

}  // namespace tokenlet::cli
