# SPDX-License-Identifier: Apache-2.0
"""The systemd files, as systemd's own tools see them."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import tree

# What systemd-analyze security may say at most, in tenths. It counts what a sandbox leaves open.
EXPOSURE_CEILING = 15


def run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "SYSTEMD_LOG_COLOR": "0"})


def units(folder: pathlib.Path) -> list[pathlib.Path]:
    """Copies whose programs are there, so that verify looks at the unit and not at what this machine has installed."""
    copies = []
    for path in tree.tracked("systemd/*"):
        if path.endswith((".service", ".path", ".mount", ".timer", ".socket")):
            copy = folder / pathlib.Path(path).name
            copy.write_text(re.sub(r"^(Exec\w+=[-+!@:]*)\S+", r"\1/bin/true", tree.text(path), flags=re.M))
            copies.append(copy)
    return copies


class Units(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(dir="/tmp")
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)

    def verify(self, *paths: pathlib.Path) -> str:
        done = run("systemd-analyze", "verify", "--man=no", *map(str, paths))
        return f"{done.stdout}{done.stderr}" + (f"exit {done.returncode}" if done.returncode else "")

    def test_systemd_has_nothing_to_say_about_them(self):
        copies = units(self.path)
        self.assertTrue(copies)
        self.assertEqual("", self.verify(*copies))

    def test_an_unknown_key_is_noticed(self):
        bad = self.path / "bad.service"
        bad.write_text("[Service]\nType=exec\nExecStart=/bin/true\nProtectSytem=strict\n")
        self.assertIn("'ProtectSytem'", self.verify(bad))

    def test_the_agent_leaves_little_open(self):
        copies = {copy.name: copy for copy in units(self.path)}
        done = run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_CEILING}",
                   "--no-pager", str(copies["tokenlet.service"]))
        self.assertEqual(0, done.returncode, done.stdout[-400:] + done.stderr)

    def test_every_line_that_opens_something_says_why(self):
        wrong = []
        for path in tree.tracked("systemd/*.service"):
            lines = tree.text(path).splitlines()
            for before, line in zip(lines, lines[1:]):
                opens = re.fullmatch(r"(ReadWritePaths|BindPaths|RestrictAddressFamilies|AmbientCapabilities)=.+|\w+=no|\w+=false", line)
                if opens and not before.startswith("#"):
                    wrong.append(f"{path}: {line}")
        self.assertEqual([], wrong)

    def test_stopping_the_service_removes_no_token(self):
        service = tree.text("systemd/tokenlet.service")
        self.assertNotRegex(service, r"(?m)^RuntimeDirectory=(?![\s\S]*^RuntimeDirectoryPreserve=yes)")
        self.assertNotRegex(service, r"(?m)^Exec(Stop|StopPost)=.*\brm\b")

    def test_sysusers_and_tmpfiles_are_understood(self):
        if os.geteuid() != 0:
            self.skipTest("needs root: both write a root file system's users and owners")
        root = self.path / "root"
        for name in ("etc", "run", "var/lib"):
            (root / name).mkdir(parents=True)
        users = run("systemd-sysusers", f"--root={root}", str(tree.ROOT / "systemd/tokenlet.sysusers.conf"))
        self.assertEqual((0, ""), (users.returncode, re.sub(r"Creating .*\n", "", users.stderr)))
        self.assertIn("tokenlet:", (root / "etc/passwd").read_text())
        files = run("systemd-tmpfiles", "--create", f"--root={root}", str(tree.ROOT / "systemd/tokenlet.tmpfiles.conf"))
        self.assertEqual((0, ""), (files.returncode, files.stderr))
        self.assertEqual(0o40755, (root / "run/tokenlet").stat().st_mode)
