// SPDX-License-Identifier: Apache-2.0
#include "agent/shell/file_mounts.h"

#include <gtest/gtest.h>

namespace tokenlet::agent {
namespace {

constexpr char kGeneration[] = "..2026_11_24_17_03_11.1234567890";

TEST(ParseMount, ReadsWhatTheKernelWrites) {
    struct Case {
        std::string_view line;
        std::string_view device, root, point;
    };
    const Case cases[] = {
        {"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue", "98:0", "/mnt1", "/mnt2"},
        {"1 0 0:22 / / rw - tmpfs tmpfs rw", "0:22", "/", "/"},
        {"7 1 0:22 /a\\040b/c\\134d /x\\012y rw shared:1 master:2 - tmpfs none rw", "0:22", "/a b/c\\d", "/x\ny"},
        {"7 1 0:22 /a\\9 /b\\0 rw - tmpfs none rw", "0:22", "/a\\9", "/b\\0"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.line);
        const std::optional<Mount> mount = parse_mount(c.line);
        ASSERT_TRUE(mount);
        EXPECT_EQ(mount->device, c.device);
        EXPECT_EQ(mount->root, c.root);
        EXPECT_EQ(mount->point, c.point);
    }
    EXPECT_EQ(parse_mount(cases[0].line)->id, 36U);
}

TEST(ParseMount, TakesNothingElse) {
    for (const std::string_view line : {"", " ", "36", "36 35", "36 35 98:0", "36 35 98:0 /a", "x 35 98:0 /a /b rw",
                                        "36 35 98 /a /b rw", "36 35 98:0 a /b rw", "36 35 98:0 /a b rw"}) {
        SCOPED_TRACE(line);
        EXPECT_FALSE(parse_mount(line));
    }
}

TEST(FileMountIn, IsWhatShowsOneGenerationOfAVolume) {
    const VolumesPlace root{.device = "0:22", .root = "/pods", .prefix = ""};
    const VolumesPlace whole{.device = "0:22", .root = "/", .prefix = ""};
    const VolumesPlace direct{.device = "0:22", .root = "/shared", .prefix = "/srv/shared/"};
    const std::string volume = "u/volumes/kubernetes.io~projected/data";
    const std::string generation = kGeneration;
    struct Case {
        std::string_view name;
        VolumesPlace place;
        std::string root;
        std::optional<FileMount> want;
        std::string device = "0:22";
    };
    const Case cases[] = {
        {"a file", root, "/pods/" + volume + "/" + generation + "/token", FileMount{volume, "token", "/p"}},
        {"a file below", root, "/pods/" + volume + "/" + generation + "/a/b", FileMount{volume, "a/b", "/p"}},
        {"of a generation that is gone", root, "/pods/" + volume + "/" + generation + "/token//deleted",
         FileMount{volume, "token", "/p"}},
        {"a generation", root, "/pods/" + volume + "/" + generation, FileMount{volume, "", "/p"}},
        {"where the place is a file system", whole, "/" + volume + "/" + generation + "/token",
         FileMount{volume, "token", "/p"}},
        {"in a directory of its own", direct, "/shared/web/sa/" + generation + "/token",
         FileMount{"/srv/shared/web/sa", "token", "/p"}},
        {"in just that directory", direct, "/shared/" + generation + "/token", FileMount{"/srv/shared", "token", "/p"}},
        {"the volume's directory, as it should be", root, "/pods/" + volume, {}},
        {"all volumes", root, "/pods", {}},
        {"the file system", root, "/", {}},
        {"a name that only starts alike", root, "/pods2/" + volume + "/" + generation + "/token", {}},
        {"a kubelet's", root, "/kubelet/" + volume + "/" + generation + "/token", {}},
        {"another file system's", root, "/pods/" + volume + "/" + generation + "/token", {}, "0:23"},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_TRUE(file_mount_in(c.place, {.id = 1, .device = c.device, .root = c.root, .point = "/p"}) == c.want);
    }
}

}  // namespace
}  // namespace tokenlet::agent
