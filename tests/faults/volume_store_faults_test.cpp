// SPDX-License-Identifier: Apache-2.0
// A kill, or an error, at every system call of what the agent does with a volume: publish, sweep and remove it, with its
// record and its names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "agent/shell/found_volumes.h"
#include "agent/shell/record_file.h"
#include "agent/shell/token_hash.h"
#include "agent/shell/volume_store.h"
#include "fsatomic/generation.h"
#include "tests/fsatomic/child.h"
#include "tests/fsatomic/scratch.h"
#include "tests/fsatomic/traced_child.h"

namespace tokenlet::agent {
namespace {

namespace fs = std::filesystem;
using fsatomic::Fate;
using fsatomic::Traced;

const std::vector<VolumeName> kNames{{.ns = "shop", .pod = "web", .name = "api"},
                                     {.ns = "shop", .pod = "web", .name = "alias"}};
constexpr WallTime kNow{std::chrono::seconds(1'800'000'000)};

enum class Rights { Root, None };

// Without rights while it lives, where asked for.
class As {
public:
    explicit As(Rights rights) : dropped_(rights == Rights::None) {
        if (dropped_)
            become(fsatomic::kNobody);
    }
    ~As() {
        if (dropped_) {
            EXPECT_EQ(::seteuid(0), 0);
            EXPECT_EQ(::setegid(0), 0);
        }
    }
    As(const As&) = delete;
    As& operator=(const As&) = delete;

private:
    static void become(unsigned id) {
        EXPECT_EQ(::setegid(id), 0);
        EXPECT_EQ(::seteuid(id), 0);
    }
    bool dropped_;
};

PublishVolume publish_of(const VolumePath& path, std::string_view token) {
    PublishVolume command{.path = path, .names = kNames, .payload = {}, .record = {}, .keep = {}};
    command.payload.files["token"].bytes.append(token);
    command.payload.files["d/ca.crt"].bytes.append(token);
    TokenRecord record;
    record.path = "token";
    record.times.ttl = std::chrono::hours(1);
    command.record = {
        .pod_uid = "uid-1", .ns = "shop", .pod = "web", .volume = "api", .boot_id = "b", .tokens = {record}};
    return command;
}

struct Setting {
    const char* name;
    const char* base;
    Rights rights;
    const char* direct = "";  // below a directory that others mount; empty: below root
};

// A store of one volume, and what stands in its directories.
class Stage {
public:
    explicit Stage(const Setting& setting) : scratch_(setting.base) {
        const uid_t owner = setting.rights == Rights::None ? fsatomic::kNobody : 0;
        EXPECT_EQ(::fchown(scratch_.fd().get(), owner, 0), 0);
        if (*setting.direct == '\0')
            return;
        fs::create_directory(direct()[0]);
        EXPECT_EQ(::chown(direct()[0].c_str(), owner, 0), 0);
        path_.direct = direct()[0] + setting.direct;
    }
    [[nodiscard]] const VolumePath& path() const { return path_; }
    // As a later run cleans up which no longer has the Pod's manifest.
    void forget_everything() {
        VolumeStore store = open();
        const auto found = find_volumes(store.root(), direct());
        ASSERT_TRUE(found);
        for (const FoundVolume& volume : found->volumes)
            EXPECT_TRUE(store.remove({.path = volume.path, .names = kNames}));
        for (const auto& entry : fs::recursive_directory_iterator(scratch_.path()))
            EXPECT_TRUE(entry.is_directory() && !entry.is_symlink()) << entry.path();
    }
    VolumeStore open() {
        Volumes settings;
        settings.root = scratch_.at("pods");
        settings.by_name = scratch_.at("by-name");
        settings.direct = direct();
        return std::move(*VolumeStore::open(settings, [this] { return ++digits_; }));
    }
    // Names of everything, without what is drawn.
    [[nodiscard]] std::multiset<std::string> tree() const {
        std::multiset<std::string> names;
        for (const auto& entry : fs::recursive_directory_iterator(scratch_.path())) {
            std::string name = entry.path().string().substr(scratch_.path().size());
            if (const std::size_t at = name.find("/..2"); at != std::string::npos)
                name.replace(at, std::string::npos, "/GENERATION");
            std::string drawn = scratch_.path();
            std::ranges::replace(drawn, '/', ':');  // in a record's name
            if (const std::size_t at = name.find(drawn); at != std::string::npos)
                name.erase(at, drawn.size());
            names.insert(name);
        }
        return names;
    }
    [[nodiscard]] std::string token() const { return fsatomic::read_whole(volume() + "/token"); }
    // By way of ..data: the names of a first time come, and those of a last time go, one by one.
    [[nodiscard]] bool is_one_set() const {
        return fsatomic::read_whole(volume() + "/..data/token") == fsatomic::read_whole(volume() + "/..data/d/ca.crt");
    }
    // Names lead to the volume or are absent.
    [[nodiscard]] bool names_lead_somewhere() const {
        for (const VolumeName& name : kNames) {
            const std::string link = scratch_.at("by-name/" + name.ns + "/" + name.pod + "/" + name.name);
            if (fsatomic::exists(link) && !fs::is_directory(link))
                return false;
        }
        return true;
    }
    [[nodiscard]] bool is_known(VolumeStore& store) const {
        const auto record = read_record(store.root(), path_);
        return record && record->tokens.at(0).sha256 == sha256_hex(token());
    }

    [[nodiscard]] std::string volume() const {
        return path_.direct.empty() ? scratch_.at("pods/" + path_.str()) : path_.direct;
    }

private:
    [[nodiscard]] std::vector<std::string> direct() const { return {scratch_.at("shared")}; }

    fsatomic::Scratch scratch_;
    VolumePath path_{.pod_uid = "uid-1", .plugin_directory = "kubernetes.io~projected", .volume = "api"};
    std::uint64_t digits_ = 0;
};

// Something that the agent does with a volume.
struct Act {
    const char* name;
    void (*prepare)(VolumeStore&, const VolumePath&);
    Result<> (*act)(VolumeStore&, const VolumePath&);
};

Result<> publish(VolumeStore& store, const VolumePath& path, std::string_view token) {
    (void)TRY(store.publish(publish_of(path, token), kNow));
    return {};
}

Result<> sweep(VolumeStore& store, const VolumePath& path) {
    return store.sweep({.path = path, .keep = {}});
}

void prepare_one(VolumeStore& store, const VolumePath& path) {
    EXPECT_TRUE(publish(store, path, "old"));
}

void prepare_two(VolumeStore& store, const VolumePath& path) {
    prepare_one(store, path);
    EXPECT_TRUE(sweep(store, path));
    EXPECT_TRUE(publish(store, path, "new"));
}

Result<> publish_new(VolumeStore& store, const VolumePath& path) {
    return publish(store, path, "new");
}

constexpr Act kActs[] = {
    {"FirstPublish", [](VolumeStore&, const VolumePath&) {}, publish_new},
    {"Publish", prepare_one, publish_new},
    {"FirstSweep",
     [](VolumeStore& store, const VolumePath& path) {
         prepare_one(store, path);
         EXPECT_TRUE(publish(store, path, "new"));
     },
     sweep},
    {"Sweep", prepare_two, sweep},
    {"Remove", prepare_two,
     [](VolumeStore& store, const VolumePath& path) { return store.remove({.path = path, .names = kNames}); }},
};

struct Fault {
    Fate fate;
    int os_errno;
};

constexpr Fault kFaults[] = {{Fate::Kill, 0},      {Fate::Fail, EIO},   {Fate::Fail, ENOSPC},
                             {Fate::Fail, EACCES}, {Fate::Fail, EROFS}, {Fate::Fail, EMFILE}};

// Every call where it costs little; on a disk, whose syncs take their time, every fourth unless everything is asked for.
int stride(const Setting& setting) {
    const char* wanted = std::getenv("FAULTS");
    const bool all = wanted != nullptr && std::string_view(wanted) == "all";
    return all || setting.base == fsatomic::kTmpfs ? 1 : 4;
}

class VolumeStoreFaults : public testing::TestWithParam<std::tuple<Setting, Act>> {
protected:
    static const Setting& setting() { return std::get<Setting>(GetParam()); }
    static const Act& act() { return std::get<Act>(GetParam()); }

    void SetUp() override {
        if (!fsatomic::can_trace())
            GTEST_SKIP() << "NOT TESTED: system calls cannot be counted here (not x86-64, or no ptrace)";
        if (!fsatomic::can_drop_root())
            GTEST_SKIP() << "NOT TESTED: nobody here can become a user without rights";
    }

    // What stands after each act, sooner or later.
    static std::multiset<std::string> whole() {
        Stage stage(setting());
        const As as(setting().rights);
        VolumeStore store = stage.open();
        act().prepare(store, stage.path());
        EXPECT_TRUE(act().act(store, stage.path()));
        return stage.tree();
    }

    // False when the act makes no such call.
    static bool try_one(const Fault& fault, int at, const std::multiset<std::string>& whole) {
        Stage stage(setting());
        const As as(setting().rights);
        VolumeStore store = stage.open();
        act().prepare(store, stage.path());
        const Traced traced = fsatomic::run_traced(
            [&] {
                const auto done = act().act(store, stage.path());
                return done ? 0 : done.error().what.find('(') == std::string::npos ? 2 : 1;
            },
            at, fault.fate, fault.os_errno);
        if (!traced.reached)
            return false;
        SCOPED_TRACE((fault.fate == Fate::Kill ? "killed" : "errno " + std::to_string(fault.os_errno)) + " at call " +
                     std::to_string(at) + ", number " + std::to_string(traced.call));
        EXPECT_NE(traced.exit_code, 2) << "an error that names no call and file";
        EXPECT_TRUE(stage.is_one_set());
        EXPECT_TRUE(stage.names_lead_somewhere());
        if (traced.exit_code == 0) {
            EXPECT_EQ(stage.tree(), whole) << "success, but not everything was done";
        }
        // As after a crash in which the manifest went, too.
        if (fault.fate == Fate::Kill && at % 2 == 1) {
            stage.forget_everything();
            return !testing::Test::HasFailure();
        }
        // As the agent goes on after an error, and as it does after a restart.
        if (fault.fate == Fate::Fail) {
            const auto again = act().act(store, stage.path());
            EXPECT_TRUE(again) << again.error().what;
        }
        VolumeStore next = stage.open();
        const auto again = act().act(next, stage.path());
        EXPECT_TRUE(again) << again.error().what;
        EXPECT_TRUE(sweep(next, stage.path()));
        if (act().name == std::string("Remove")) {
            EXPECT_EQ(stage.tree(), whole);
        } else {
            EXPECT_EQ(stage.token(), "new");
            EXPECT_TRUE(stage.is_known(next));
            EXPECT_EQ(fsatomic::generations(stage.volume()).size(), 1U);
        }
        stage.forget_everything();
        return !testing::Test::HasFailure();
    }
};

INSTANTIATE_TEST_SUITE_P(
    On, VolumeStoreFaults,
    testing::Combine(testing::Values(Setting{"Tmpfs", fsatomic::kTmpfs, Rights::Root},
                                     Setting{"TmpfsWithoutRights", fsatomic::kTmpfs, Rights::None},
                                     Setting{"Disk", fsatomic::kDisk, Rights::Root},
                                     Setting{"DiskWithoutRights", fsatomic::kDisk, Rights::None},
                                     Setting{"Direct", fsatomic::kTmpfs, Rights::Root, "/a/sa"},
                                     Setting{"DirectWithoutRights", fsatomic::kTmpfs, Rights::None, "/sa"}),
                     testing::ValuesIn(kActs)),
    [](const testing::TestParamInfo<std::tuple<Setting, Act>>& tested) {
        return std::string(std::get<Act>(tested.param).name) + std::get<Setting>(tested.param).name;
    });

TEST_P(VolumeStoreFaults, AreMendedByTheNextTryAndSuccessMeansThatAllWasDone) {
    const std::multiset<std::string> whole = this->whole();
    int tried = 0;
    for (const Fault& fault : kFaults)
        for (int at = 0; try_one(fault, at, whole); at += stride(setting()))
            ++tried;
    RecordProperty("faults", tried);
    EXPECT_GT(tried * stride(setting()), 60);
}

}  // namespace
}  // namespace tokenlet::agent
