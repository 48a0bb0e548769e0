// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/record_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>

#include "tests/fsatomic/scratch.h"

namespace tokenlet::agent {
namespace {

using fsatomic::Durability;
using fsatomic::Scratch;
using std::chrono::seconds;

const VolumePath kPath{.pod_uid = "uid-1", .plugin_directory = "kubernetes.io~projected", .volume = "api"};

VolumeRecord sample() {
    TokenRecord token;
    token.path = "a/b/token";
    token.key = "key \"quoted\"\n";
    token.issuer = "https://issuer";
    token.key_id = "kid";
    token.service_account_uid = "sa-uid";
    token.sha256 = "00ff";
    token.received_wall = WallTime(seconds(1'800'000'000));
    token.jitter = seconds(7);
    token.times = {.received = BootTime(seconds(12)),
                   .issued = WallTime(seconds(1'800'000'001)),
                   .expires = WallTime(seconds(1'800'003'601)),
                   .ttl = seconds(3600)};
    token.valid_until = WallTime(seconds(1'831'500'000));
    return {.pod_uid = "uid-1", .ns = "shop", .pod = "web", .volume = "api", .boot_id = "boot", .tokens = {token}};
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
    return text.replace(text.find(what), what.size(), with);
}

TEST(ParseRecord, ReadsWhatTextOfWrote) {
    const auto read = parse_record(text_of(sample()));
    ASSERT_TRUE(read) << read.error().what;
    EXPECT_EQ(*read, sample());
}

TEST(ParseRecord, RefusesEverythingElseWithoutFalling) {
    const std::string good = text_of(sample());
    const std::pair<const char*, std::string> cases[] = {
        {"empty", ""},
        {"not JSON", "token"},
        {"cut short", good.substr(0, good.size() / 2)},
        {"another version", replaced(good, "\"version\":1", "\"version\":2")},
        {"a version that no integer holds", replaced(good, "\"version\":1", "\"version\":1e300")},
        {"a version that is this one only in its lower half",
         replaced(good, "\"version\":1", "\"version\":4294967297")},
        {"a time that no integer holds", replaced(good, "\"ttlNs\":3600000000000", "\"ttlNs\":1e300")},
        {"a time that is no number", replaced(good, "\"ttlNs\":3600000000000", "\"ttlNs\":true")},
        {"a list", "[]"},
        {"a name that is a number", replaced(good, "\"web\"", "7")},
        {"tokens that are a text",
         R"({"version":1,"podUid":"u","namespace":"n","pod":"p","volume":"v","bootId":"b","tokens":"x"})"},
        {"a time before all time", replaced(good, "\"receivedBootNs\":12000000000", "\"receivedBootNs\":-1")},
        {"a time that would overflow", replaced(good, "\"ttlNs\":3600000000000", "\"ttlNs\":9223372036854775807")},
        {"a lifetime of nothing", replaced(good, "\"ttlNs\":3600000000000", "\"ttlNs\":0")},
        {"deep nesting", std::string(200'000, '[')},
    };
    for (const auto& [name, text] : cases) {
        SCOPED_TRACE(name);
        const auto read = parse_record(text);
        ASSERT_FALSE(read);
        EXPECT_EQ(read.error().code, Errc::Invalid);
    }
}

TEST(RecordFile, IsForTheAgentAlone) {
    const Scratch scratch;
    ASSERT_TRUE(write_record(scratch.fd(), kPath, text_of(sample()), Durability::Memory));
    struct stat status{};
    ASSERT_EQ(::stat(scratch.at("uid-1/records").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0700U);
    ASSERT_EQ(::stat(scratch.at("uid-1/records/kubernetes.io~projected~api.json").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600U);
    ASSERT_EQ(::stat(scratch.at("uid-1").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0711U) << "readers of the volumes have to get through";
}

TEST(RecordFile, IsNotWrittenAgainWhenItSaysTheSame) {
    const Scratch scratch;
    const std::string file = scratch.at("uid-1/records/kubernetes.io~projected~api.json");
    ASSERT_TRUE(write_record(scratch.fd(), kPath, text_of(sample()), Durability::Memory));
    struct stat before{}, after{};
    ASSERT_EQ(::stat(file.c_str(), &before), 0);
    ASSERT_TRUE(write_record(scratch.fd(), kPath, text_of(sample()), Durability::Memory));
    ASSERT_EQ(::stat(file.c_str(), &after), 0);
    EXPECT_EQ(before.st_ino, after.st_ino);
}

TEST(RecordFile, IsFoundByItsNameAndGoesWithoutATrace) {
    const Scratch scratch;
    ASSERT_TRUE(write_record(scratch.fd(), kPath, text_of(sample()), Durability::Memory));
    EXPECT_EQ(*list_records(scratch.fd(), "uid-1"), std::vector<VolumePath>{kPath});
    EXPECT_EQ(*read_record(scratch.fd(), kPath), sample());
    ASSERT_TRUE(remove_record(scratch.fd(), kPath));
    ASSERT_TRUE(remove_record(scratch.fd(), kPath)) << "absent is fine";
    EXPECT_TRUE(std::filesystem::is_empty(scratch.at("uid-1/records")));
    EXPECT_EQ(read_record(scratch.fd(), kPath).error().code, Errc::NotFound);
    EXPECT_TRUE(list_records(scratch.fd(), "nobody")->empty());
}

TEST(RecordFile, IsReadOnlyWhereItIsARegularFile) {
    const Scratch scratch;
    const std::string name = scratch.at("uid-1/records/kubernetes.io~projected~api.json");
    std::filesystem::create_directories(scratch.at("uid-1/records"));
    std::ofstream(scratch.at("elsewhere")) << text_of(sample());

    std::filesystem::create_symlink(scratch.at("elsewhere"), name);
    EXPECT_FALSE(read_record(scratch.fd(), kPath)) << "a link leads elsewhere";
    std::filesystem::remove(name);
    ASSERT_EQ(::mkfifo(name.c_str(), 0600), 0);
    EXPECT_FALSE(read_record(scratch.fd(), kPath)) << "a FIFO must not be waited for";
    std::filesystem::remove(name);
    std::ofstream(name) << std::string(kMaxRecordBytes + 1, ' ');
    EXPECT_FALSE(read_record(scratch.fd(), kPath)) << "no record is that long";
}

TEST(RecordFile, SaysByItsNameWhereAVolumeOutsideOfRootStands) {
    Scratch scratch(fsatomic::kTmpfs);
    const std::vector<VolumePath> paths = {
        kPath,
        {.pod_uid = "uid-1", .plugin_directory = "kubernetes.io~projected", .volume = "api", .direct = "/shared/sa"},
        {.pod_uid = "uid-1", .plugin_directory = "kubernetes.io~projected", .volume = "api", .direct = "/s~a/.b=c"},
        {.pod_uid = "uid-1",
         .plugin_directory = "kubernetes.io~downward-api",
         .volume = std::string(63, 'v'),
         .direct = "/" + std::string(149, 'd')}};
    for (const VolumePath& path : paths)
        ASSERT_TRUE(write_record(scratch.fd(), path, text_of(sample()), Durability::Memory)) << path.str();
    auto listed = list_records(scratch.fd(), "uid-1");
    ASSERT_TRUE(listed) << listed.error().what;
    std::ranges::sort(*listed);
    std::vector<VolumePath> want = paths;
    std::ranges::sort(want);
    EXPECT_EQ(*listed, want);
    for (const VolumePath& path : paths) {
        EXPECT_TRUE(read_record(scratch.fd(), path));
        ASSERT_TRUE(remove_record(scratch.fd(), path));
        EXPECT_FALSE(read_record(scratch.fd(), path));
    }
}

}  // namespace
}  // namespace tokenlet::agent
