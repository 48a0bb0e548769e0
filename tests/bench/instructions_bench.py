# SPDX-License-Identifier: Apache-2.0
"""Instructions that one publish and one rotation take, counted by callgrind: the same on an idle machine and a busy one.

Scenarios
  publish   one changed token of a three-file volume, fsatomic alone
  rotation  end to end in the agent: a request to rotate, signed, checked, published, recorded, logged; less what the same
            number of requests for the readiness takes

Each is the difference of two runs, so that start and end do not count. The kernel's instructions are not seen. Debian's
valgrind does not know openat2(), so paths are opened component by component here: more instructions than in real life.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

import measured_agent
from daemon import wait_until
from figures import row
from measured_agent import MEMORY, MeasuredAgent

PUBLISHES = 200
ROTATIONS = 50


def callgrind(report: pathlib.Path) -> list[str]:
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={report}"]


def counted(report: pathlib.Path) -> int:
    """All instructions of all threads."""
    found = re.search(r"^(?:summary|totals): (\d+)", report.read_text(), re.MULTILINE)
    return int(found[1]) if found else sys.exit(f"{report} holds no sum")


def publishes(count: int, report: pathlib.Path) -> int:
    subprocess.run([*callgrind(report), measured_agent.program("publish_bench"), "--count", str(count)], check=True,
                   stderr=subprocess.DEVNULL, timeout=300)
    return counted(report)


def requests(target: str, method: str, wrapper: str, report: pathlib.Path) -> int:
    with MeasuredAgent() as agent:
        agent.pods(1)
        agent.binary = wrapper
        agent.environment = {"REPORT": str(report)}
        agent.start_until_ready()
        for number in range(1, ROTATIONS + 1):
            if agent.ask(target, method)[0] != 200:
                sys.exit(f"{method} {target} failed:\n{agent.log()[-1000:]}")
            if method == "POST":  # two requests at once would make one rotation
                wait_until(lambda: agent.log().count("token rotated") == number, f"rotation {number}")
        agent.stop()
    return counted(report)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tokenlet-bench-", dir=MEMORY) as scratch:
        report = pathlib.Path(scratch) / "callgrind.out"
        one = (publishes(2 * PUBLISHES, report) - publishes(PUBLISHES, report)) / PUBLISHES
        row("instructions, one publish", f"{one:.0f}", "callgrind, without the kernel's")
        wrapper = pathlib.Path(scratch) / "tokenlet"
        wrapper.write_text("#!/bin/sh\nexec " + " ".join(callgrind(pathlib.Path("$REPORT"))) + f" {measured_agent.binary()} \"$@\"\n")
        wrapper.chmod(0o755)
        rotated = requests("/v1/rotate?pod=production/web-0", "POST", str(wrapper), report)
        asked = requests("/readyz", "GET", str(wrapper), report)
        row("instructions, one rotation end to end", f"{(rotated - asked) / ROTATIONS:.0f}", "callgrind, without the kernel's")


if __name__ == "__main__":
    main()
