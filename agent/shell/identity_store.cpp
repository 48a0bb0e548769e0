// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/identity_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/file_bytes.h"
#include "kube/names.h"

namespace tokenlet::agent {

namespace {

constexpr char kFile[] = "identities";
constexpr char kNewFile[] = "identities.new";
constexpr std::size_t kMaxBytes = std::size_t{256} << 20;

using Identities = std::map<kube::ObjectKey, std::string>;

enum class Verb { Add, Drop };

struct Line {
    Verb verb;
    PodIdentity identity;
};

std::optional<std::string_view> next_word(std::string_view& text) {
    if (text.empty())
        return std::nullopt;
    const std::size_t end = text.find(' ');
    const std::string_view word = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    return word;
}

std::optional<Line> parse_line(std::string_view text) {
    const auto* const end = text.end();
    const auto verb = next_word(text);
    const auto pod = next_word(text);
    const auto uid = next_word(text);
    if (!verb || !pod || !uid || uid->end() != end || (*verb != "add" && *verb != "drop"))
        return std::nullopt;
    const std::size_t slash = pod->find('/');
    if (slash == std::string_view::npos || !kube::check_dns1123_label(pod->substr(0, slash)).empty() ||
        !kube::check_dns1123_subdomain(pod->substr(slash + 1)).empty() || !kube::check_uid(*uid).empty())
        return std::nullopt;
    return Line{.verb = *verb == "add" ? Verb::Add : Verb::Drop,
                .identity = {.pod = {std::string(pod->substr(0, slash)), std::string(pod->substr(slash + 1))},
                             .uid = std::string(*uid)}};
}

void append_line(std::string& text, std::string_view verb, const PodIdentity& identity) {
    text.append(verb).append(" ").append(identity.pod.str()).append(" ").append(identity.uid).append("\n");
}

Result<> write_at(const UniqueFd& file, std::string_view bytes, off_t at, std::string_view name) {
    while (!bytes.empty()) {
        const ssize_t size = ::pwrite(file.get(), bytes.data(), bytes.size(), at);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return fail_errno(errno, "write", name);
        bytes.remove_prefix(static_cast<std::size_t>(size));
        at += size;
    }
    return {};
}

Result<Identities> parse(std::string_view text) {
    Identities identities;
    for (int number = 1; !text.empty(); ++number) {
        const std::size_t end = text.find('\n');
        if (end == std::string_view::npos)
            break;  // torn by a crash: save() had not returned, so nobody has used that uid
        const auto line = parse_line(text.substr(0, end));
        if (!line)
            return fail(Errc::Invalid, std::string(kFile) + ": line " + std::to_string(number) +
                                           ": not 'add' or 'drop', namespace/name and uid; restore the file, or remove "
                                           "it, whereupon Pods without metadata.uid get new uids and tokens");
        if (line->verb == Verb::Add)
            identities[line->identity.pod] = line->identity.uid;
        else if (const auto found = identities.find(line->identity.pod);
                 found != identities.end() && found->second == line->identity.uid)
            identities.erase(found);
        text.remove_prefix(end + 1);
    }
    return identities;
}

Result<Identities> load(const UniqueFd& dir) {
    const UniqueFd file(::openat(dir.get(), kFile, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    if (!file && errno == ENOENT)
        return Identities{};
    if (!file)
        return fail_errno(errno, "open", kFile);
    struct stat status{};
    if (::fstat(file.get(), &status) < 0)
        return fail_errno(errno, "stat", kFile);
    if (!S_ISREG(status.st_mode))
        return fail(Errc::Invalid, std::string(kFile) + ": not a regular file");
    const Secret text = TRY(read_all(file.get(), kMaxBytes, kFile));
    return parse(text.view());
}

}  // namespace

Result<IdentityStore> IdentityStore::open(const UniqueFd& state_dir) {
    IdentityStore store;
    std::string text;
    for (auto& [pod, uid] : TRY(load(state_dir))) {
        store.loaded_.push_back({.pod = pod, .uid = uid});
        append_line(text, "add", store.loaded_.back());
    }

    // Written anew beside the old file: a crash leaves one of the two, whole.
    UniqueFd file(::openat(state_dir.get(), kNewFile, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file)
        return fail_errno(errno, "open", kNewFile);
    TRY(write_all(file.get(), text, kNewFile));
    if (::fsync(file.get()) < 0)
        return fail_errno(errno, "fsync", kNewFile);
    if (::renameat(state_dir.get(), kNewFile, state_dir.get(), kFile) < 0)
        return fail_errno(errno, "rename", kFile);
    if (::fsync(state_dir.get()) < 0)
        return fail_errno(errno, "fsync", "state directory");
    store.file_ = std::move(file);
    store.size_ = static_cast<off_t>(text.size());
    return store;
}

Result<> IdentityStore::save(const std::vector<PodIdentity>& added, const std::vector<PodIdentity>& removed) {
    std::string text;
    for (const PodIdentity& identity : removed)
        append_line(text, "drop", identity);
    for (const PodIdentity& identity : added)
        append_line(text, "add", identity);

    Result<> written = write_at(file_, text, size_, kFile);
    if (written && ::fdatasync(file_.get()) < 0)
        written = fail_errno(errno, "fdatasync", kFile);
    if (!written) {
        // Half a line must not stand before the next one.
        (void)::ftruncate(file_.get(), size_);
        return written;
    }
    size_ += static_cast<off_t>(text.size());
    return {};
}

}  // namespace tokenlet::agent
