# SPDX-License-Identifier: Apache-2.0
"""./dev run --once, as README promises it."""
import os
import subprocess
import sys
import tempfile
import unittest

import tree


class Demo(unittest.TestCase):
    def test_once_shows_two_rotations_and_leaves_nothing(self):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
            done = subprocess.run([sys.executable, "tools/demo.py", os.environ["TOKENLET"], "--once"], cwd=tree.ROOT,
                                  capture_output=True, text=True, env={**os.environ, "XDG_RUNTIME_DIR": scratch})
            self.assertEqual((0, ""), (done.returncode, done.stderr))
            self.assertEqual(2, done.stdout.count("production/web/kube-api-access       rotated, token good until 2"), done.stdout)
            self.assertIn("subject           system:serviceaccount:production:frontend", done.stdout)
            self.assertIn(" 0 times missing or torn", done.stdout)
            self.assertEqual([], os.listdir(scratch))

    def test_an_agent_that_does_not_come_up_is_one_clear_line(self):
        done = subprocess.run([sys.executable, "tools/demo.py", "/bin/false", "--once"], cwd=tree.ROOT, capture_output=True,
                              text=True)
        self.assertEqual(1, done.returncode)
        self.assertIn("./dev: the agent ended by itself, exit code 1", done.stderr)
