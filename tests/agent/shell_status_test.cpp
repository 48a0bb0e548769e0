// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "agent/shell/status_json.h"
#include "agent/shell/status_server.h"
#include "tests/fsatomic/scratch.h"

namespace tokenlet::agent {
namespace {

using fsatomic::Scratch;

Status sample() {
    FileStatus file;
    file.path = "token";
    file.kind = "serviceAccountToken";
    file.audience = "vault";
    file.issued_at = WallTime(std::chrono::seconds(1'795'500'000));
    VolumeStatus volume;
    volume.name = "api";
    volume.path = "uid/volumes/kubernetes.io~projected/api";
    volume.ready = true;
    volume.files = {file};
    PodStatus pod;
    pod.ns = "shop";
    pod.name = "web";
    pod.uid = "uid";
    pod.ready = true;
    pod.volumes = {volume};
    Status status;
    status.listed = true;
    status.token_requests = 3;
    status.problems = {"bad.yaml: \xff"};
    status.pods = {pod};
    return status;
}

TEST(StatusJson, HasTheFieldsThatTheFormPromises) {
    const Scratch scratch;
    const std::string json =
        status_json(sample(), {.root = scratch.fd(), .root_path = "/run/pods", .node_name = "edge"});
    EXPECT_EQ(
        json,
        R"({"nodeName":"edge","listed":true,"settled":false,"removalHeld":"","problems":["bad.yaml: )"
        "\xef\xbf\xbd"
        R"("],"counters":{"tokenRequests":3,"tokenFailures":0,"publishes":0,"repairs":0},"pods":[{"namespace":"shop","name":"web",)"
        R"("uid":"uid","serviceAccount":"","ready":true,"leaving":false,"message":"","volumes":[{"name":"api",)"
        R"("path":"/run/pods/uid/volumes/kubernetes.io~projected/api","ready":true,"error":"","rotations":0,"files":[)"
        R"({"path":"token","kind":"serviceAccountToken","audience":"vault","issuedAt":"2026-11-24T06:00:00Z",)"
        R"("expiresAt":null,"validUntil":null,"rotatesAt":null,"rule":"","lastReadAt":null,"failures":0,"retriesAt":null,"lastError":""}],"fileMounts":[]}]}]})");
}

TEST(StatusJson, ShowsMountsThatStayAsTheyAreWithTheirVolume) {
    const Scratch scratch;
    StatusContext context{.root = scratch.fd(), .root_path = "/run/pods", .node_name = "edge"};
    context.file_mounts = {{"another/volume", "token", "/elsewhere"},
                           {"uid/volumes/kubernetes.io~projected/api", "token", "/in/a container"}};
    const std::string json = status_json(sample(), context);
    EXPECT_NE(json.find(R"("fileMounts":[{"file":"token","mountedAt":"/in/a container"}])"), std::string::npos) << json;
}

TEST(StatusJson, TellsWhenATokenWasLastRead) {
    const Scratch scratch;
    const std::string directory = scratch.at("uid/volumes/kubernetes.io~projected/api");
    const std::string generation = "..2026_11_24_06_00_00.1";
    std::filesystem::create_directories(directory + "/" + generation);
    std::filesystem::create_symlink(generation, directory + "/..data");
    std::filesystem::create_symlink("..data/token", directory + "/token");
    std::ofstream(directory + "/token") << "x";
    const auto touch = [&](time_t read, time_t written) {
        const timespec times[2] = {{.tv_sec = read, .tv_nsec = 0}, {.tv_sec = written, .tv_nsec = 0}};
        ASSERT_EQ(::utimensat(AT_FDCWD, (directory + "/token").c_str(), times, 0), 0);
    };
    const auto json = [&] {
        return status_json(sample(), {.root = scratch.fd(), .root_path = "/run/pods", .node_name = ""});
    };
    touch(1'795'500'000, 1'795'500'000);
    EXPECT_NE(json().find(R"("lastReadAt":null)"), std::string::npos) << "not since it was written";
    touch(1'795'500'060, 1'795'500'000);
    EXPECT_NE(json().find(R"("lastReadAt":"2026-11-24T06:01:00Z")"), std::string::npos);

    // To a file of somebody else's, of which the status must tell nothing.
    std::filesystem::rename(directory + "/" + generation + "/token", scratch.at("private"));
    std::filesystem::create_symlink(scratch.at("private"), directory + "/" + generation + "/token");
    EXPECT_NE(json().find(R"("lastReadAt":null)"), std::string::npos);
}

class Answer : public testing::Test {
protected:
    http::Response ask(std::string method, std::string target,
                       std::optional<http::Peer> peer = http::Peer{.uid = 7, .gid = 7}) {
        http::Request request;
        request.method = std::move(method);
        request.target = std::move(target);
        request.peer = peer;
        return answer(request,
                      {.snapshot = [] { return [] { return std::string("{}"); }; },
                       .unready = [this] { return unready_; },
                       .prune = [this] { done_ += "prune "; },
                       .rotate = [this](const kube::ObjectKey& pod, const std::string& volume) -> Result<> {
                           if (pod.name == "nobody")
                               return fail(Errc::NotFound, "no such Pod");
                           done_ += "rotate " + pod.str() + " " + volume;
                           return {};
                       }},
                      {.uid = 1000, .gid = 1001});
    }

    std::string unready_;
    std::string done_;
};

TEST_F(Answer, HasOneForEveryRequest) {
    struct Case {
        const char* name;
        const char* method;
        const char* target;
        int want;
    };
    const Case cases[] = {
        {"anybody may look", "GET", "/v1/status", 200},
        {"with a query, too", "GET", "/v1/status?x=1", 200},
        {"alive", "GET", "/livez", 200},
        {"a path that is not there", "GET", "/v2", 404},
        {"no looking with POST", "POST", "/v1/status", 405},
        {"no changing with GET", "GET", "/v1/prune", 405},
        {"not for strangers", "POST", "/v1/prune", 403},
        {"nor this", "POST", "/v1/rotate?pod=shop/web", 403},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_EQ(ask(c.method, c.target).status, c.want);
    }
    EXPECT_EQ(done_, "");
}

TEST_F(Answer, LetsOnlyRootAndTheAgentsUserAndGroupChangeThings) {
    struct Case {
        const char* name;
        std::optional<http::Peer> peer;
        int want;
    };
    const Case cases[] = {
        {"root", http::Peer{.uid = 0, .gid = 0}, 200},
        {"the agent's user", http::Peer{.uid = 1000, .gid = 9}, 200},
        {"the agent's group", http::Peer{.uid = 9, .gid = 1001}, 200},
        {"another user in root's group", http::Peer{.uid = 9, .gid = 0}, 403},
        {"somebody of whom the kernel says nothing", std::nullopt, 403},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_EQ(ask("POST", "/v1/prune", c.peer).status, c.want);
    }
}

TEST_F(Answer, RotatesOnePodOrOneVolumeOfIt) {
    const http::Peer root{.uid = 0, .gid = 0};
    EXPECT_EQ(ask("POST", "/v1/rotate?pod=shop/web", root).status, 200);
    EXPECT_EQ(done_, "rotate shop/web ");
    done_.clear();
    EXPECT_EQ(ask("POST", "/v1/rotate?volume=api&pod=shop/web", root).status, 200);
    EXPECT_EQ(done_, "rotate shop/web api");
    const http::Response unknown = ask("POST", "/v1/rotate?pod=shop/nobody", root);
    EXPECT_EQ(unknown.status, 404);
    EXPECT_EQ(unknown.body.view(), R"({"error":"no such Pod"})");
    for (const char* wrong : {"/v1/rotate", "/v1/rotate?pod=web", "/v1/rotate?pod=/web", "/v1/rotate?pod=shop/"})
        EXPECT_EQ(ask("POST", wrong, root).status, 400) << wrong;
}

TEST_F(Answer, IsReadyOnlyWhenNothingIsAmiss) {
    EXPECT_EQ(ask("GET", "/readyz").status, 200);
    unready_ = "shop/web: no token";
    const http::Response response = ask("GET", "/readyz");
    EXPECT_EQ(response.status, 503);
    EXPECT_EQ(response.body.view(), "shop/web: no token\n");
}

}  // namespace
}  // namespace tokenlet::agent
