// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/cluster_objects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "tests/kube/test_certificates.h"
#include "tests/kube/test_loop.h"
#include "tests/kube/test_server.h"

namespace tokenlet::agent {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

constexpr std::string_view kEmptyList =
    R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}})"
    "\n";

// A server that has trust bundles in one version of their API, or in none.
struct ClusterObjectsTest : ::testing::Test {
    enum class Serves { Nothing, Lists, ListsAndIsGone };

    std::atomic<Serves> serves = Serves::Nothing;
    kube::TestLoop loop;
    kube::TestAuthority authority{"ours"};
    kube::TestServer server{authority.issue({.name = "localhost", .alternative_names = "DNS:localhost"}),
                            [this](kube::TestExchange& exchange) { answer(exchange); }};
    std::unique_ptr<kube::ApiClient> client;
    Now now{BootTime(1000s), WallTime(1'800'000'000s)};
    std::vector<std::string> told;
    int lost = 0;
    std::unique_ptr<ClusterObjects> objects;

    void answer(kube::TestExchange& exchange) {
        const bool is_list = exchange.request.head.contains("sendInitialEvents");
        if (serves == Serves::ListsAndIsGone && !is_list)
            return exchange.send(kube::http_answer(503, "the backend is away"));
        if (serves == Serves::Nothing || !exchange.request.head.contains("/v1beta1/") || !is_list)
            return exchange.send(kube::http_answer(404, "404 page not found"));
        exchange.send(kube::http_answer(200, kEmptyList));
    }

    void SetUp() override {
        kube::ClusterAccess access;
        access.cluster.server = server.url();
        access.cluster.certificate_authority = {.file = {}, .bytes = Secret(authority.pem()), .where = "the test's CA"};
        auto made = kube::ApiClient::create(loop.uv(), std::move(access), {});
        ASSERT_TRUE(made) << made.error().what;
        client = std::move(*made);
        objects = std::make_unique<ClusterObjects>(
            [this](kube::ApiRequest request, std::move_only_function<void(kube::ApiResult)> done) {
                return client->request(std::move(request), std::move(done));
            },
            ClusterObjects::Settings{
                .clock = [this] { return now; },
                .random = [] { return std::uint64_t{0}; },
                .tell = [this](const WatchedObject&,
                               const ObjectNews& news) { told.emplace_back(news ? "objects" : "error"); },
                .look = [] {},
                .on_lost = [this] { ++lost; }});
        objects->watch({.added = {{WatchedObject::Kind::ClusterTrustBundle, {"", "ca"}}}, .removed = {}}, now);
    }

    // The versions asked for until there is a pause.
    std::vector<std::string> asked() {
        const auto pauses = [this] {
            const std::optional<BootTime> next = objects->maintain(now);
            return next && *next > now.boot;
        };
        const std::size_t before = server.requests().size();
        EXPECT_TRUE(loop.run_until(pauses));
        std::vector<std::string> versions;
        for (const kube::TestRequest& request : server.requests())
            versions.emplace_back(request.head.contains("/v1beta1/") ? "v1beta1" : "v1alpha1");
        versions.erase(versions.begin(), versions.begin() + static_cast<std::ptrdiff_t>(before));
        return versions;
    }
};

TEST_F(ClusterObjectsTest, AVersionThatWasNotThereIsAskedForAgain) {
    EXPECT_THAT(asked(), ElementsAre("v1beta1", "v1alpha1"));
    EXPECT_THAT(told, ElementsAre("error"));
    now.boot += 60s;
    EXPECT_THAT(asked(), ElementsAre("v1beta1", "v1alpha1"));
    EXPECT_THAT(told, ElementsAre("error")) << "the same is told once";

    serves = Serves::Lists;
    now.boot += 60s;
    EXPECT_THAT(asked(), ElementsAre("v1beta1", "v1beta1")) << "a list, and a watch from there";
    EXPECT_THAT(told, testing::Contains("objects"));
}

TEST_F(ClusterObjectsTest, AVersionThatGaveObjectsIsLeftOnlyAfterAFewRefusals) {
    serves = Serves::Lists;
    EXPECT_THAT(asked(), ElementsAre("v1beta1", "v1beta1"));
    serves = Serves::Nothing;
    now.boot += 60s;
    EXPECT_THAT(asked(), ElementsAre("v1beta1"));
    now.boot += 60s;
    EXPECT_THAT(asked(), ElementsAre("v1beta1", "v1alpha1")) << "a server may have become an older one";
}

TEST_F(ClusterObjectsTest, AServerThatAnswersAWatchWith503IsLostOnce) {
    EXPECT_THAT(asked(), ElementsAre("v1beta1", "v1alpha1"));
    EXPECT_EQ(lost, 0) << "nothing stood yet";
    serves = Serves::ListsAndIsGone;
    now.boot += 60s;
    EXPECT_THAT(asked(), ElementsAre("v1beta1", "v1beta1"));
    EXPECT_THAT(told, ElementsAre("error", "objects"));
    EXPECT_EQ(lost, 1) << "behind a load balancer, a server that is away is one that answers 503";
    for (int tries = 0; tries < 5; ++tries) {
        now.boot += 60s;
        EXPECT_THAT(asked(), ElementsAre("v1beta1"));
    }
    EXPECT_EQ(lost, 1);
    EXPECT_THAT(told, ElementsAre("error", "objects", "error"));
}

}  // namespace
}  // namespace tokenlet::agent
