# SPDX-License-Identifier: Apache-2.0
"""./dev, as a newcomer meets it."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import tree


def dev(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run([str(tree.ROOT / "dev"), *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env={**os.environ, **environment})


class Dev(unittest.TestCase):
    maxDiff = None

    def test_alone_it_lists_every_verb(self):
        done = dev()
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        verbs = re.findall(r"^verb_(\w+)\(\)", tree.text("dev"), re.M)
        self.assertIn("test", verbs)
        self.assertEqual([], [verb for verb in verbs if not re.search(rf"^  {verb}\b", done.stdout, re.M)])

    def test_a_wrong_verb_gets_one_line(self):
        done = dev("tset")
        self.assertEqual((1, "", "./dev: no verb 'tset'; ./dev alone lists them\n"), (done.returncode, done.stdout, done.stderr))

    def test_ci_runs_what_people_run(self):
        commands = [line for line in tree.text(".ci/run").splitlines() if line and not line.startswith("#")]
        self.assertEqual(['exec "$(dirname "$0")/../dev" test'], commands)

    def test_without_root_or_sudo_it_says_what_to_install(self):
        """As an ordinary user on a machine that has none of the packages: a dpkg-query that knows nothing, and no sudo."""
        with tempfile.TemporaryDirectory() as folder:
            programs = pathlib.Path(folder)
            programs.chmod(0o755)
            (programs / "dpkg-query").write_text("#!/bin/sh\nexit 1\n")
            (programs / "dpkg-query").chmod(0o755)
            for name in ("comm", "echo", "sed", "sort", "xargs"):
                (programs / name).symlink_to(pathlib.Path("/usr/bin") / name)
            script = ". tools/say.sh; . tools/install.sh; install_packages run"
            # The scripts come from a copy that anybody may read: the clone may lie in somebody's home.
            (programs / "tools").mkdir(mode=0o755)
            for name in ("say.sh", "install.sh", "packages"):
                (programs / "tools" / name).write_text(tree.text(f"tools/{name}"))
                (programs / "tools" / name).chmod(0o644)
            nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
            done = subprocess.run(["/bin/bash", "-c", script], cwd=programs, env={"PATH": folder}, capture_output=True,
                                  text=True, **nobody)
        self.assertEqual(1, done.returncode, done.stdout + done.stderr)
        self.assertRegex(done.stderr, r"^\./dev: packages are missing and there is no sudo here; as root: "
                                      r"apt-get install --no-install-recommends cmake g\+\+ [^\n]*\n$")
