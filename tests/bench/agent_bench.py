# SPDX-License-Identifier: Apache-2.0
"""One agent, few Pods: how soon a token is there, and what the agent costs when nothing happens.

Scenarios
  drop    a manifest renamed in, until its token is readable under its stable name; state in memory, and on the disk;
          in turns with a process that only notices a file that was renamed in, and makes one: what the machine takes
  empty   memory of an agent without a Pod
  idle    wake-ups of all threads in two minutes, without and with systemd's watchdog
"""
import contextlib
import multiprocessing
import os
import tempfile
import time

from figures import percentile, row
from inotify import Arrivals
from measured_agent import BUILD, DISK, MEMORY, MeasuredAgent, pod

DROPS = int(os.environ.get("DROPS", "400"))
IDLE_SECONDS = int(os.environ.get("IDLE_SECONDS", "120"))
WATCHDOG_SECONDS = 20
KUBELET_MEDIAN_MS = 195.0  # a Pod made at the API server until its token is there, measured apart: no kubelet runs here
LOOK_EVERY_SECONDS = 0.00005
PATIENCE_SECONDS = 10


def milliseconds_until(readable, act) -> float:
    begin = time.monotonic()
    act()
    while time.monotonic() - begin < PATIENCE_SECONDS:
        if readable():
            return (time.monotonic() - begin) * 1000
        time.sleep(LOOK_EVERY_SECONDS)
    raise AssertionError(f"not within {PATIENCE_SECONDS} s")


def dropped(agent: MeasuredAgent, name: str) -> float:
    beside, path = agent.place / "incoming", agent.token_path(name)

    def readable() -> bool:
        try:
            with open(path, "rb") as token:
                return token.read().count(b".") == 2
        except FileNotFoundError:
            return False
    beside.write_text(pod(name))
    return milliseconds_until(readable, lambda: beside.rename(agent.manifests / f"{name}.yaml"))


class Noticer:
    """A process that makes a file for each that is renamed into its directory."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="tokenlet-bench-", dir=MEMORY)
        self.seen, self.watched = (os.path.join(self.directory.name, name) for name in ("seen", "watched"))
        os.mkdir(self.seen)
        os.mkdir(self.watched)
        self.process = multiprocessing.Process(target=self.notice, args=(Arrivals([self.watched]),), daemon=True)

    def notice(self, arrivals: Arrivals) -> None:
        while True:
            for _, name in arrivals.next(None):
                open(os.path.join(self.seen, name), "w").close()

    def dropped(self, name: str) -> float:
        beside = os.path.join(self.directory.name, name)
        open(beside, "w").close()
        return milliseconds_until(lambda: os.path.exists(os.path.join(self.seen, name)),
                                  lambda: os.rename(beside, os.path.join(self.watched, name)))

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.join()
        self.directory.cleanup()


def made_durable(file) -> float:
    begin = time.monotonic()
    file.write(b"a new Pod's uid, and that is on the disk before anybody is told of it\n")
    os.fdatasync(file.fileno())
    return (time.monotonic() - begin) * 1000


def percentiles(values: list[float]) -> str:
    return f"p50 {percentile(values, 0.5):.2f} ms, p99 {percentile(values, 0.99):.2f} ms"


def drop(where: str, state_on: str) -> None:
    with MeasuredAgent(state_on) as agent, Noticer() as noticer, open(agent.state / "beside", "ab", buffering=0) as beside:
        agent.start_until_ready()
        for number in range(20):
            dropped(agent, f"warm-{number}")
        ours, noticed, durable = [], [], []
        for number in range(DROPS):
            ours.append(dropped(agent, f"web-{number}"))
            noticed.append(noticer.dropped(f"web-{number}"))
            durable.append(made_durable(beside))
            time.sleep(0.01)
    median, high = percentile(ours, 0.5), percentile(ours, 0.99)
    row(f"manifest dropped -> token readable, {where}", percentiles(ours), f"a file noticed {percentiles(noticed)}",
        f"of {DROPS}", "p99 <= 5 ms", high <= 5)
    if state_on == DISK:
        row("", "", f"a line made durable {percentiles(durable)}")
    row("the same", f"p50 {median:.2f} ms", f"kubelet's median {KUBELET_MEDIAN_MS:.0f} ms",
        f"{KUBELET_MEDIAN_MS / median:.0f} x faster", ">= 40 x", KUBELET_MEDIAN_MS / median >= 40)


def empty() -> None:
    with MeasuredAgent() as agent:
        agent.start_until_ready()
        time.sleep(1)
        private, resident = agent.memory_mb("Private_Dirty", "Rss")
    row("memory, no Pods", f"private dirty {private:.1f} MB, RSS {resident:.1f} MB", "", "", "<= 6 MB, <= 24 MB",
        private <= 6 and resident <= 24)


def idle() -> None:
    with contextlib.ExitStack() as stack:
        quiet, watched = (stack.enter_context(MeasuredAgent(manifests_on=BUILD)) for _ in range(2))
        watched.environment = {"WATCHDOG_USEC": str(WATCHDOG_SECONDS * 1_000_000)}
        for agent in (quiet, watched):
            agent.pods(10)
            agent.start_until_ready()
        time.sleep(15)  # the grace time of the first generations
        before = [agent.wake_ups() for agent in (quiet, watched)]
        time.sleep(IDLE_SECONDS)
        without, with_watchdog = (agent.wake_ups() - count for agent, count in zip((quiet, watched), before))
    periods = IDLE_SECONDS / WATCHDOG_SECONDS
    row(f"idle for {IDLE_SECONDS} s, watchdog off", f"{without} wake-ups", "", "", "0", without == 0)
    row(f"idle for {IDLE_SECONDS} s, watchdog every {WATCHDOG_SECONDS} s", f"{with_watchdog} wake-ups", "",
        f"{with_watchdog / periods:.1f} a period", "2 a period", with_watchdog <= 2 * periods + 1)


if __name__ == "__main__":
    drop("state on tmpfs", MEMORY)
    drop("state on disk", DISK)
    empty()
    idle()
