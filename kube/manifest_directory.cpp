// SPDX-License-Identifier: Apache-2.0
#include "kube/manifest_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <ctime>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "base/unique_fd.h"
#include "kube/manifest_name.h"
#include "kube/path_trail.h"

namespace tokenlet::kube {
namespace {

// The kernel's file times advance in steps of up to 10 ms: a file changed this recently may change again unseen.
constexpr std::int64_t kTimestampDoubtNs = 50'000'000;
constexpr std::string_view kDataPrefix = "..data/";

std::int64_t to_ns(const timespec& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

std::int64_t file_clock_now_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return to_ns(now);
}

// Where others can change files without this kernel knowing.
bool is_local_file_system(const UniqueFd& directory) {
    constexpr std::uint32_t kForeign[] = {NFS_SUPER_MAGIC,   SMB_SUPER_MAGIC,
                                          0xFF534D42U,  // cifs
                                          0xFE534D42U,  // smb2
                                          FUSE_SUPER_MAGIC,  V9FS_MAGIC,       AFS_SUPER_MAGIC,
                                          AFS_FS_MAGIC,      CODA_SUPER_MAGIC, NCP_SUPER_MAGIC,
                                          0x00C36400U,  // ceph
                                          OCFS2_SUPER_MAGIC,
                                          0x01161970U,   // gfs2
                                          0x0BD00BD0U,   // lustre
                                          0x786F4256U};  // vboxsf
    struct statfs file_system{};
    if (::fstatfs(directory.get(), &file_system) < 0)
        return false;
    return std::ranges::find(kForeign, static_cast<std::uint32_t>(file_system.f_type)) == std::end(kForeign);
}

std::string_view what_it_is(mode_t mode) {
    if (S_ISDIR(mode))
        return "is a directory; manifests are read from the directory itself, not from below it";
    if (S_ISFIFO(mode))
        return "is a FIFO, not a file";
    if (S_ISSOCK(mode))
        return "is a socket, not a file";
    return "is a device, not a file";
}

// Says nothing about the file itself; the next try may go well.
bool is_passing(const Error& error) {
    return error.code == Errc::Io && error.os_errno != 0 && error.os_errno != ELOOP && error.os_errno != ENOTDIR &&
           error.os_errno != ENXIO && error.os_errno != ENAMETOOLONG;
}

// Whether the kernel kept something from being seen, which it may show the next time.
bool is_refused(const Result<Listing>& listing) {
    return listing ? !listing->complete : listing.error().os_errno != 0 && listing.error().code != Errc::NotFound;
}

// All names but those of no manifest, in order; Invalid when there are more than `limit`.
Result<std::vector<std::string>> read_names(const UniqueFd& directory, const std::string& path, std::size_t limit) {
    UniqueFd fd(::openat(directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd)
        return fail_errno(errno, "open", path);
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd.get()), ::closedir);
    if (!stream)
        return fail_errno(errno, "fdopendir", path);
    (void)fd.release();  // the stream's now
    std::vector<std::string> names;
    for (;;) {
        errno = 0;
        const dirent* const entry = ::readdir(stream.get());
        if (entry == nullptr && errno != 0)
            return fail_errno(errno, "readdir", path);
        if (entry == nullptr)
            break;
        if (!is_manifest_name(entry->d_name))
            continue;
        if (names.size() == limit)
            return fail(Errc::Invalid, path + ": more than " + std::to_string(limit) + " files, none is read");
        names.emplace_back(entry->d_name);
    }
    std::ranges::sort(names);
    names.erase(std::unique(names.begin(), names.end()), names.end());  // a rename meanwhile can show a name twice
    return names;
}

// The bytes of a file, which may be Secrets.
struct Bytes {
    std::string text;
    Bytes() = default;
    Bytes(Bytes&&) = default;
    Bytes& operator=(Bytes&&) = delete;
    ~Bytes() { wipe_memory(text.data(), text.size()); }
};

}  // namespace

// One listing at work.
class ManifestDirectory::Round {
public:
    Round(ManifestDirectory& owner, const UniqueFd& directory, std::string path)
        : owner_(owner), directory_(directory), path_(std::move(path)), now_ns_(file_clock_now_ns()) {}

    // `names` is all that the directory was seen to hold.
    Listing look_at_all(Names names) {
        add_unseen(names);
        return look_at(names);
    }

    // Whatever their stat() says, for events have named them.
    Listing look_again(const Names& names) {
        for (const std::string& name : names)
            if (const auto known = owner_.known_.find(name); known != owner_.known_.end())
                known->second.stamp.reset();
        return look_at(names);
    }

private:
    struct Content {
        Stamp stamp;
        Bytes bytes;
        bool has_changed = false;  // while it was read
    };

    Listing look_at(const Names& names) {
        for (const std::string& name : names)
            look_at(name);
        drop_half_written();
        for (const std::string& name : gone_) {
            // While something is in doubt nothing has gone; the next listing will say.
            if (!listing_.complete)
                break;
            owner_.forget(name);
            listing_.vanished.push_back(full_path(name));
        }
        return std::move(listing_);
    }

    // A name that was renamed over while the directory was read may not have been shown: asks for each that is missing.
    void add_unseen(std::vector<std::string>& names) {
        std::vector<std::string> unseen;
        for (const auto& [name, known] : owner_.known_) {
            if (std::ranges::binary_search(names, name))
                continue;
            struct stat status{};
            if (::fstatat(directory_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0)
                unseen.push_back(name);
            else if (errno == ENOENT)
                gone_.push_back(name);
            else
                listing_.complete = false;
        }
        const auto middle = names.insert(names.end(), unseen.begin(), unseen.end());
        std::inplace_merge(names.begin(), middle, names.end());
    }

    void look_at(const std::string& name) {
        struct stat status{};
        const bool found = ::fstatat(directory_.get(), name.c_str(), &status, 0) == 0;
        const int why_not = errno;
        if (found && is_unfinished(name, status))
            return;
        owner_.watch_.stop_waiting_for(name);
        const auto [at, is_new] = owner_.known_.try_emplace(name);
        Known& known = at->second;
        if (found && known.stamp == stamp_of(status))
            return;
        if (changes_unseen(name))
            owner_.unseen_.insert(name);
        else
            owner_.unseen_.erase(name);
        Result<Content> content = found ? read(name, status) : missing(name, why_not);
        if (content && is_in_doubt(known, *content))
            owner_.watch_.wait_for(name);
        else if (content)
            adopt(name, known, std::move(*content));
        else if (content.error().code == Errc::NotFound && is_gone(name))
            is_new ? owner_.forget(name) : gone_.push_back(name);
        else
            report(name, known, std::move(content.error()));
    }

    // A change shows before its event does: long before, where a file is cut down to be written anew. So a file that has
    // become empty is waited for like one that is being written.
    [[nodiscard]] bool is_in_doubt(const Known& known, const Content& content) const {
        return content.has_changed ||
               (known.was_filled && content.bytes.text.empty() && is_young(content.stamp.mtime_ns));
    }

    [[nodiscard]] bool is_young(std::int64_t mtime_ns) const {
        return now_ns_ - mtime_ns < owner_.options_.writer_patience.count();
    }

    [[nodiscard]] bool is_unfinished(const std::string& name, const struct stat& status) const {
        return owner_.watch_.is_being_written(name) && is_young(to_ns(status.st_mtim));
    }

    [[nodiscard]] bool is_gone(const std::string& name) const {
        struct stat status{};
        return ::fstatat(directory_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
    }

    [[nodiscard]] Result<Content> missing(const std::string& name, int why) const {
        if (why == ENOENT)
            return fail(Errc::NotFound, "is a link that leads nowhere");
        if (why == ELOOP)
            return fail(Errc::Invalid, "is a link that leads back to itself");
        return fail_errno(why, "stat", name);
    }

    Result<Content> read(const std::string& name, const struct stat& seen) {
        if (!S_ISREG(seen.st_mode))
            return fail(Errc::Invalid, std::string(what_it_is(seen.st_mode)));
        UniqueFd file = TRY(open(name));
        // Asked again of what was opened, which nobody can exchange any more.
        Content content;
        struct stat status{};
        if (::fstat(file.get(), &status) < 0)
            return fail_errno(errno, "fstat", name);
        if (!S_ISREG(status.st_mode))
            return fail(Errc::Invalid, std::string(what_it_is(status.st_mode)));
        const std::size_t limit = owner_.options_.max_file_bytes;
        if (static_cast<std::uint64_t>(status.st_size) > limit)
            return fail(Errc::Invalid,
                        std::to_string(status.st_size) + " bytes; at most " + std::to_string(limit) + " are read");
        content.stamp = stamp_of(status);
        std::string& text = content.bytes.text;
        text.resize(static_cast<std::size_t>(status.st_size));
        std::size_t size = 0;
        while (size < text.size()) {
            const ssize_t count = ::read(file.get(), text.data() + size, text.size() - size);
            if (count < 0 && errno == EINTR)
                continue;
            if (count < 0)
                return fail_errno(errno, "read", name);
            if (count == 0)
                break;
            size += static_cast<std::size_t>(count);
        }
        text.resize(size);
        if (::fstat(file.get(), &status) < 0)
            return fail_errno(errno, "fstat", name);
        content.has_changed = status.st_size != content.stamp.size || to_ns(status.st_mtim) != content.stamp.mtime_ns;
        return content;
    }

    // Whether its content can change without an event that names it: a link, or one of several hard links. Not the
    // links of a ConfigMap mount, which change all together when `..data` is swapped.
    [[nodiscard]] bool changes_unseen(const std::string& name) const {
        struct stat status{};
        if (::fstatat(directory_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0)
            return false;
        if (!S_ISLNK(status.st_mode))
            return S_ISREG(status.st_mode) && status.st_nlink > 1;
        char text[PATH_MAX];
        const ssize_t size = ::readlinkat(directory_.get(), name.c_str(), text, sizeof text);
        const std::string_view target(text, size < 0 ? 0 : static_cast<std::size_t>(size));
        return !target.starts_with(kDataPrefix) || target.substr(kDataPrefix.size()).contains('/');
    }

    // A link's whole way is walked, so that what is opened is what was checked.
    Result<UniqueFd> open(const std::string& name) {
        struct stat entry{};
        if (::fstatat(directory_.get(), name.c_str(), &entry, AT_SYMLINK_NOFOLLOW) < 0)
            return fail_errno(errno, "stat", name);
        const bool is_strict = owner_.options_.modes == Modes::Strict;
        if (!S_ISLNK(entry.st_mode)) {
            if (is_strict)
                TRY(check_strict_modes(PathStep{full_path(name), entry}, owner_.options_.agent_uid));
            return open_at(directory_, name);
        }
        PathTrail trail = walk(full_path(name));
        if (trail.error)
            return std::unexpected(std::move(*trail.error));
        if (is_strict)
            TRY(check_strict_modes(trail, owner_.options_.agent_uid));
        return open_at(trail.parent, trail.name);
    }

    // Non-blocking, for a FIFO may have taken the file's place meanwhile.
    static Result<UniqueFd> open_at(const UniqueFd& directory, const std::string& name) {
        UniqueFd file(
            ::openat(directory.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
        if (!file)
            return fail_errno(errno, "open", name);
        return file;
    }

    void adopt(const std::string& name, Known& known, Content content) {
        const std::uint64_t hash = std::hash<std::string_view>{}(content.bytes.text);
        known.error.reset();
        known.was_filled = known.was_filled || !content.bytes.text.empty();
        const bool is_old = now_ns_ - content.stamp.ctime_ns > kTimestampDoubtNs;
        known.stamp = is_old ? std::optional(content.stamp) : std::nullopt;
        if (known.content == hash)
            return;
        known.content = hash;
        std::string path = full_path(name);
        std::vector<Decoded> documents = decode_manifests(content.bytes.text, path);
        listing_.updates.push_back({std::move(path), std::move(documents)});
    }

    void report(const std::string& name, Known& known, Error error) {
        known.stamp.reset();
        known.content.reset();
        if (is_passing(error))
            listing_.complete = false;
        if (error.os_errno != 0)
            owner_.unseen_.insert(name);
        if (known.error && *known.error == error.what)
            return;
        known.error = error.what;
        listing_.updates.push_back({full_path(name), std::unexpected(std::move(error))});
    }

    // What was touched while it was read here is read again, for what was read may be half of it.
    void drop_half_written() {
        owner_.watch_.catch_up();
        std::erase_if(listing_.updates, [&](const FileUpdate& update) {
            const std::string name = update.file.substr(update.file.rfind('/') + 1);
            struct stat status{};
            const bool is_half =
                owner_.watch_.is_touched(name) ||
                (::fstatat(directory_.get(), name.c_str(), &status, 0) == 0 && is_unfinished(name, status));
            if (is_half) {
                Known& known = owner_.known_.at(name);
                known = {.stamp = {}, .content = {}, .error = {}, .was_filled = known.was_filled};
            }
            return is_half;
        });
    }

    static Stamp stamp_of(const struct stat& status) {
        return {status.st_dev, status.st_ino, status.st_size, to_ns(status.st_mtim), to_ns(status.st_ctim)};
    }

    [[nodiscard]] std::string full_path(const std::string& name) const {
        return path_ == "/" ? path_ + name : path_ + "/" + name;
    }

    ManifestDirectory& owner_;
    const UniqueFd& directory_;
    std::string path_;
    std::int64_t now_ns_;
    std::vector<std::string> gone_;
    Listing listing_;
};

Result<ManifestDirectory> ManifestDirectory::open(const std::string& path, ManifestDirectoryOptions options) {
    std::string absolute = path;
    if (!path.starts_with('/')) {
        char here[PATH_MAX];
        if (::getcwd(here, sizeof here) == nullptr)
            return fail_errno(errno, "getcwd", path);
        absolute = std::string(here) + "/" + path;
    }
    while (absolute.size() > 1 && absolute.ends_with('/'))
        absolute.pop_back();
    DirectoryWatch watch = TRY(DirectoryWatch::make(absolute, options.writer_patience));
    return ManifestDirectory(std::move(watch), std::move(absolute), options);
}

Result<Listing> ManifestDirectory::list(Look look) {
    PathTrail trail = walk(path_);
    watch_.watch(trail);
    const std::optional<std::set<std::string>> touched = watch_.take_touched();
    std::optional<Names> names;
    if (look == Look::Touched && touched && settled_ && trusted_ &&
        known_.size() + touched->size() <= options_.max_files)
        names.emplace(touched->begin(), touched->end());
    Result<Listing> listing = list(trail, std::move(names));
    settled_ = listing && listing->complete;
    listed_ = listed_ || settled_;
    watch_.catch_up();
    trusted_ = watch_.is_watched() && is_local_file_system(trail.end) && unseen_.empty() && !is_refused(listing);
    return listing;
}

void ManifestDirectory::forget(const std::string& name) {
    known_.erase(name);
    unseen_.erase(name);
}

Result<Listing> ManifestDirectory::list(PathTrail& trail, std::optional<Names> touched) {
    if (trail.error)
        return std::unexpected(std::move(*trail.error));
    if (options_.modes == Modes::Strict)
        TRY(check_strict_modes(trail, options_.agent_uid));
    struct stat end{};
    if (::fstat(trail.end.get(), &end) < 0)
        return fail_errno(errno, "fstat", path_);
    if (!S_ISDIR(end.st_mode) && !S_ISREG(end.st_mode))
        return fail(Errc::Invalid, path_ + ": " + std::string(what_it_is(end.st_mode)));

    const bool is_directory = S_ISDIR(end.st_mode);
    if (!listed_) {
        known_.clear();
        unseen_.clear();
    }
    Round round = is_directory ? Round(*this, trail.end, path_) : Round(*this, trail.parent, trail.parent_path);
    Listing listing;
    if (touched)
        listing = round.look_again(*touched);
    else if (is_directory)
        listing = round.look_at_all(TRY(read_names(trail.end, path_, options_.max_files)));
    else
        listing = round.look_at_all({trail.name});
    if (!is_directory && ::fstat(trail.parent.get(), &end) < 0)
        return fail_errno(errno, "fstat", trail.parent_path);
    listing.directory = {end.st_dev, end.st_ino};
    listing.whole = !listed_;
    return listing;
}

}  // namespace tokenlet::kube
