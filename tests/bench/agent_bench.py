# SPDX-License-Identifier: Apache-2.0
"""One agent, few Pods: how soon a token is there, and what the agent costs when nothing happens.

Scenarios
  drop    a manifest renamed in, until its token is readable under its stable name; state in memory, and on the disk
  empty   memory of an agent without a Pod
  idle    wake-ups of all threads in two minutes, without and with systemd's watchdog
"""
import contextlib
import os
import sys
import time

from figures import percentile, row
from measured_agent import BUILD, DISK, MEMORY, MeasuredAgent, pod

DROPS = int(os.environ.get("DROPS", "400"))
IDLE_SECONDS = int(os.environ.get("IDLE_SECONDS", "120"))
WATCHDOG_SECONDS = 20
KUBELET_MEDIAN_MS = 195.0  # a Pod made at the API server until its token is there, measured apart: no kubelet runs here
LOOK_EVERY_SECONDS = 0.00005
PATIENCE_SECONDS = 10


def milliseconds_until_readable(agent: MeasuredAgent, name: str) -> float:
    beside, path = agent.place / "incoming", agent.token_path(name)
    beside.write_text(pod(name))
    begin = time.monotonic()
    beside.rename(agent.manifests / f"{name}.yaml")
    while time.monotonic() - begin < PATIENCE_SECONDS:
        try:
            with open(path, "rb") as token:
                if token.read().count(b".") == 2:
                    return (time.monotonic() - begin) * 1000
        except FileNotFoundError:
            time.sleep(LOOK_EVERY_SECONDS)
    sys.exit(f"no token at {path}; the agent said:\n{agent.log()[-2000:]}")


def drop(where: str, state_on: str) -> None:
    with MeasuredAgent(state_on) as agent, open(agent.state / "beside", "ab", buffering=0) as beside:
        agent.start_until_ready()
        for number in range(20):
            milliseconds_until_readable(agent, f"warm-{number}")
        taken, flushed = [], []
        for number in range(DROPS):
            taken.append(milliseconds_until_readable(agent, f"web-{number}"))
            begin = time.monotonic()
            beside.write(b"a new Pod's uid, and that is on the disk before anybody is told of it\n")
            os.fdatasync(beside.fileno())
            flushed.append((time.monotonic() - begin) * 1000)
            time.sleep(0.01)
    median, high = percentile(taken, 0.5), percentile(taken, 0.99)
    row(f"manifest dropped -> token readable, {where}", f"p50 {median:.2f} ms, p99 {high:.2f} ms",
        f"a line made durable there: p50 {percentile(flushed, 0.5):.2f} ms, p99 {percentile(flushed, 0.99):.2f} ms",
        f"of {DROPS}", "p99 <= 5 ms", high <= 5)
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
