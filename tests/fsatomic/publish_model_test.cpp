// SPDX-License-Identifier: Apache-2.0
// Random payloads, one after the other, with damage in between and a reader all the while, held against a plain map.
// TOKENLET_SEED=N runs that seed alone.
#include <gtest/gtest.h>
#include <sys/xattr.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "fsatomic/acl.h"
#include "fsatomic/publish.h"
#include "tests/fsatomic/scratch.h"

namespace tokenlet::fsatomic {
namespace {

namespace fs = std::filesystem;

constexpr const char* kVersion = "version";  // a file of every payload, which tells which one it is

std::vector<std::uint64_t> seeds(std::uint64_t count) {
    if (const char* one = std::getenv("TOKENLET_SEED"))
        return {std::stoull(one)};
    std::vector<std::uint64_t> all;
    for (std::uint64_t seed = 1; seed <= count; ++seed)
        all.push_back(seed);
    return all;
}

// path -> bytes, of one version.
using Files = std::map<std::string, std::string>;

Files files_below(const std::string& top) {
    Files files;
    std::error_code failed;
    for (auto at = fs::recursive_directory_iterator(top, failed); !failed && at != fs::recursive_directory_iterator();
         at.increment(failed))
        if (at->is_regular_file(failed))
            files[at->path().string().substr(top.size() + 1)] = read_whole(at->path());
    return files;
}

// Resolves ..data as a reader does that wants all files of one version, and holds what it finds against all versions.
class Watcher {
public:
    explicit Watcher(const Scratch& scratch) : scratch_(scratch), thread_([this] { run(); }) {}
    ~Watcher() {
        done_ = true;
        thread_.join();
    }

    void expect(const Files& files) {
        const std::scoped_lock lock(mutex_);
        versions_[files.at(kVersion)] = files;
    }
    // What is seen while somebody else has his hands in the volume counts for nothing.
    void begin_damage() { ++damage_; }
    void end_damage() { ++damage_; }
    [[nodiscard]] int rounds() const { return rounds_; }
    [[nodiscard]] std::string complaint() {
        const std::scoped_lock lock(mutex_);
        return complaint_;
    }

private:
    void run() {
        for (; !done_; ++rounds_) {
            const int before = damage_;
            const std::string generation = link_of(scratch_.at("..data"));
            if (generation.empty())
                continue;
            std::this_thread::yield();  // resolved before a switch, read after it
            const Files seen = files_below(scratch_.at(generation));
            if (before % 2 == 0 && damage_ == before)
                judge(seen);
        }
    }

    void judge(const Files& seen) {
        const std::scoped_lock lock(mutex_);
        const auto version = seen.find(kVersion);
        if (version == seen.end())
            complaint_ = "a file is missing";
        else if (!versions_.contains(version->second))
            complaint_ = "version " + version->second + " was never published";
        else if (versions_.at(version->second) != seen)
            complaint_ = "version " + version->second + " is not what was published";
    }

    const Scratch& scratch_;
    std::mutex mutex_;
    std::map<std::string, Files> versions_;
    std::string complaint_;
    std::atomic<bool> done_ = false;
    std::atomic<int> damage_ = 0;
    std::atomic<int> rounds_ = 0;
    std::thread thread_;
};

class Model {
public:
    Model(std::uint64_t seed, const std::string& base)
        : engine_(seed), is_root_(::geteuid() == 0), scratch_(base), reader_(scratch_), publisher_(scratch_.fd()) {}

    void step() {
        const bool changes = payload_.files.empty() || below(3) > 0;
        if (changes)
            change();
        const bool is_damaged = !shown_.empty() && below(3) == 0;
        if (is_damaged) {
            reader_.begin_damage();
            damage();
        }
        if (below(6) == 0)
            publisher_.witness = {};  // as after a restart
        reader_.expect(model_);
        const auto outcome = publisher_.publish_payload(payload_, options());
        if (is_damaged)
            reader_.end_damage();
        ASSERT_TRUE(outcome) << outcome.error().what;
        retained_ = outcome->retained;
        if (changes) {
            EXPECT_EQ(outcome->change, Change::Published) << outcome->reason;
        } else if (!is_damaged) {
            EXPECT_EQ(outcome->change, Change::None) << outcome->reason;
        }
        if (outcome->previous)
            leaving_.push_back({outcome->previous->name, reader_.rounds() + 2});
        shown_ = model_;
        compare();
        EXPECT_EQ(publisher_.publish_payload(payload_, options())->change, Change::None) << "once is enough";
        retire_what_nobody_reads();
        EXPECT_EQ(reader_.complaint(), "");
    }

private:
    // Without caps: they take what a reader that stood still for many publishes has still in its hands.
    [[nodiscard]] Options options() const {
        return {.retained = retained_, .caps = {.generations = 1000, .size_bytes = std::uint64_t{1} << 40}};
    }

    std::size_t below(std::size_t count) { return static_cast<std::size_t>(engine_() % count); }
    template <class T>
    const T& one_of(const std::vector<T>& values) {
        return values[below(values.size())];
    }

    Access access() {
        Access access{.mode = one_of<mode_t>({0400, 0440, 0600, 0640, 0644}), .owner = {}, .group = {}, .readers = {}};
        if (is_root_) {
            access.owner = one_of<std::optional<uid_t>>({std::nullopt, 0U, 1000U});
            access.group = one_of<std::optional<gid_t>>({std::nullopt, 0U, 2000U});
        }
        if (below(3) == 0)
            access.readers.push_back({Reader::Kind::User, 42});
        if (below(3) == 0)
            access.readers.push_back({Reader::Kind::Group, 33});
        return access;
    }

    // Files come, go, change, and become directories: "a" and "a/b" are both among the paths.
    void change() {
        static const std::vector<std::string> kPaths = {"a", "a/b", "a/b/c", "d", "d/x", "d/y", "token", "n/s/token"};
        for (std::size_t count = 1 + below(4); count > 0; --count) {
            const std::string& path = one_of(kPaths);
            std::erase_if(payload_.files, [&](const auto& file) {
                return file.first == path || file.first.starts_with(path + "/") || path.starts_with(file.first + "/");
            });
            if (below(4) > 0)
                payload_.files[path] = {Secret(std::string(below(9000), static_cast<char>('a' + below(26)))), access()};
        }
        payload_.files[kVersion] = {Secret(std::to_string(++version_)), access()};
        payload_.directories.mode = one_of<mode_t>({0755, 0711, 0750});
        model_.clear();
        for (const auto& [path, file] : payload_.files)
            model_[path] = std::string(file.bytes.view());
    }

    void damage() {
        next_tick();  // the publisher's clock stands in 2100, so that it trusts every stamp
        const std::string data = link_of(scratch_.at("..data"));
        const std::string generation = scratch_.at(data);
        const auto file = std::next(shown_.begin(), static_cast<std::ptrdiff_t>(below(shown_.size())))->first;
        const std::string name = file.substr(0, file.find('/'));
        switch (below(10)) {
            case 0:
                fs::remove(generation + "/" + file);
                break;
            case 1:
                write_whole(generation + "/" + file, "tampered with");
                break;
            case 2:
                ::chmod((generation + "/" + file).c_str(), 0666);
                break;
            case 3:
                write_whole(generation + "/extra", "");
                break;
            case 4:
                fs::remove(scratch_.at(name));
                break;
            case 5:
                // A name that the payload has no more is somebody else's then, and left alone.
                if (std::ranges::none_of(model_,
                                         [&](const auto& one) { return (one.first + "/").starts_with(name + "/"); }))
                    break;
                fs::remove(scratch_.at(name));
                fs::create_symlink("/etc/passwd", scratch_.at(name));
                break;
            case 6:
                fs::remove(scratch_.at("..data"));
                fs::create_symlink("..nowhere", scratch_.at("..data"));
                ++broken_links_;
                break;
            case 7:
                (void)::symlink("..nowhere", scratch_.at("..data_tmp").c_str());  // it may be there still
                break;
            case 8:
                ::chmod(scratch_.path().c_str(), 0700);
                break;
            default:
                (void)::symlink("..data/gone", scratch_.at("gone").c_str());
        }
    }

    // Paths only: the bytes would fill pages.
    [[nodiscard]] std::string differences(const Files& seen) const {
        std::string text;
        for (const auto& [path, bytes] : model_)
            if (const auto found = seen.find(path); found == seen.end() || found->second != bytes)
                text += path + (found == seen.end() ? " is missing; " : " differs; ");
        for (const auto& [path, bytes] : seen)
            if (!model_.contains(path))
                text += path + " should not be there; ";
        return text;
    }

    void compare() {
        const SeenFiles seen = visible(scratch_.path());
        Files bytes;
        for (const auto& [path, file] : seen)
            bytes[path] = file.bytes;
        EXPECT_TRUE(bytes == model_) << differences(bytes);
        for (const auto& [path, file] : payload_.files) {
            SCOPED_TRACE(path);
            const struct stat found = stat_of(scratch_.at(path));
            const Access& access = file.access;
            EXPECT_EQ(found.st_uid, access.owner.value_or(::geteuid()));
            EXPECT_EQ(found.st_gid, access.group.value_or(::getegid()));
            const bool has_list = !access.readers.empty() && (access.mode & 044) != 044;  // else all may read anyway
            if (has_list)
                EXPECT_EQ(found.st_mode & 07707, access.mode & 07707) << "the group's bits are the list's mask";
            else
                EXPECT_EQ(found.st_mode & 07777, access.mode);
            const ssize_t list = ::getxattr(scratch_.at(path).c_str(), "system.posix_acl_access", nullptr, 0);
            // A header of 4 bytes; 8 for each of owner, group, others and mask, and for each reader.
            EXPECT_EQ(list, has_list ? static_cast<ssize_t>(4 + 8 * (4 + access.readers.size())) : -1);
        }
        EXPECT_EQ(stat_of(scratch_.path()).st_mode & 07777, 0755U);
        std::set<std::string> known{link_of(scratch_.at("..data"))};
        for (const Generation& generation : retained_)
            known.insert(generation.name);
        for (const std::string& generation : generations(scratch_.path()))
            if (!known.contains(generation))
                orphans_.insert(generation);
        EXPECT_LE(orphans_.size(), broken_links_) << "only a ..data that was broken leaves a generation nobody knows";
    }

    void retire_what_nobody_reads() {
        for (; !leaving_.empty() && leaving_.front().second <= reader_.rounds(); leaving_.pop_front()) {
            const std::string& name = leaving_.front().first;
            EXPECT_TRUE(retire(scratch_.fd(), name, &publisher_.witness));
            std::erase_if(retained_, [&](const Generation& generation) { return generation.name == name; });
        }
    }

    std::mt19937_64 engine_;
    bool is_root_;
    Scratch scratch_;
    Watcher reader_;
    Publisher publisher_;
    Payload payload_;
    Files model_;
    Files shown_;  // as the last call left it
    int version_ = 0;
    std::vector<Generation> retained_;
    std::deque<std::pair<std::string, int>> leaving_;  // and the reader's round from which on nobody reads it
    std::set<std::string> orphans_;                    // they go with the next sweep
    std::size_t broken_links_ = 0;
};

class PublishModel : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(On, PublishModel, testing::Values(kTmpfs, kDisk), file_system_name);

TEST_P(PublishModel, IsWhatReadersSeeWhateverThePayloadAndTheDamage) {
    for (const std::uint64_t seed : seeds(GetParam() == std::string(kTmpfs) ? 40 : 5)) {
        SCOPED_TRACE("TOKENLET_SEED=" + std::to_string(seed));
        Model model(seed, GetParam());
        for (int step = 0; step < 60; ++step) {
            SCOPED_TRACE("step " + std::to_string(step));
            model.step();
            if (testing::Test::HasFailure())
                return;
        }
    }
}

}  // namespace
}  // namespace tokenlet::fsatomic
