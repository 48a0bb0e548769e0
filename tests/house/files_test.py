# SPDX-License-Identifier: Apache-2.0
"""What every tracked file has, and what none has."""
import re
import unittest

import tree

# /home/vault is a home inside an image, in manifests that real projects publish.
MACHINE_PATH = re.compile(r"(?<![\w.$}/>-])/(?:work|home|root|Users)/(?!vault\b)[\w.-]+")
SPDX = "SPDX-License-Identifier: Apache-2.0"

# Pattern, and what to do instead. Looked for in our C++ with its comments taken out.
BANNED = (
    (re.compile(r"\bthrow\b"), "errors are values: return fail(...)"),
    (re.compile(r"\bstd::regex\b"), "parse by hand"),
    (re.compile(r"\b(?:std::system|popen)\s*\("), "nothing runs through a shell"),
    (re.compile(r"\b(?:sleep_for|sleep_until|usleep|nanosleep|uv_sleep)\b"), "wait for an event"),
    (re.compile(r"\bstd::(?:rand|mktemp|tmpnam)\b"), "chance is a parameter; names come from descriptors"),
)
LEFT_OPEN = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)


def is_binary(path: str) -> bool:
    return b"\0" in (tree.ROOT / path).read_bytes()[:8192]


def is_foreign_bytes(path: str) -> bool:
    """Seeds and test data are what strangers might send, so anything goes."""
    return path.startswith("tests/fuzz/seeds/") or "/data/" in path


def texts() -> list[str]:
    return [path for path in tree.tracked() if not is_foreign_bytes(path) and not is_binary(path)]


def banned(path: str, source: str) -> list[str]:
    code = COMMENT_OR_STRING.sub("", source)
    return [f"{path}: {match.group()}: {instead}" for pattern, instead in BANNED for match in pattern.finditer(code)]


class TrackedFiles(unittest.TestCase):
    maxDiff = None

    def test_none_is_a_binary(self):
        self.assertEqual([], [path for path in tree.tracked() if not is_foreign_bytes(path) and is_binary(path)])

    def test_none_is_larger_than_a_megabyte(self):
        self.assertEqual([], [path for path in tree.tracked() if (tree.ROOT / path).stat().st_size > 1 << 20])

    def test_none_names_a_path_of_somebodys_machine(self):
        found = [f"{path}: {match}" for path in texts() for match in MACHINE_PATH.findall(tree.text(path))]
        self.assertEqual([], found)

    def test_a_path_of_somebodys_machine_is_noticed(self):
        self.assertTrue(MACHINE_PATH.search("cd /" + "home/ada/tokenlet"))
        self.assertFalse(MACHINE_PATH.search("$HOME/root/x, <volume>/root/x, build/work/x, /rooted/x"))

    def test_each_ends_in_one_newline_and_has_no_carriage_return(self):
        wrong = []
        for path in texts():
            content = (tree.ROOT / path).read_bytes()
            if content and (not content.endswith(b"\n") or content.endswith(b"\n\n") or b"\r" in content):
                wrong.append(path)
        self.assertEqual([], wrong)

    def test_each_source_names_its_licence(self):
        sources = [path for path in texts() if path.endswith((".cpp", ".h", ".py", ".sh")) or path in ("dev", ".ci/run")]
        self.assertEqual([], [path for path in sources if SPDX not in "\n".join(tree.text(path).splitlines()[:2])])

    def test_none_is_called_helper_or_util(self):
        self.assertEqual([], [path for path in tree.tracked() if re.search(r"helper|util|misc|common", path)])


class OurSources(unittest.TestCase):
    maxDiff = None

    def test_none_does_what_the_house_does_not(self):
        self.assertEqual([], [line for path in tree.ours(".h", ".cpp") for line in banned(path, tree.text(path))])

    def test_what_the_house_does_not_is_noticed_in_code_only(self):
        self.assertEqual([], banned("a.cpp", '// a library may throw\nauto text = "throw";'))
        self.assertEqual(["a.cpp: throw: errors are values: return fail(...)"], banned("a.cpp", "throw 1;"))

    def test_none_leaves_something_open(self):
        sources = [path for path in texts() if path.endswith((".cpp", ".h", ".py", ".sh", ".txt", ".cmake", ".service"))]
        found = [f"{path}: {match}" for path in sources if path != "tests/house/files_test.py"
                 for match in LEFT_OPEN.findall(tree.text(path))]
        self.assertEqual([], found)

    def test_every_public_header_says_its_threads_and_errors(self):
        wrong = []
        for path in tree.ours(".h"):
            block = tree.text(path).split("#pragma once")[0]
            said = re.search(r"\bThreads\b", block) and re.search(r"\bErrors\b", block)
            if not said and "private to" not in block:
                wrong.append(path)
        self.assertEqual([], wrong)
