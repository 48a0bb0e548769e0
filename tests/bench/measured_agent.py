# SPDX-License-Identifier: Apache-2.0
"""The agent as the benchmarks start it: told to by an environment like systemd's, and looked at from outside."""
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ.setdefault("TOKENLET", str(ROOT / "build/bench/cli/tokenlet"))
sys.path.append(str(ROOT / "tests/e2e"))
import daemon

MEMORY, DISK, BUILD = "/dev/shm", "/var/tmp", str(ROOT / "build/bench")


def pod(name: str) -> str:
    """An ordinary Pod: what it projects is the volume that every Pod gets."""
    return f"""apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: production
  labels: {{app: web, tier: frontend}}
spec:
  serviceAccountName: frontend
  containers:
    - name: nginx
      image: docker.io/library/nginx:1.27
      ports: [{{containerPort: 8080}}]
"""


ACCOUNT = """apiVersion: v1
kind: ServiceAccount
metadata: {name: frontend, namespace: production}
"""


class MeasuredAgent(daemon.Daemon):
    """Volumes in memory; what must last (stateDir, the authority's data) in memory, too, or elsewhere. Manifests likewise:
    the agent wakes up for every file that comes or goes in a directory on the way to them, and /dev/shm may be busy."""

    def __init__(self, state_on: str = MEMORY, manifests_on: str = MEMORY, **settings):
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="tokenlet-bench-", dir=state_on))
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="tokenlet-bench-", dir=manifests_on))
        super().__init__(**settings)
        self.manifests = self.place / "manifests"
        self.manifests.mkdir(mode=0o755)
        self.configure(**settings)
        (self.manifests / "frontend.yaml").write_text(ACCOUNT)

    def configure(self, **settings):
        super().configure(**{"grace": "2s", **settings})
        text = self.config.read_text()
        self.config.write_text(text.replace(f"{self.base}/state", f"{self.state}/state")
                               .replace(f"{self.base}/authority", f"{self.state}/authority"))

    def __exit__(self, *exception):
        super().__exit__(*exception)
        for path in (self.state, self.place):
            shutil.rmtree(path, ignore_errors=True)

    def pods(self, count: int) -> None:
        for number in range(count):
            (self.manifests / f"web-{number}.yaml").write_text(pod(f"web-{number}"))

    def start_until_ready(self) -> float:
        """Starts it and returns the milliseconds until it tells systemd READY=1."""
        address = self.base / "notify"
        address.unlink(missing_ok=True)
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)) as listener:
            listener.bind(str(address))
            listener.settimeout(300)
            self.environment = {**self.environment, "NOTIFY_SOCKET": str(address)}
            begin = time.monotonic()
            self.start()
            while b"READY=1" not in listener.recv(4096):
                pass
            return (time.monotonic() - begin) * 1000

    def cpu_ms(self) -> float:
        return cpu_ms(self.process)

    def wake_ups(self) -> int:
        return wake_ups(self.process)

    def memory_mb(self, *names: str) -> list[float]:
        return memory_mb(self.process, *names)

    def token_path(self, name: str) -> str:
        return str(self.base / "by-name" / "production" / name / "kube-api-access" / "token")


def cpu_ms(process: subprocess.Popen) -> float:
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def wake_ups(process: subprocess.Popen) -> int:
    """How often any thread of it has gone to sleep or been interrupted so far."""
    text = "".join(status.read_text() for status in pathlib.Path(f"/proc/{process.pid}/task").glob("*/status"))
    return sum(int(line.split()[1]) for line in text.splitlines() if "ctxt_switches" in line)


def memory_mb(process: subprocess.Popen, *names: str) -> list[float]:
    lines = pathlib.Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
    return [kilobytes[name] / 1024 for name in names]


def binary() -> str:
    return daemon.BINARY


def program(name: str) -> str:
    """A program built beside the benchmarks."""
    return str(pathlib.Path(daemon.BINARY).parents[1] / "tests" / "bench" / name)


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
