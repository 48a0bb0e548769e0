// SPDX-License-Identifier: Apache-2.0
#include "kube/in_cluster.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace tokenlet::kube {
namespace {

class InClusterAccess : public testing::Test {
protected:
    InClusterAccess() : directory_("/dev/shm/tokenlet-in-cluster-" + std::to_string(::getpid())) {
        std::filesystem::create_directories(directory_);
        write("token", "t");
        write("ca.crt", "c");
        write("namespace", "edge\n");
    }
    ~InClusterAccess() override { std::filesystem::remove_all(directory_); }

    void write(const std::string& name, const std::string& text) const {
        std::ofstream(directory_ + "/" + name) << text;
    }

    std::string directory_;
};

TEST_F(InClusterAccess, NamesTheFilesThatTheKubeletKeepsFresh) {
    const auto access = in_cluster_access({.host = "10.96.0.1", .port = "443", .directory = directory_});
    ASSERT_TRUE(access) << access.error().what;
    EXPECT_EQ(access->cluster.server, "https://10.96.0.1:443");
    EXPECT_EQ(access->cluster.certificate_authority.file, directory_ + "/ca.crt");
    EXPECT_EQ(access->user.token.file, directory_ + "/token");
    EXPECT_EQ(access->ns, "edge");
}

TEST_F(InClusterAccess, PutsBracketsAroundAnAddressWithColons) {
    const auto access = in_cluster_access({.host = "fd00::1", .port = "443", .directory = directory_});
    ASSERT_TRUE(access) << access.error().what;
    EXPECT_EQ(access->cluster.server, "https://[fd00::1]:443");
}

TEST_F(InClusterAccess, SaysThatThisIsNoPod) {
    const auto access = in_cluster_access({.host = "", .port = "", .directory = directory_});
    ASSERT_FALSE(access);
    EXPECT_EQ(access.error().code, Errc::NotFound);
    EXPECT_TRUE(access.error().what.contains("this is no Pod; give a kubeconfig instead")) << access.error().what;
}

TEST_F(InClusterAccess, NeedsTokenAndAuthority) {
    for (const std::string name : {"token", "ca.crt"}) {
        std::filesystem::remove(directory_ + "/" + name);
        const auto access = in_cluster_access({.host = "10.96.0.1", .port = "443", .directory = directory_});
        ASSERT_FALSE(access) << name;
        EXPECT_EQ(access.error().what,
                  "in-cluster configuration: open(" + directory_ + "/" + name + "): No such file or directory");
        write(name, "again");
    }
}

TEST_F(InClusterAccess, RefusesAPortThatIsNone) {
    const auto access = in_cluster_access({.host = "10.96.0.1", .port = "x", .directory = directory_});
    ASSERT_FALSE(access);
    EXPECT_EQ(access.error().what,
              "in-cluster configuration: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT: has a port that is no "
              "number from 1 to 65535");
}

}  // namespace
}  // namespace tokenlet::kube
