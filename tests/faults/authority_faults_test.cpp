// SPDX-License-Identifier: Apache-2.0
// An error, or a kill, at every system call of what the authority keeps: its database, its small files, its own CA.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "authority/certificate_authority.h"
#include "authority/durable_file.h"
#include "authority/store.h"
#include "tests/authority/scratch.h"
#include "tests/fsatomic/traced_child.h"

namespace tokenlet::authority {
namespace {

// What the authority does in a directory; the second time, with what the first one left.
struct Act {
    const char* name;
    Result<> (*act)(const Scratch& scratch);
};

Result<> keep_records(const Scratch& scratch) {
    Store store = TRY(Store::open(scratch.at("kept.db")));
    TRY(store.save(
        {.accounts = {{.key = {"shop", "web"}, .uid = "account-uid", .origin = ServiceAccountRecord::Origin::Declared}},
         .removed_accounts = {},
         .pods = {{.key = {"shop", "web"},
                   .uid = "pod-uid",
                   .service_account = "web",
                   .node_name = "edge",
                   .deletion_timestamp = {}}},
         .removed_pods = {},
         .nodes = {{"edge", "node-uid"}}}));
    KeyRecord key;
    key.kid = "kid";
    key.jwk = "{}";
    key.signing_since = kNow;
    TRY(store.save_keys({&key, 1}));
    const Registry registry = TRY(store.load_registry());
    const auto keys = TRY(store.load_keys());
    EXPECT_EQ(registry.pod({"shop", "web"})->uid, "pod-uid");
    EXPECT_EQ(keys.size(), 1U);
    return {};
}

Result<> keep_files(const Scratch& scratch) {
    const UniqueFd top = TRY(open_directory(scratch.at("above/kept"), 0700));
    const UniqueFd dir = TRY(open_directory(top, "keys", 0700));
    TRY(write_file(dir, "kept", "bytes", 0600));
    const Secret bytes = TRY(read_file(dir, "kept", Readers::OwnerOnly));
    EXPECT_EQ(bytes.view(), "bytes");
    return remove_file(dir, "kept");
}

Result<> keep_certificate(const Scratch& scratch) {
    const UniqueFd dir = TRY(open_directory(scratch.at("kept"), 0700));
    const CertificateAuthority authority = TRY(CertificateAuthority::open(dir, kNow));
    EXPECT_FALSE(authority.certificate_pem().empty());
    return {};
}

constexpr Act kActs[] = {{"Records", keep_records}, {"Files", keep_files}, {"Certificate", keep_certificate}};

struct Fault {
    fsatomic::Fate fate;
    int os_errno;
};

constexpr Fault kFaults[] = {{fsatomic::Fate::Kill, 0},
                             {fsatomic::Fate::Fail, EIO},
                             {fsatomic::Fate::Fail, ENOSPC},
                             {fsatomic::Fate::Fail, EACCES}};

// The directories above the scratch one, too: "mkdir(/dev): Permission denied".
bool names_a_file(std::string_view what) {
    return what.contains("kept") || what.contains("keys") || what.contains("ca.") || what.starts_with("mkdir(/");
}

class AuthorityFaults : public testing::TestWithParam<Act> {
protected:
    // False when the act makes no such call.
    static bool try_one(const Fault& fault, int at) {
        const Scratch scratch;
        enum Answer { kDone, kSaid, kSaidNothing, kFailedTest };
        const fsatomic::Traced traced = fsatomic::run_traced(
            [&] {
                const Result<> done = GetParam().act(scratch);
                if (testing::Test::HasFailure())
                    return kFailedTest;
                if (done)
                    return kDone;
                return names_a_file(done.error().what) ? kSaid : kSaidNothing;
            },
            at, fault.fate, fault.os_errno);
        if (!traced.reached)
            return false;
        SCOPED_TRACE((fault.fate == fsatomic::Fate::Kill ? "killed" : "errno " + std::to_string(fault.os_errno)) +
                     " at call " + std::to_string(at) + ", number " + std::to_string(traced.call));
        EXPECT_NE(traced.exit_code, kSaidNothing) << "an error that names no file";
        EXPECT_NE(traced.exit_code, kFailedTest) << "success, but something else came back";
        const Result<> again = GetParam().act(scratch);
        EXPECT_TRUE(again) << "the next start: " << again.error().what;
        return !testing::Test::HasFailure();
    }
};

INSTANTIATE_TEST_SUITE_P(Of, AuthorityFaults, testing::ValuesIn(kActs),
                         [](const testing::TestParamInfo<Act>& tested) { return std::string(tested.param.name); });

TEST_P(AuthorityFaults, AreNamedAndMendedByTheNextStart) {
    if (!fsatomic::can_trace())
        GTEST_SKIP() << "NOT TESTED: system calls cannot be counted here (not x86-64, or no ptrace)";
    for (const Fault& fault : kFaults) {
        int at = 0;
        while (try_one(fault, at))
            ++at;
        EXPECT_GT(at, 10);
    }
}

}  // namespace
}  // namespace tokenlet::authority
