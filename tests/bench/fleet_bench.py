# SPDX-License-Identifier: Apache-2.0
"""Ten thousand Pods, one volume each, on one agent; the real binary as a process.

Scenarios, in the order in which such an agent lives
  from nothing  until all volumes are there, against YAML parse + signatures + plain writes (fleet_parts), in turns; CPU
                time counts, because a start has no other work to wait for, and other work on the machine does not show
  memory        of the running agent
  restart       every token valid: requests, writes, and the time until ready, against the YAML parse
  rotation      every token due within one minute: how late each swap comes
"""
import json
import os
import pathlib
import re
import shutil
import tempfile
import time

from figures import compare, percentile, row, spread
from inotify import Arrivals
from measured_agent import MEMORY, MeasuredAgent, program, run

PODS = int(os.environ.get("PODS", "10000"))
RUNS = int(os.environ.get("RUNS", "3"))
JITTER_SECONDS = 60  # what spreads the rotations
SOONEST_SECONDS = 10


def parts(manifests: pathlib.Path) -> dict[str, float]:
    """Milliseconds of CPU time of each part that nobody can do without."""
    with tempfile.TemporaryDirectory(prefix="tokenlet-bench-", dir=MEMORY) as scratch:
        return dict(zip(("yaml", "sign", "write", "nodes"), map(float, run(program("fleet_parts"), str(manifests), scratch).split())))


def forget_everything(agent: MeasuredAgent) -> None:
    agent.stop()
    for path in (agent.base / "pods", agent.base / "by-name", agent.state / "state", agent.state / "authority"):
        shutil.rmtree(path)


def start_measured(agent: MeasuredAgent) -> tuple[float, float]:
    """Milliseconds until it is ready: of the clock, and of CPU time."""
    elapsed = agent.start_until_ready()
    return elapsed, agent.cpu_ms()


def from_nothing(agent: MeasuredAgent) -> None:
    ours, floor, elapsed = [], [], []
    for number in range(RUNS):
        if number:
            forget_everything(agent)
        floor.append(parts(agent.manifests))
        wall, cpu = start_measured(agent)
        ours.append(cpu)
        elapsed.append(wall)
    compare(f"{PODS} volumes from nothing, CPU time", ours, "parse + sign + write",
            [part["yaml"] + part["sign"] + part["write"] for part in floor], "ms", 2.0)
    row("the same, by the clock", spread(elapsed, "ms"),
        ", ".join(f"{name} {percentile([part[name] for part in floor], 0.5):.0f} ms" for name in ("yaml", "sign", "write")))


def memory(agent: MeasuredAgent) -> None:
    time.sleep(2)  # what the first pass took is given back after READY=1
    private, resident = agent.memory_mb("Private_Dirty", "Rss")
    row(f"memory, {PODS} Pods", f"RSS {resident:.1f} MB, private dirty {private:.1f} MB", "", "", "RSS <= 80 MB", resident <= 80)


def everything_below(*roots: pathlib.Path) -> dict[str, tuple]:
    found = {}
    for root in roots:
        for folder, folders, files in os.walk(root):
            for path in (os.path.join(folder, name) for name in folders + files):
                status = os.lstat(path)
                found[path] = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return found


def restart(agent: MeasuredAgent) -> None:
    roots = (agent.base / "pods", agent.base / "by-name")
    time.sleep(11)  # the grace time of what was published last
    agent.stop()
    before = everything_below(*roots)
    ours, yaml, elapsed = [], [], []
    for _ in range(RUNS):
        yaml.append(parts(agent.manifests)["yaml"])
        wall, cpu = start_measured(agent)
        ours.append(cpu)
        elapsed.append(wall)
        agent.kill()
    after = everything_below(*roots)
    written = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    written -= {str(agent.base / "pods" / ".tokenlet.lock")}
    requests = sum(int(count) for count in re.findall(r"agent ready.* token_requests=(\d+)", agent.log())[-RUNS:])
    row(f"restart with {PODS} valid tokens", f"{requests} requests, {len(written)} writes", f"in {RUNS} restarts", "", "0, 0",
        requests == 0 and not written)
    compare("the same, until ready, CPU time", ours, "YAML parse", yaml, "ms", 2.0)
    row("the same, by the clock", spread(elapsed, "ms"))


def boot_seconds() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def tokens_on_record(agent: MeasuredAgent) -> dict[pathlib.Path, dict]:
    """What the agent has recorded of each volume's token."""
    found = {}
    for path in (agent.base / "pods").glob("*/records/*.json"):
        plugin, volume = path.stem.rsplit("~", 1)
        found[path.parents[1] / "volumes" / plugin / volume] = json.loads(path.read_text())["tokens"][0]
    return found


def rotation(agent: MeasuredAgent) -> None:
    tokens = tokens_on_record(agent)
    # With this maxAge the first falls due as soon as everything is up again, and the last a minute later.
    received = [token["receivedBootNs"] / 1e9 for token in tokens.values()]
    start = boot_seconds() + SOONEST_SECONDS
    max_age = int(start - min(received)) + JITTER_SECONDS
    agent.configure(max_age=f"{max_age}s", jitter=f"{JITTER_SECONDS}s")
    due = {volume: token["receivedBootNs"] / 1e9 + max_age - token["jitterNs"] / 1e9 for volume, token in tokens.items()}
    swaps = Arrivals(due)
    agent.start_until_ready()
    ready = boot_seconds()
    early = [volume for volume in due if due[volume] <= ready]
    late, end = {}, max(due.values()) + 10
    while len(late) < len(due) and boot_seconds() < end:
        for volume in (directory for directory, name in swaps.next(1.0) if name == "..data"):
            late.setdefault(volume, (boot_seconds() - due[volume]) * 1000)
    for volume in early:
        late.pop(volume, None)
    missing = len(due) - len(early) - len(late)
    p50, p99, p999 = (percentile(list(late.values()), part) for part in (0.5, 0.99, 0.999))
    span = max(due.values()) - max(ready, min(due.values()))
    row(f"rotation lateness, {len(late)} tokens within {span:.0f} s", f"p99.9 {p999:.1f} ms", f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {max(late.values()):.1f} ms",
        f"{missing} missing", "p99.9 <= 100 ms", p999 <= 100 and missing == 0)


if __name__ == "__main__":
    with MeasuredAgent(jitter=f"{JITTER_SECONDS}s", grace="10s") as agent:
        agent.pods(PODS)
        from_nothing(agent)
        memory(agent)
        restart(agent)
        rotation(agent)
