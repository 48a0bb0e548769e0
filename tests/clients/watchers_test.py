# SPDX-License-Identifier: Apache-2.0
"""Whoever watches a volume by one of the usual habits sees every rotation: with inotify itself, and with the libraries of Go,
Node and Python. What each has to do for it stands in docs/readers.md."""
import hashlib
import os
import pathlib
import statistics
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE.parent / "e2e"))
import daemon

BUILT = pathlib.Path(os.environ.get("CLIENTS", HERE.parents[1] / "build/clients"))
COMMANDS = {
    "go-watcher": (f"{BUILT}/go-watcher/client",),
    "js-watcher": ("node", f"{BUILT}/js-watcher/watcher.mjs"),
    "py-watcher": (f"{BUILT}/py-watcher/bin/python", "-B", f"{HERE}/py-watcher/watcher.py"),
    "inotify": (sys.executable, "-B", f"{HERE}/inotify_watcher.py"),
}
HABITS = {"go-watcher": ("directory", "file"), "js-watcher": ("directory", "file"), "py-watcher": ("directory",),
          "inotify": ("directory", "file", "data", "link")}
ROTATIONS = 25


class Watcher:
    def __init__(self, command: str, habit: str, volume: pathlib.Path, output: pathlib.Path):
        self.name = f"{command}, {habit}"
        self.output = output
        with open(output, "wb") as out:
            self.process = subprocess.Popen([*COMMANDS[command], habit, str(volume)], stdout=out, stderr=out)

    def read_at(self, token: str):
        """When it had read that token; None: it has not yet."""
        said = self.output.read_text()
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended:\n{said[-2000:]}")
        wanted = hashlib.sha256(token.encode()).hexdigest()
        return next((float(line.split()[0]) for line in said.splitlines(keepends=True) if line.endswith(f" {wanted}\n")), None)


class Watchers(unittest.TestCase):
    def test_of_every_habit_see_every_rotation(self):
        # A generation's removal wakes those who watch the file: after a second instead of ten.
        agent = self.enterContext(daemon.Daemon(grace="1s"))
        agent.drop("web.yaml", daemon.pod("web"))
        agent.start_and_settle()
        watchers = []
        for command, habits in HABITS.items():
            if command != "inotify" and not (BUILT / command / "sources").exists():
                print(f"SKIPPED: tests/clients/{command}: it is not in {BUILT}; tests/clients/build.sh says why", file=sys.stderr)
                continue
            for habit in habits:
                watchers.append(Watcher(command, habit, agent.volume("web"), agent.base / f"{command}-{habit}"))
                self.addCleanup(watchers[-1].process.wait)
                self.addCleanup(watchers[-1].process.kill)

        def wait_for_all(token: str) -> list:
            for watcher in watchers:
                daemon.wait_until(lambda: watcher.read_at(token), f"{watcher.name}: the token to be read")
            return [watcher.read_at(token) for watcher in watchers]

        token = agent.token("web")
        wait_for_all(token)
        delays = []
        for _ in range(ROTATIONS):
            before = token
            self.assertEqual(200, agent.ask("/v1/rotate?pod=shop/web", "POST")[0])
            token = daemon.wait_until(lambda: agent.token("web") != before and agent.token("web"), "a rotation")
            swapped = os.lstat(agent.volume("web") / "..data").st_ctime
            delays.append([at - swapped for at in wait_for_all(token)])
        for watcher, late in zip(watchers, zip(*delays)):
            print(f"{watcher.name}: {len(late)} rotations, the new token read after {1000 * statistics.median(late):.0f} ms, "
                  f"{1000 * max(late):.0f} ms at most", file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
