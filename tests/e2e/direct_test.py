# SPDX-License-Identifier: Apache-2.0
"""Volumes in directories that others mount: tokenlet.dev/path within volumes.direct."""
import os
import pathlib
import unittest

import daemon
from readers_test import Reader, config_map

ROTATIONS = 30


class Direct(unittest.TestCase):
    def setUp(self):
        self.agent = daemon.Daemon()
        self.addCleanup(self.agent.__exit__)
        self.shared = self.agent.base / "shared"
        self.shared.mkdir()

    def configure(self, **settings):
        self.agent.configure(direct=self.shared, **settings)

    def pod(self, name: str, path: pathlib.Path, **more) -> str:
        text = daemon.pod(name, **more)
        return text.replace("  namespace: shop", f'  namespace: shop\n  annotations: {{tokenlet.dev/path: "data={path}"}}')

    def message(self, name: str) -> str:
        shown = self.agent.pod_status(name)
        return shown["message"] if shown else ""

    def test_readers_see_whole_and_valid_files_through_rotations_and_kills(self):
        self.configure(max_age="300ms")
        self.agent.drop("pair.yaml", config_map(0))
        directory = self.shared / "web" / "sa"
        self.agent.drop("web.yaml", self.pod("web", directory, config="pair"))
        self.agent.start_and_settle()
        reader = Reader("together", directory)
        self.addCleanup(reader.process.kill)
        tokens = set()

        def rotate(upto: int):
            daemon.wait_until(lambda: tokens.add((directory / "token").read_text()) or len(tokens) >= upto, f"{upto} tokens")

        rotate(ROTATIONS)
        self.agent.kill()
        self.agent.start_and_settle()
        rotate(2 * ROTATIONS)
        self.agent.stop()
        self.agent.start_and_settle()
        rotate(2 * ROTATIONS + 5)
        said = reader.finish()
        self.assertEqual([], said["wrong"])
        self.assertGreaterEqual(said["reads"], 2 * ROTATIONS)
        volume = self.agent.pod_status("web")["volumes"][0]
        self.assertEqual((str(directory), True), (volume["path"], volume["ready"]))
        self.assertEqual(directory.resolve(), self.agent.volume("web").resolve(), "the stable name leads there")

    def test_what_is_left_of_a_pod_that_went_while_nothing_ran_is_cleaned_up_and_nothing_else(self):
        self.configure()
        directory = self.shared / "sa"
        directory.mkdir(mode=0o750)
        (directory / "notes").write_text("mine")
        self.agent.drop("web.yaml", self.pod("web", directory))
        self.agent.start_and_settle()
        self.assertIn("..data", os.listdir(directory))
        inode = directory.stat().st_ino
        self.agent.kill()
        (self.agent.manifests / "web.yaml").unlink()
        self.agent.start_and_settle()
        daemon.wait_until(lambda: os.listdir(directory) == ["notes"], "the volume to go")
        self.assertEqual((inode, 0o40750), (directory.stat().st_ino, directory.stat().st_mode), "others have it mounted")
        daemon.wait_until(lambda: not list(self.agent.base.glob("pods/*/records/*")), "its record to go")

    def test_a_directory_is_one_pods_and_within_what_is_allowed(self):
        self.configure()
        self.agent.drop("web.yaml", self.pod("web", self.shared / "sa"))
        self.agent.start_and_settle()
        token = (self.shared / "sa" / "token").read_text()
        outside = self.agent.base / "outside"
        outside.mkdir()
        (self.shared / "link").symlink_to(outside)
        self.agent.drop("db.yaml", self.pod("db", self.shared / "sa"))
        self.agent.drop("out.yaml", self.pod("out", outside))
        self.agent.drop("link.yaml", self.pod("link", self.shared / "link" / "sa"))
        said = {"db": f"'{self.shared}/sa' is taken: volume data of Pod shop/web is published in {self.shared}/sa",
                "out": f"'{outside}' lies in none of the directories that the agent's configuration allows in volumes.direct",
                "link": "Too many levels of symbolic links"}
        for name, why in said.items():
            daemon.wait_until(lambda: why in self.message(name), why)
        self.assertEqual([], os.listdir(outside))
        self.assertEqual(token, (self.shared / "sa" / "token").read_text())
        (self.agent.manifests / "web.yaml").unlink()
        daemon.wait_until(lambda: self.agent.is_ready("db"), "the second to have what the first has left")
