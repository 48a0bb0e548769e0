# SPDX-License-Identifier: Apache-2.0
"""Somebody breaks a published volume under the running agent: it is mended at once, and nothing else is touched."""
import os
import pathlib
import shutil
import sys
import threading
import time
import unittest

import daemon
from daemon import pod, wait_until

RESYNC = 300  # seconds: long before the audit, which comes every ten minutes


def generation(volume: pathlib.Path) -> pathlib.Path:
    return volume / os.readlink(volume / "..data")


def plant_link(at: pathlib.Path, target: pathlib.Path):
    beside = at.with_name("planted")
    beside.symlink_to(target)
    beside.rename(at)


def plant_fifo(at: pathlib.Path):
    at.unlink()
    os.mkfifo(at)


def plant_directory(at: pathlib.Path, target: pathlib.Path):
    at.rename(at.with_name("..moved"))
    at.symlink_to(target)


class Damage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.agent = daemon.Daemon()
        cls.addClassCleanup(cls.agent.__exit__)
        cls.outside = cls.agent.base / "outside"
        cls.outside.mkdir()
        (cls.outside / "token").write_text("not a token")
        for name in ("victim", "other"):
            cls.agent.drop(name + ".yaml", pod(name))
        cls.agent.start_and_settle()
        cls.token = cls.agent.token("victim")

    def whole(self) -> bool:
        volume = self.agent.volume("victim")
        try:
            return os.readlink(volume / "token") == "..data/token" and not (volume / "token").is_fifo() \
                and self.agent.token("victim") == self.token and self.mode(volume / "token") == 0o644 \
                and self.mode(volume.resolve()) == 0o755 and len(os.listdir(generation(volume))) == 1
        except OSError:
            return False

    def take_away(self, directory: pathlib.Path):
        """At once: while a tree is removed file by file, some of it would be made again."""
        gone = self.agent.base / "gone"
        directory.rename(gone)
        shutil.rmtree(gone)

    @staticmethod
    def mode(path: pathlib.Path) -> int:
        return path.stat().st_mode & 0o7777

    @staticmethod
    def trace(directory: pathlib.Path) -> list:
        """What would show that something was done to what is there; reading is nothing."""
        found = [directory, *sorted(directory.rglob("*"))]
        return [(str(path), status.st_ino, status.st_mode, status.st_uid, status.st_mtime_ns, status.st_ctime_ns)
                for path in found for status in [path.lstat()]]

    def test_is_mended_at_once_and_reaches_nothing_outside(self):
        volume = self.agent.volume("victim").resolve()
        secret = self.outside / "token"
        cases = (
            ("the token is written to", lambda: (volume / "token").write_text("forged")),
            ("the token is open for all", lambda: (volume / "token").chmod(0o666)),
            ("its name is gone", lambda: (volume / "token").unlink()),
            ("its name leads out", lambda: plant_link(volume / "token", secret)),
            ("its name is a FIFO", lambda: plant_fifo(volume / "token")),
            ("the file is a link that leads out", lambda: plant_link(generation(volume) / "token", secret)),
            ("the file is a FIFO", lambda: plant_fifo(generation(volume) / "token")),
            ("a file more", lambda: (generation(volume) / "more").write_text("x")),
            ("..data is gone", lambda: (volume / "..data").unlink()),
            ("..data leads out", lambda: plant_link(volume / "..data", self.outside)),
            ("the generation is gone", lambda: shutil.rmtree(generation(volume))),
            ("the generation is a link that leads out", lambda: plant_directory(generation(volume), self.outside)),
            ("the volume may not be entered", lambda: volume.chmod(0o700)),
            ("the volume is gone", lambda: self.take_away(volume)),
            ("the Pod's directory is gone", lambda: self.take_away(volume.parents[1])),
        )
        before = self.trace(self.outside)
        other = self.trace(self.agent.volume("other").resolve())
        repairs = 0
        for name, break_it in cases:
            with self.subTest(name):
                self.assertTrue(self.whole())
                break_it()
                wait_until(self.whole, f"the volume to be whole again, after {name}", patience=RESYNC)
                wait_until(lambda: self.agent.status()["counters"]["repairs"] > repairs, "the repair to be counted")
                repairs = self.agent.status()["counters"]["repairs"]
                self.assertEqual(before, self.trace(self.outside))
                self.assertEqual(other, self.trace(self.agent.volume("other").resolve()))
        self.assertIn("volume was damaged, it has been repaired", self.agent.log())
        self.assertEqual(2, self.agent.status()["counters"]["tokenRequests"])

    def test_without_end_holds_up_nobody(self):
        volume = self.agent.volume("victim").resolve()
        over = threading.Event()

        def break_without_end():
            while not over.is_set():
                try:
                    (generation(volume) / "token").chmod(0o600)
                    (volume / "token").unlink()
                except OSError:
                    pass

        breaker = threading.Thread(target=break_without_end)
        breaker.start()
        try:
            for _ in range(5):
                before = self.agent.token("other")
                self.assertEqual(200, self.agent.ask("/v1/rotate?pod=shop/other", "POST")[0])
                wait_until(lambda: self.agent.token("other") != before, "a rotation beside it")
            ticks, began = self.agent.cpu_ticks(), time.monotonic()
            time.sleep(3)
            used = (self.agent.cpu_ticks() - ticks) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began)
            print(f"looking after it takes {used:.3f} processors", file=sys.stderr)
            self.assertLess(used, 0.5, "processors that looking after it takes")
        finally:
            over.set()
            breaker.join()
        wait_until(self.whole, "the volume to be whole again", patience=RESYNC)


if __name__ == "__main__":
    unittest.main()
