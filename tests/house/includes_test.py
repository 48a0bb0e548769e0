# SPDX-License-Identifier: Apache-2.0
"""Who may include whom, and who may link whom."""
import re
import unittest

import tree

# Beyond its own files and base/. A folder name stands for all of it, a path for that one header.
MAY_INCLUDE = {
    "base": set(),
    "kube": set(),
    "fsatomic": set(),
    "projector": {"kube", "fsatomic/payload.h"},
    "rotation": set(),
    "http": set(),
    "authority": {"kube", "http"},
    "agent": {"authority", "projector", "rotation", "kube", "fsatomic", "http"},
    # On top of all but publishing: what a verb tells a person it asks of the folder that knows.
    "cli": {"agent", "authority", "http", "kube", "projector", "rotation"},
}

# Each costs seconds in every file that sees it; one .cpp includes it, and a value comes out.
HEAVY = re.compile(r"(nlohmann|yaml-cpp|spdlog|fmt|curl|openssl|event2|CLI|prometheus|systemd)/|(uv|sqlite3|CLI11)\.h(pp)?$")

# What the core must not even see, however indirectly. sys/types.h only names types, cstdio is there for snprintf.
IO = re.compile(
    HEAVY.pattern + r"|^(unistd|fcntl|poll|signal|dirent|syslog|pthread|time)\.h$|^sys/(?!types\.h$)|^linux/|^netinet/"
    r"|^(fstream|filesystem|iostream|thread|mutex|random|ctime)$"
)

QUOTED = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
ANGLED = re.compile(r"^\s*#\s*include\s+<([^>]+)>", re.M)


def may_include(path: str, header: str) -> bool:
    folder, target = path.split("/")[0], header.split("/")[0]
    return target in (folder, "base") or target in MAY_INCLUDE[folder] or header in MAY_INCLUDE[folder]


def against_direction(path: str, source: str) -> list[str]:
    return [f"{path} includes {header}" for header in QUOTED.findall(source) if not may_include(path, header)]


def io_seen_from(path: str, read) -> list[str]:
    """The chains of our includes that lead from path to a header of IO."""
    found, seen, todo = [], set(), [(path, path)]
    while todo:
        at, chain = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        source = read(at)
        found += [f"{chain} -> <{header}>" for header in ANGLED.findall(source) if IO.search(header)]
        todo += [(header, f"{chain} -> {header}") for header in QUOTED.findall(source)]
    return found


def links(cmake: str) -> set[str]:
    """The folders whose targets a CMakeLists.txt links."""
    calls = re.findall(r"target_link_libraries\(\s*\S+([^)]*)\)", cmake)
    return {name.split("_")[0] for call in calls for name in re.findall(r"\btokenlet_(\w+)", call)}


def source_of(path: str) -> str:
    """Empty for a header that is not there: that is another test's finding."""
    return tree.text(path) if (tree.ROOT / path).is_file() else ""


def folder_links() -> dict[str, set[str]]:
    found = {folder: set() for folder in tree.FOLDERS}
    for path in tree.tracked(*tree.FOLDERS):
        if path.endswith("CMakeLists.txt"):
            found[path.split("/")[0]] |= links(tree.text(path))
    return found


class IncludeDirection(unittest.TestCase):
    maxDiff = None

    def test_no_folder_includes_against_it(self):
        self.assertEqual([], [line for path in tree.ours(".h", ".cpp") for line in against_direction(path, tree.text(path))])

    def test_an_include_against_it_is_noticed(self):
        self.assertEqual([], against_direction("projector/plan.h", '#include "fsatomic/payload.h"\n#include "base/result.h"'))
        self.assertEqual(
            ["projector/plan.h includes fsatomic/publish.h"],
            against_direction("projector/plan.h", '#include "fsatomic/publish.h"'),
        )

    def test_every_include_of_ours_is_a_full_path_from_the_root(self):
        self.assertEqual(
            [],
            [
                f"{path} includes {header}"
                for path in tree.ours(".h", ".cpp")
                for header in QUOTED.findall(tree.text(path))
                if not (tree.ROOT / header).is_file()
            ],
        )

    def test_no_folder_links_against_it(self):
        wrong = [
            f"{folder} links {target}"
            for folder, targets in folder_links().items()
            for target in sorted(targets - {folder, "base"})
            if not any(allowed.split("/")[0] == target for allowed in MAY_INCLUDE[folder])
        ]
        self.assertEqual([], wrong)

    def test_a_folder_links_what_it_includes(self):
        linked = folder_links()
        wrong = set()
        for path in tree.ours(".h", ".cpp"):
            folder = path.split("/")[0]
            reached, todo = set(), [folder]
            while todo:
                at = todo.pop()
                if at not in reached:
                    reached.add(at)
                    todo += linked.get(at, ())
            for header in QUOTED.findall(tree.text(path)):
                if header.split("/")[0] not in reached and header not in MAY_INCLUDE[folder]:
                    wrong.add(f"{folder} includes {header} but does not link tokenlet_{header.split('/')[0]}")
        self.assertEqual([], sorted(wrong))

    def test_heavy_headers_stay_out_of_our_headers(self):
        wrong = [
            f"{path} includes <{header}>"
            for path in tree.ours(".h")
            for header in ANGLED.findall(tree.text(path))
            if HEAVY.search(header)
        ]
        self.assertEqual([], wrong)


class CoreWithoutIo(unittest.TestCase):
    maxDiff = None

    def test_the_core_sees_no_io_header_however_indirectly(self):
        core = [path for path in tree.ours(".h", ".cpp") if path.startswith("agent/core/")]
        self.assertEqual([], [line for path in core for line in io_seen_from(path, source_of)])

    def test_an_indirect_io_header_is_noticed(self):
        files = {
            "agent/core/a.cpp": '#include "agent/core/a.h"',
            "agent/core/a.h": '#include "base/unique_fd.h"\n#include <sys/types.h>',
            "base/unique_fd.h": "#include <unistd.h>",
        }
        self.assertEqual(
            ["agent/core/a.cpp -> agent/core/a.h -> base/unique_fd.h -> <unistd.h>"],
            io_seen_from("agent/core/a.cpp", files.__getitem__),
        )
