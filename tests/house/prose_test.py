# SPDX-License-Identifier: Apache-2.0
"""What README and docs say about the tree is so."""
import re
import unittest

import tree

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.M | re.S)


def anchors(markdown: str) -> set[str]:
    """The anchors GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", markdown), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: str, markdown: str) -> list[str]:
    wrong = []
    for link in LINK.findall(FENCE.sub("", markdown)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = ((tree.ROOT / path).parent / name).resolve() if name else tree.ROOT / path
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            wrong.append(f"{path}: {link}")
    return wrong


class Prose(unittest.TestCase):
    maxDiff = None

    def test_every_link_leads_somewhere(self):
        self.assertEqual([], [line for path in tree.tracked("*.md") for line in broken_links(path, tree.text(path))])

    def test_a_link_that_leads_nowhere_is_noticed(self):
        self.assertEqual(["README.md: nowhere.md"], broken_links("README.md", "see [it](nowhere.md)"))
        self.assertEqual(["README.md: #nowhere"], broken_links("README.md", "see [it](#nowhere)"))

    def test_the_readme_names_every_package_that_run_needs(self):
        readme = tree.text("README.md")
        packages = re.findall(r"^run (\S+)$", tree.text("tools/packages"), re.M)
        self.assertEqual([], [package for package in packages if f"`{package}`" not in readme])

    def test_the_compatibility_page_names_the_libraries_that_are_tested(self):
        versions = {"client-go": ("go/go.mod", r"client-go v(\S+)"), "@kubernetes/client-node": ("js/package.json", r'client-node": "([^"]+)'),
                    "io.kubernetes:client-java": ("java/pom.xml", r"client-java</artifactId>\s*<version>([^<]+)"),
                    "kubernetes (Python)": ("py/requirements.txt", r"(?m)^kubernetes==(\S+)")}
        page = tree.text("docs/compatibility.md")
        for library, (path, version) in versions.items():
            self.assertIn(f"| {library} {re.search(version, tree.text(f'tests/clients/{path}'))[1]} |", page)

    def test_hacking_names_every_folder(self):
        hacking = tree.text("HACKING.md")
        self.assertEqual([], [folder for folder in tree.FOLDERS if f"`{folder}/`" not in hacking])

    def test_readme_is_two_screens_and_hacking_one_page(self):
        self.assertLessEqual(len(tree.text("README.md").splitlines()), 130)
        self.assertLessEqual(len(tree.text("HACKING.md").splitlines()), 90)
