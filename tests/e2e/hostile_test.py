# SPDX-License-Identifier: Apache-2.0
"""A reader that may write to its volume does its worst, without pause, as root and as the agent's own user.

Meanwhile the other volumes keep rotating, nothing outside is touched, and the agent lives. Where the volume cannot be mended
the status says why; once the reader has stopped, the volume is well again.
"""
import contextlib
import ctypes
import multiprocessing
import os
import pathlib
import resource
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
import unittest

import daemon
from daemon import pod, wait_until

CLONE_NEWNS = 0x20000
AGENT, READER = 61011, 61012
HEAL = 600.0  # seconds; the longest pause before a volume is tried again is one minute
OTHERS = ("one", "two")

# Mounts of this process and its children alone.
CAN_MOUNT = os.geteuid() == 0 and ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0 \
    and subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True).returncode == 0


def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)


def generation(volume: pathlib.Path) -> pathlib.Path:
    return volume / os.readlink(volume / "..data")


def replace(at: pathlib.Path, make):
    """Puts what make(path) makes in a place, whatever is there."""
    if at.is_dir() and not at.is_symlink():
        at.rename(at.with_name(f"..was{time.monotonic_ns()}"))
    else:
        at.unlink(missing_ok=True)
    make(at)


def bind_socket(path: pathlib.Path):
    with socket.socket(socket.AF_UNIX) as planted:
        planted.bind(str(path))


class Loop:
    """Does a thing over and over, whether it succeeds or not, until the end of the `with` block."""

    def __init__(self, act):
        self.act, self.over, self.times = act, threading.Event(), 0

    def run(self):
        while not self.over.is_set():
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                self.act()
            self.times += 1
            time.sleep(0.001)

    def __enter__(self):
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Process:
    """A function as another user, until the end of the `with` block. It is given a function that says that a step is done.
    Forked alone: that user may not get to where this Python lies."""

    def __init__(self, user: int, act):
        fork = multiprocessing.get_context("fork")
        self.steps, told = fork.Pipe(duplex=False)

        def run():
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            act(lambda: told.send(None))
        self.process = fork.Process(target=run, daemon=True)

    def wait_for(self, steps: int):
        for _ in range(steps):
            if not self.steps.poll(daemon.PATIENCE):
                raise AssertionError("the hostile process has done nothing")
            self.steps.recv()

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.join()


class Hostile(unittest.TestCase):
    def start(self, agent: daemon.Daemon):
        self.agent = self.enterContext(agent)
        self.outside = agent.base / "outside"
        self.outside.mkdir()
        (self.outside / "token").write_text("a canary")
        (self.outside / "token").chmod(0o640)

    def settle(self, victim: str = pod("victim")):
        self.agent.drop("victim.yaml", victim)
        for name in OTHERS:
            self.agent.drop(name + ".yaml", pod(name))
        self.agent.start_and_settle()
        self.volume = self.agent.volume("victim").resolve()
        self.files = self.descriptors()

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.agent.process.pid}/fd"))

    def trace(self) -> list:
        """What shows that something was done to what lies outside. (Making a hard link to it is the reader's own doing.)"""
        found = []
        for path in (pathlib.Path("/etc/shadow"), self.outside, self.outside / "token"):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else os.listdir(path)
            found.append((str(path), content, status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns))
        return found

    def others_rotate(self, times: int):
        for _ in range(times):
            before = {name: self.agent.token(name) for name in OTHERS}
            wait_until(lambda: all(self.agent.token(name) != before[name] for name in OTHERS), "the others to rotate")

    def is_well(self) -> bool:
        try:
            shown = self.agent.pod_status("victim")
            return shown["ready"] and not shown["volumes"][0]["error"] and os.readlink(self.volume / "token") == "..data/token" \
                and stat.S_IMODE(self.volume.stat().st_mode) == 0o755 and os.listdir(generation(self.volume)) == ["token"] \
                and bool(daemon.claims_of(self.agent.token("victim")))
        except (OSError, ValueError, IndexError):
            return False

    def stays_or_heals(self, before: list):
        wait_until(self.is_well, "the volume to be well again", HEAL)
        token = self.agent.token("victim")
        wait_until(lambda: self.is_well() and self.agent.token("victim") != token, "the volume to rotate again", HEAL)
        wait_until(lambda: self.descriptors() <= self.files + 2, f"no more than about {self.files} descriptors to be open")
        self.assertEqual(before, self.trace())

    def complaint(self) -> str:
        return self.agent.pod_status("victim")["volumes"][0]["error"]

    def attacks(self) -> tuple:
        """Name, what is done over and over, what undoes at the end what only its maker can undo, what the status says."""
        volume, canary = self.volume, self.outside / "token"
        shadow = pathlib.Path("/etc/shadow")
        away = volume.with_name("away")
        nothing = lambda: None
        in_generation = lambda make: lambda: replace(generation(volume) / "token", make)

        def swap():
            names = [name for name in os.listdir(volume) if name.startswith("..2")] + [".", "/etc"]
            for name in names:
                replace(volume / "..data", lambda at: at.symlink_to(name))

        def empty():
            for name in os.listdir(volume):
                with contextlib.suppress(OSError):
                    (volume / name).unlink() if (volume / name).is_symlink() else shutil.rmtree(volume / name)

        return (
            ("renames", lambda: [(volume / name).rename(volume / ("x" + name)) for name in ("token", "..data")], nothing, ""),
            ("deletes everything", empty, nothing, ""),
            ("links names to /etc/shadow", lambda: replace(volume / "token", lambda at: at.symlink_to(shadow)), nothing, ""),
            ("links files to /etc/shadow", in_generation(lambda at: at.symlink_to(shadow)), nothing, ""),
            ("links ..data to outside", lambda: replace(volume / "..data", lambda at: at.symlink_to(self.outside)), nothing, ""),
            ("links the generation to outside", lambda: replace(generation(volume), lambda at: at.symlink_to(self.outside)),
             nothing, ""),
            ("links the volume to outside", lambda: (volume.rename(away), volume.symlink_to(self.outside)),
             lambda: (volume.unlink(), shutil.rmtree(away, ignore_errors=True)), "a symbolic link stands in the way"),
            ("links in a circle", lambda: [replace(volume / name, lambda at: at.symlink_to("token"))
                                           for name in ("token", "..data")], nothing, ""),
            ("makes hard links", lambda: (in_generation(lambda at: at.hardlink_to(canary))(),
                                          replace(volume / "token", lambda at: at.hardlink_to(canary))), nothing, ""),
            ("plants FIFOs", lambda: (in_generation(os.mkfifo)(), replace(volume / "token", os.mkfifo)), nothing, ""),
            ("plants sockets", lambda: (in_generation(bind_socket)(), replace(volume / "token", bind_socket)), nothing, ""),
            ("plants directories", lambda: (in_generation(os.mkdir)(), replace(volume / "token", os.mkdir)),
             (volume / "token").rmdir, "token: something else stands where the link to the file belongs"),
            ("swaps ..data", swap, nothing, ""),
            ("moves the volume away", lambda: (shutil.rmtree(away, ignore_errors=True), volume.rename(away)),
             lambda: shutil.rmtree(away, ignore_errors=True), ""),
            ("changes modes", lambda: [path.chmod(0) for path in (generation(volume) / "token", generation(volume), volume,
                                                                  *volume.parents[:3])], nothing, ""),
        )

    def under_attack(self, act, undo, says: str):
        before = self.trace()
        with Loop(act) as attack:
            self.others_rotate(3)
            if says:
                wait_until(lambda: says in self.complaint(), f"the status to say: {says}", HEAL)
            wait_until(lambda: attack.times >= 3, "a few attacks")
            self.assertEqual(before, self.trace())
        with contextlib.suppress(OSError):  # the agent may have been first
            undo()
        self.stays_or_heals(before)
        return attack.times

    @unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: /etc/shadow is for root to look at")
    def test_readers_that_are_root_spoil_their_own_volume_alone(self):
        self.start(daemon.Daemon(max_age="500ms"))
        self.settle()
        for name, act, undo, says in self.attacks():
            with self.subTest(name):
                began, repairs = time.monotonic(), self.agent.status()["counters"]["repairs"]
                times = self.under_attack(act, undo, says)
                repairs = self.agent.status()["counters"]["repairs"] - repairs
                print(f"{name}: {times} times, {repairs} repairs, well again after {time.monotonic() - began:.1f} s in all",
                      file=sys.stderr)

    @unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: only root can become the users of this test")
    def test_readers_that_hold_all_of_inotify_and_open_files_hold_up_nobody(self):
        agent = daemon.Daemon(max_age="500ms")
        self.start(agent)
        # That user may not get to where the binary was built.
        agent.binary = shutil.copy(daemon.BINARY, agent.base / "tokenlet")
        agent.run_as = AGENT
        for path in (agent.base, agent.manifests):
            os.chown(path, AGENT, AGENT)
        token = agent.volume("victim") / "token"

        def hold(tell):
            held, inotify = [], ctypes.CDLL(None).inotify_init1
            while True:
                if inotify(0) >= 0:
                    tell()
                    continue
                with contextlib.suppress(OSError):
                    held.append(os.open(token, os.O_RDONLY))
                held = held[-500:]
                time.sleep(0.01)

        instances = int(pathlib.Path("/proc/sys/fs/inotify/max_user_instances").read_text())
        if instances > resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 600:
            self.skipTest("NOT TESTED: a process may not have as many descriptors as a user may have inotify instances")
        with Process(AGENT, hold) as hostile:
            hostile.wait_for(instances)
            self.settle()
            before = self.trace()
            self.others_rotate(3)
            # Nobody tells the agent, so it finds out with the next rotation.
            (self.volume / "token").unlink()
            self.stays_or_heals(before)
            self.others_rotate(3)
        self.stays_or_heals(before)

    @unittest.skipUnless(CAN_MOUNT, "NOT TESTED: needs the right to mount")
    def test_what_is_mounted_over_a_volume_is_left_alone_and_told(self):
        self.start(daemon.Daemon(max_age="500ms"))
        self.settle()
        for name, place_now, says in (("the volume", lambda: self.volume, "another mount"),
                                      ("the Pod's directory", lambda: self.volume.parents[2], "another mount"),
                                      ("the generation", lambda: generation(self.volume), ""),
                                      ("a file", lambda: generation(self.volume) / "token", "")):
            with self.subTest(name):
                before, place = self.trace(), place_now()
                source = self.outside if place.is_dir() else self.outside / "token"
                mount("--bind", source, place)
                self.others_rotate(3)
                if says:
                    wait_until(lambda: says in self.complaint(), f"the status to say: {says}", HEAL)
                else:
                    wait_until(self.is_well, "the volume to be well beside it", HEAL)
                self.assertEqual(before, self.trace())
                subprocess.run(["umount", str(place)], check=True)
                self.stays_or_heals(before)

    @unittest.skipUnless(CAN_MOUNT, "NOT TESTED: needs the right to mount")
    def test_readers_that_fill_the_tmpfs_spoil_it_no_longer_than_they_are_there(self):
        # Old generations stay for the grace time after a publish that failed, which each new token is a try of.
        agent = daemon.Daemon(max_age="3s", grace="1s")
        self.start(agent)
        (agent.base / "pods").mkdir(mode=0o711)
        mount("-t", "tmpfs", "-o", "size=4m,mode=0711", "tmpfs", agent.base / "pods")
        self.addCleanup(subprocess.run, ["umount", "--lazy", str(agent.base / "pods")])
        self.settle(pod("victim").replace("spec:", f"spec:\n  securityContext: {{runAsUser: {READER}}}"))
        before = self.trace()
        tokens = {name: self.agent.token(name) for name in OTHERS}
        token = self.agent.volume("victim") / "token"

        def grow(tell):
            while True:
                with contextlib.suppress(OSError):
                    with open(token, "r+b") as file:
                        while True:
                            os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, 4096)
                tell()
                time.sleep(0.1)

        with Process(READER, grow) as hostile:
            for _ in range(50):
                hostile.wait_for(1)
                for name in OTHERS:
                    self.assertTrue(daemon.claims_of(self.agent.token(name)), "an old token stays whole")
            wait_until(lambda: any("No space left on device" in shown["message"] for shown in self.agent.status()["pods"]),
                       "the status to say it", HEAL)
        wait_until(lambda: all(self.agent.token(name) != tokens[name] for name in OTHERS), "the others to rotate", HEAL)
        self.others_rotate(3)
        self.stays_or_heals(before)


if __name__ == "__main__":
    unittest.main()
