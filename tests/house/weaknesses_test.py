# SPDX-License-Identifier: Apache-2.0
"""The documents that promise tests name tests that exist, and every mutant's text is where it should be."""
import pathlib
import re
import unittest

import tree
import weaknesses

NAME = re.compile(r"`((?:[a-z0-9]+\.)?[A-Z]\w+(?:\.\w+)?)`")
# Folders whose Python tests are one to ctest for each class, not for each method.
BY_CLASS = ("cluster", "clients")


def names_of_tests() -> set[str]:
    names = set()
    for path in tree.tracked("tests/*.cpp"):
        names |= {f"{suite}.{name}" for suite, name in re.findall(r"^TEST(?:_[FP])?\(\s*(\w+),\s*(\w+)\)", tree.text(path), re.M)}
    for path in tree.tracked("tests/*_test.py"):
        folder = pathlib.Path(path).parts[1]
        prefix = "" if folder == "house" else folder + "."
        for line in re.findall(r"^(?:class \w+|    def test_\w+)", tree.text(path), re.M):
            if line.startswith("class"):
                suite = prefix + line.removeprefix("class ")
                names |= {suite} if folder in BY_CLASS else set()
            else:
                names.add(suite + "." + line.split("test_", 1)[1])
    return names


def rows(document: str) -> dict[int, list[str]]:
    """The tests that each row of the table names."""
    lines = re.findall(r"^\| (\d+) \| .* \| (.*) \|$", document, re.M)
    return {int(number): NAME.findall(tests) for number, tests in lines}


def plain(test: str) -> str:
    """On/Suite.Name/Disk, as GoogleTest calls it, without its parameter."""
    return re.sub(r"^\w+/(\w+\.\w+)/\w+$", r"\1", test)


class Weaknesses(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.rows = rows(tree.text("docs/kubelet-weaknesses.md"))

    def test_there_are_27_each_with_tests(self):
        self.assertEqual(list(range(1, 28)), list(self.rows))
        self.assertEqual([], [row for row, tests in self.rows.items() if not tests])

    def test_every_test_that_is_named_exists(self):
        exist = names_of_tests()
        for path in ("docs/kubelet-weaknesses.md", "docs/peers.md"):
            for line in tree.text(path).splitlines():
                if line.startswith("| ") and " | " in line:
                    self.assertEqual([], [test for test in NAME.findall(line.rsplit(" | ", 1)[1]) if test not in exist], path)

    def test_a_test_that_does_not_exist_is_noticed(self):
        self.assertEqual({3: ["Due.IsNever", "e2e.Nobody.was_here"]}, rows("| 3 | a | b | `Due.IsNever`, `e2e.Nobody.was_here` |"))
        self.assertNotIn("Due.IsNever", names_of_tests())
        self.assertIn("Due.FollowsTheConfiguredFractionAndAge", names_of_tests())

    def test_each_has_its_fix_taken_out_before_a_test_that_it_names(self):
        self.assertEqual(set(self.rows), {mutant.row for mutant in weaknesses.WEAKNESSES})
        self.assertEqual([], [mutant.name for mutant in weaknesses.WEAKNESSES if plain(mutant.test) not in self.rows[mutant.row]])

    def test_the_text_of_every_mutant_is_found_once(self):
        mutants = weaknesses.WEAKNESSES + weaknesses.mutants.MUTANTS
        self.assertEqual([], [mutant.name for mutant in mutants if weaknesses.mutants.times_found(mutant) != 1])
