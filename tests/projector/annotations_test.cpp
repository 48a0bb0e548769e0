// SPDX-License-Identifier: Apache-2.0
#include "projector/annotations.h"

#include <gtest/gtest.h>

namespace tokenlet::projector {
namespace {

using namespace std::chrono_literals;

TEST(Annotations, AreReadWhereTheyAreOursAndPassWhereTheyAreNot) {
    const Result<Annotations> read = read_annotations(
        {{"tokenlet.dev/grace", "150s"}, {"tokenlet.dev/readers", "uid:1"}, {"prometheus.io/scrape", "true"}});
    ASSERT_TRUE(read);
    EXPECT_EQ(read->grace, 150s);
    EXPECT_EQ(read_annotations({})->grace, std::nullopt);
    EXPECT_EQ(read_annotations({{"tokenlet.dev/grace", "0s"}})->grace, 0s);
}

TEST(Annotations, ThatCannotBeCarriedOutAreRefusedByName) {
    struct Case {
        std::string name, value, why;
    };
    const Case cases[] = {
        {"tokenlet.dev/redaers", "uid:1", "unknown annotation, did you mean 'tokenlet.dev/readers'?"},
        {"tokenlet.dev/something-else", "", "unknown annotation"},
        {"tokenlet.dev/path", "", "'' is not VOLUME=/directory"},
        {"tokenlet.dev/path", "/shared/sa", "'/shared/sa' is not VOLUME=/directory"},
        {"tokenlet.dev/path", "=/shared/sa", "'=/shared/sa' is not VOLUME=/directory"},
        {"tokenlet.dev/path", "v=shared/sa", "'shared/sa' is not an absolute path below /"},
        {"tokenlet.dev/path", "v=", "'' is not an absolute path below /"},
        {"tokenlet.dev/path", "v=/", "'/' is not an absolute path below /"},
        {"tokenlet.dev/path", "v=/shared/../etc", "a part that starts with '..'"},
        {"tokenlet.dev/path", "v=/shared/..data", "a part that starts with '..'"},
        {"tokenlet.dev/path", "v=/shared/./sa", "must not hold '//', '.'"},
        {"tokenlet.dev/path", "v=/shared//sa", "must not hold '//', '.'"},
        {"tokenlet.dev/path", "v=/shared/sa//", "must not hold '//', '.'"},
        {"tokenlet.dev/path", "v=/a b", "holds a blank, a colon or a control character"},
        {"tokenlet.dev/path", "v=/a:b", "holds a blank, a colon or a control character"},
        {"tokenlet.dev/path", "v=/a\nb", "holds a blank, a colon or a control character"},
        {"tokenlet.dev/path", "v=/" + std::string(150, 'a'), "is longer than 150 bytes"},
        {"tokenlet.dev/path", "v=/a,", "'' is not VOLUME=/directory"},
        {"tokenlet.dev/path", "v=/a,v=/b", "volume v is there twice"},
        {"tokenlet.dev/path", "v=/a,w=/a", "'/a' and '/a' lie within one another"},
        {"tokenlet.dev/path", "v=/a/b,w=/a", "'/a' and '/a/b' lie within one another"},
        {"tokenlet.dev/uid-map", "", "'' is not podman:USER"},
        {"tokenlet.dev/uid-map", "podman:", "'podman:' is not podman:USER"},
        {"tokenlet.dev/uid-map", "alice", "'alice' is not podman:USER"},
        {"tokenlet.dev/uid-map", "docker:alice", "'docker:alice' is not podman:USER"},
        {"tokenlet.dev/uid-map", "podman:a:b", "'podman:a:b' is not podman:USER"},
        {"tokenlet.dev/in-place", "data/token", "mount the volume's directory, as `tokenlet mounts` prints it"},
        {"tokenlet.dev/notify", "app", "this version does not carry it out; remove it"},
        {"tokenlet.dev/grace", "2h", "'2h' is not between 0s and 1h"},
        {"tokenlet.dev/grace", "-1s", "-1s"},
        {"tokenlet.dev/grace", "5x", "5x"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name + "=" + c.value);
        const Result<Annotations> read = read_annotations({{c.name, c.value}});
        ASSERT_FALSE(read);
        EXPECT_EQ(read.error().code, Errc::Invalid);
        EXPECT_TRUE(read.error().what.starts_with("metadata.annotations['" + c.name + "']: ")) << read.error().what;
        EXPECT_NE(read.error().what.find(c.why), std::string::npos) << read.error().what;
    }
}

TEST(Annotations, NameAPathForEachVolume) {
    struct Case {
        std::string value;
        std::vector<DirectPath> want;
    };
    const Case cases[] = {
        {"kube-api-access=/shared/sa", {{"kube-api-access", "/shared/sa"}}},
        {" v = /shared/sa/ ", {{"v", "/shared/sa"}}},
        {"v=/shared/a, w=/shared/ab", {{"v", "/shared/a"}, {"w", "/shared/ab"}}},
        {"v=/sh\xc3\xa4red/.hidden/a=b", {{"v", "/sh\xc3\xa4red/.hidden/a=b"}}},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.value);
        const Result<Annotations> read = read_annotations({{kPathAnnotation, c.value}});
        ASSERT_TRUE(read) << read.error().what;
        EXPECT_EQ(read->paths, c.want);
    }
}

}  // namespace
}  // namespace tokenlet::projector
