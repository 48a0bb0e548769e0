# SPDX-License-Identifier: Apache-2.0
"""A kill, or an error, at every single system call on files of a start: the first, one that adopts, one that rotates."""
import collections
import concurrent.futures
import hashlib
import os
import signal
import subprocess
import sys
import unittest

import world as faults

ALL = os.environ.get("FAULTS") == "all"
SEED = int(os.environ.get("FAULTS_SEED", "1"))
SAMPLE = int(os.environ.get("FAULTS_SAMPLE", "60"))  # of each test; all of them with FAULTS=all

MAX_AGE = 120  # seconds: no machine is so slow that tokens are due again within one start

Fault = collections.namedtuple("Fault", "setting call fate")


def drawn(wanted: list, size: int) -> list:
    """The same faults in every run of a seed, although threads give another run's calls other numbers."""
    times = collections.Counter()

    def lot(fault: Fault) -> bytes:
        kind = (fault.setting.name, fault.call.kind(), fault.fate)
        times[kind] += 1
        return hashlib.sha256(repr((SEED, kind, times[kind])).encode()).digest()

    return sorted(wanted, key=lot)[:size]


def first(base: faults.World):
    """Nothing is there yet."""


def adopting(base: faults.World):
    base.once()


def rotating(base: faults.World):
    """Every token is due, and the config map has changed, too."""
    base.once()
    base.age(MAX_AGE)
    base.configure(max_age=f"{MAX_AGE}s")
    base.drop("pair.yaml", faults.config_map("2"))


class Setting:
    """One kind of start on one file system as one user."""

    def __init__(self, prepare, file_system: str, user):
        self.name = f"{prepare.__name__} on {file_system} as {'root' if user is None else user}"
        self.world = faults.World(file_system, user)
        prepare(self.world)

    def try_without_fault(self):
        self.before = faults.Before(self.world)
        with self.world.copy() as tried:
            done = tried.once()
            assert done.code == 0, done.said
            self.calls = done.calls
            tried.configure()
            assert tried.once().code == 0 and tried.once().code == 0
            self.whole = tried.tree()


class Starts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        faults.skip_where_nothing_can_be_tried()
        cls.settings = [Setting(prepare, file_system, user) for prepare in (first, adopting, rotating)
                        for file_system in (faults.MEMORY, faults.DISK) for user in (None, faults.NOBODY)]
        for setting in cls.settings:
            setting.try_without_fault()

    @classmethod
    def tearDownClass(cls):
        for setting in getattr(cls, "settings", []):
            setting.world.remove()

    def test_killed_at_any_call_leave_the_old_or_the_new_set_and_the_next_start_mends_the_rest(self):
        self.try_all(lambda call: ("kill",), self.after_a_kill)

    def test_of_which_any_call_fails_say_what_failed_and_the_next_start_mends_the_rest(self):
        self.try_all(lambda call: faults.FATES[call.name], self.after_an_error)

    def try_all(self, fates_of, check):
        wanted = [Fault(setting, call, fate) for setting in self.settings for call in setting.calls
                  for fate in fates_of(call)]
        if not ALL:
            wanted = drawn(wanted, SAMPLE)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            outcomes = collections.Counter()
            failures = []
            for fault, outcome in zip(wanted, pool.map(lambda fault: self.try_one(fault, check), wanted)):
                outcomes[outcome.split(":")[0]] += 1
                if ":" in outcome:
                    failures.append(f"{fault.setting.name}, {fault.call}, {fault.fate}: {outcome}")
        print(f"{len(wanted)} faults: {dict(outcomes)}", file=sys.stderr)
        self.assertEqual([], failures, "\n" + "\n".join(failures))

    def try_one(self, fault: Fault, check) -> str:
        try:
            with fault.setting.world.copy() as tried:
                done = tried.once(fault.call.number, fault.fate)
                if len(done.calls) <= fault.call.number or \
                        not faults.is_plausible(fault.fate, done.calls[fault.call.number]):
                    return "not reached"
                outcome = check(fault, done.calls[fault.call.number], done, tried)
                fault.setting.before.check_readers(tried)
                faulty, adoptable = tried.published(), tried.adoptable()
                if fault.setting.name.startswith("rotating"):
                    tried.configure()
                faults.check_mended(tried, faulty, adoptable, fault.setting.whole, fault.setting.before)
                return outcome
        except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
            return f"failed: {error}"

    def after_a_kill(self, fault, call, done, tried) -> str:
        assert done.code == 128 + 9, f"it was to be killed, and ended with {done.code}: {done.said}"
        return "killed"

    def after_an_error(self, fault, call, done, tried) -> str:
        if call.name == "pipe2" and done.code == 128 + signal.SIGABRT:
            return "ended by libuv, for want of its first pipe"
        assert done.code in (0, 1, 3), f"it ended with {done.code}: {done.said}"
        named = faults.is_named(call, done.said, tried.base)
        if done.code == 0:
            assert len(tried.published()) == len(faults.PODS), "success, but not everything is published"
            return "success and told" if named else "success"
        assert named, f"{call.kind()} is not named: {done.said.splitlines()[-1]}"
        return "error that names the call"
