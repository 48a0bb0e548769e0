# SPDX-License-Identifier: Apache-2.0
"""Servers as children that cannot outlive the test, and directories that do not either, whatever ends it."""
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

sys.path.append(str(pathlib.Path(__file__).parents[1] / "e2e"))
import daemon

# Below the ports that Linux gives to outgoing connections: one that is free now is free a moment later.
PORTS = range(20000, 32000)
END_WITHIN_SECONDS = 30
# The second look is for a parent that was gone before the first could have an effect.
DIES_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"')


def free_port() -> int:
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError(f"no free port among a hundred in {PORTS}")


class Scratch:
    """A directory in memory. Also when the test is killed: then a process that hears of it from a pipe removes it."""

    def __init__(self, prefix: str):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=daemon.MEMORY))
        # Forked away, so that what kills a test and its children leaves this one. The servers die at the same time, and
        # may write until they have, hence the tries.
        sweep = 'cat; for _ in $(seq 50); do rm -rf "$0" && exit; sleep 0.2; done'
        self.sweeper = subprocess.Popen(["setsid", "--fork", "sh", "-c", sweep, str(self.path)], stdin=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)
        self.sweeper.stdin.close()
        self.sweeper.wait()


class Server:
    """One program with its log. The kernel ends it with the thread that started it: start servers from the main thread."""

    def __init__(self, name: str, log: pathlib.Path):
        self.name, self.log_path = name, log
        self.process = None

    def start(self, *command: str, environment: dict | None = None):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*DIES_WITH_PARENT, str(os.getpid()), *command], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=environment, start_new_session=True)

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_until(self, holds, what: str):
        """As daemon.wait_until, and an error as soon as the server has ended."""
        def holds_in_life():
            if not self.running():
                raise AssertionError(f"{self.name} ended ({self.process.returncode}) before {what}:\n{self.log()[-3000:]}")
            return holds()
        try:
            return daemon.wait_until(holds_in_life, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.name} says:\n{self.log()[-3000:]}") from None

    def stop(self, how: int = signal.SIGTERM):
        """Ends it; one that does not end is killed."""
        if not self.running():
            return
        self.process.send_signal(how)
        try:
            self.process.wait(timeout=END_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        if self.running():
            self.process.kill()
            self.process.wait()
