# SPDX-License-Identifier: Apache-2.0
"""A kill, or an error, at a system call of a serving agent: it rotates, follows an edit, and lets a Pod go meanwhile."""
import collections
import concurrent.futures
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import start_test
import world as faults

SAMPLE = int(os.environ.get("FAULTS_SAMPLE", "12"))  # of each test; all of them with FAULTS=all
AT_ONCE = 2 * os.cpu_count()  # agents mostly wait


class Serving:
    """One agent under inject, from its start to its end."""

    def __init__(self, world: faults.World, at=None, fate=None):
        self.world = world
        self.log = tempfile.NamedTemporaryFile("r")
        self.said = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(world.command("agent", self.log.name, at, fate), stderr=self.said, umask=0o022)
        line = self.wait(self.first_line, "inject")
        assert line, f"inject: {self.words()}"
        self.pid = int(line.split()[1])

    def first_line(self):
        with open(self.log.name) as log:
            return log.readline()

    def ended(self) -> bool:
        return self.process.poll() is not None

    def wait(self, holds, what: str):
        """The first true value of holds(); None once the agent has ended."""
        end = time.monotonic() + faults.PATIENCE
        while True:
            ended = self.ended()  # first: what it did before its end counts
            if found := holds():
                return found
            if ended:
                return None
            assert time.monotonic() < end, f"never {what}: {self.words()[:3000]} ... {self.words()[-300:]}"
            time.sleep(0.05)

    def words(self) -> str:
        if not self.said.closed:
            # Not by seek() and read(), which would move the place where the agent writes, too.
            said = self.said.fileno()
            self.last_words = os.pread(said, os.fstat(said).st_size, 0).decode(errors="replace")
        return self.last_words

    def descriptors(self) -> collections.Counter:
        """What is open, without the three that it was started with."""
        found = collections.Counter()
        for name in quietly(lambda: os.listdir(f"/proc/{self.pid}/fd")):  # it may end at any time
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/{self.pid}/fd/{name}").removeprefix(str(self.world.base))
                if int(name) > 2:
                    found[re.sub(r"\d+", "N", faults.plain(target))] += 1
        return found

    def stop(self) -> int:
        if not self.ended():
            with contextlib.suppress(ProcessLookupError):  # the agent has, and inject is about to
                os.kill(self.pid, signal.SIGTERM)
        code = self.process.wait(timeout=faults.PATIENCE)
        self.calls = self.world.calls(self.log.read())
        self.log.close()
        self.words()
        self.said.close()
        return code


def is_alone_and_new(world: faults.World) -> bool:
    """The Pod that stays shows the edit, and nothing is left of the one that leaves."""
    sets = list(world.published().values())
    return [files[1:] for files in sets] == [("2", "2")] and len(list(world.base.glob("pods/*-*"))) == 1 \
        and not (world.base / "by-name/shop/db").exists()


def live(world: faults.World, at=None, fate=None) -> Serving:
    """Serves until two rotations, an edit and a leaving are through, however long they take after a fault."""
    serving = Serving(world, at, fate)
    try:
        follow(world, serving)
    except BaseException:
        serving.process.kill()  # and with it, the agent
        serving.stop()
        raise
    return serving


def follow(world: faults.World, serving: Serving):
    published = world.published
    if serving.wait(lambda: len(quietly(published)) == 2, "both Pods are published"):
        world.drop("pair.yaml", faults.config_map("2"))
        (world.manifests / "db.yaml").unlink()
        # A removal that failed is tried again after a minute: then the next agent has to do it.
        serving.wait(lambda: quietly(lambda: is_alone_and_new(world)) or "cannot be removed" in serving.words(),
                     "the edit shows and the Pod is gone")
        for _ in range(2):
            token = quietly(published)
            serving.wait(lambda: quietly(published) not in (token, {}), "a rotation")


def quietly(look):
    """What is read while generations come and go: a name may be gone by the time it is opened."""
    try:
        return look()
    except OSError:
        return {}


class Serves(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        faults.skip_where_nothing_can_be_tried()
        cls.worlds = [faults.World(file_system, user) for file_system in (faults.MEMORY, faults.DISK)
                      for user in (None, faults.NOBODY)]
        for world in cls.worlds:
            world.name = f"serving on {world.base.parent} as {world.user or 'root'}"
            start_test.adopting(world)
            world.configure(max_age="1s", grace="100ms")

    @classmethod
    def tearDownClass(cls):
        for world in getattr(cls, "worlds", []):
            world.remove()

    def test_killed_at_any_call_leave_the_old_or_the_new_set_and_the_next_agent_goes_on(self):
        self.try_all(lambda call: ("kill",))

    def test_of_which_any_call_fails_once_mend_it_themselves_and_leak_nothing(self):
        self.try_all(lambda call: faults.FATES[call.name])

    def try_all(self, fates_of):
        wanted = []
        for world in self.worlds:
            with world.copy() as tried:
                serving = live(tried)
                world.usual = serving.descriptors()
                self.assertEqual(0, serving.stop(), serving.words())
                tried.pods = ("web",)
                tried.configure()
                self.assertEqual((0, 0), (tried.once().code, tried.once().code))
                world.whole = tried.tree()
                wanted += [start_test.Fault(world, call, fate) for call in serving.calls for fate in fates_of(call)]
        if not start_test.ALL:
            wanted = start_test.drawn(wanted, SAMPLE)
        outcomes = collections.Counter()
        failures = []
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for fault, outcome in zip(wanted, pool.map(self.try_one, wanted)):
                outcomes[outcome.split(":")[0]] += 1
                if ":" in outcome:
                    failures.append(f"{fault.setting.name}, {fault.call}, {fault.fate}: {outcome}")
        print(f"{len(wanted)} faults: {dict(outcomes)}", file=sys.stderr)
        self.assertEqual([], failures, "\n" + "\n".join(failures))

    def try_one(self, fault) -> str:
        world, call, fate = fault
        try:
            with world.copy() as tried:
                before = faults.Before(tried)
                serving = live(tried, call.number, fate)
                try:
                    leak = None if serving.ended() else self.leak(serving, world.usual)
                finally:
                    code = serving.stop()
                if len(serving.calls) <= call.number or not faults.is_plausible(fate, serving.calls[call.number]):
                    return "not reached"
                assert not leak, f"descriptors: {leak}"
                if serving.calls[call.number].name == "pipe2" and code == 128 + signal.SIGABRT:
                    return "ended by libuv, for want of its first pipe"
                assert code in ((0, 1, 3) if fate != "kill" else (128 + 9,)), f"ended with {code}: {serving.words()[-1000:]}"
                hit = serving.calls[call.number]
                if code in (1, 3):
                    assert faults.is_named(hit, serving.words(), tried.base), f"{hit} is not named: {serving.words()[-500:]}"
                self.check(tried, before, world.whole)
                named = "ended with an error that names the call"
                return {0: "mended by itself", 1: named, 3: named}.get(code, "killed")
        except (AssertionError, OSError, ValueError, subprocess.TimeoutExpired) as error:
            return f"failed: {error}"

    def leak(self, serving: Serving, usual: collections.Counter) -> collections.Counter:
        """Descriptors beyond those of an agent without faults, that stay."""
        end = time.monotonic() + faults.PATIENCE
        while (found := serving.descriptors() - usual) and time.monotonic() < end:
            time.sleep(0.02)
        return found

    def check(self, tried: faults.World, before: faults.Before, whole: list):
        """With another agent, which lets go whoever should be gone, and then as after every start."""
        stays = next(volume for volume, (token, _, _) in before.sets.items()
                     if faults.daemon.claims_of(token)["kubernetes.io"]["pod"]["name"] == "web")
        found = tried.published()
        tried.drop("pair.yaml", faults.config_map("2"))
        (tried.manifests / "db.yaml").unlink(missing_ok=True)
        tried.configure()
        again = Serving(tried)
        try:
            again.wait(lambda: "agent ready" in again.words(), "the next agent is ready")
            again.wait(lambda: quietly(lambda: is_alone_and_new(tried)), "the next agent lets the Pod go")
        finally:
            code = again.stop()
        assert code == 0, f"the next agent ends with {code}: {again.words()}"
        assert tried.base / stays in found, "the volume of the Pod that stays was gone"
        tried.pods = ("web",)
        faults.check_mended(tried, {tried.base / stays: found[tried.base / stays]}, tried.adoptable(), whole, before)
