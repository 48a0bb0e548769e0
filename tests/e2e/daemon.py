# SPDX-License-Identifier: Apache-2.0
"""One tokenlet agent as a process, on directories of its own in memory."""
import base64
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

BINARY = os.environ.get("TOKENLET", str(pathlib.Path(__file__).parents[2] / "build/dev/cli/tokenlet"))
MEMORY = "/dev/shm"
# Seconds for something that is bound to happen, on a machine that does much else: five of the longest pauses before it is
# tried again.
PATIENCE = 300.0
GRACE = 10  # seconds, as by default


def wait_until(holds, what: str, patience: float = PATIENCE):
    """The first true value of holds(). Looks often: a process gives no other sign."""
    end = time.monotonic() + patience
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {patience:.0f} s: {what}")
        time.sleep(0.02)


def claims_of(token: str) -> dict:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def pod(name: str, *, audience: str = "test", extra: str = "", uid: str = "", seconds: int = 600, config: str = "") -> str:
    """A Pod with one projected volume, `data`: a token, and the keys of a config map where one is named."""
    source = f"\n        - configMap: {{name: {config}}}" if config else ""
    return f"""apiVersion: v1
kind: Pod
metadata:
  name: {name}
  namespace: shop
{'  uid: ' + uid if uid else ''}
spec:
  automountServiceAccountToken: false
  containers: [{{name: main, image: none, volumeMounts: [{{name: data, mountPath: /data}}]}}]
  volumes:
  - name: data
    projected:
      sources:
        - serviceAccountToken: {{audience: {audience}, expirationSeconds: {seconds}, path: token}}{source}
{extra}"""


class Daemon:
    """Starts nothing by itself. stop() and the end of the `with` block leave no process behind."""

    def __init__(self, **settings):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="tokenlet-e2e-", dir=MEMORY))
        self.base.chmod(0o755)
        self.manifests = self.base / "manifests"
        self.manifests.mkdir(mode=0o755)
        self.log_path = self.base / "log"
        self.socket = self.base / "tokenlet.sock"
        self.config = self.base / "agent.yaml"
        self.process = None
        self.binary = BINARY
        self.run_as = None  # a user id
        self.before = []  # a command that runs the binary in its place
        self.environment = {}
        self.configure(**settings)

    def configure(self, *, max_age="24h", jitter="0s", grace=f"{GRACE}s", removal_delay="1s", direct=""):
        self.config.write_text(f"""apiVersion: tokenlet.dev/v1alpha1
kind: AgentConfiguration
nodeName: edge
stateDir: {self.base}/state
manifests: {{path: {self.manifests}, removalDelay: {removal_delay}}}
volumes: {{root: {self.base}/pods, byName: {self.base}/by-name, grace: {grace}, direct: [{direct}]}}
issuer: {{embedded: {{issuer: "https://tokens.example.org", dataDir: {self.base}/authority}}}}
rotation: {{maxAge: {max_age}, maxJitter: {jitter}}}
status: {{socket: {self.socket}}}
log: {{level: info}}
""")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.running():
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.base, ignore_errors=True)

    def start(self):
        with open(self.log_path, "ab") as log:
            identity = {} if self.run_as is None else {"user": self.run_as, "group": self.run_as, "extra_groups": []}
            self.process = subprocess.Popen([*self.before, self.binary, "agent", "--config", str(self.config)], stderr=log, stdout=log,
                                            env={**os.environ, **self.environment}, **identity)
        return self

    def start_and_settle(self):
        self.start()
        wait_until(lambda: self.alive_status() and self.status()["settled"], "the first pass over the manifests")
        return self

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def end(self, how: int) -> float:
        """Sends a signal, waits for the end, and says how long that took."""
        begin = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(timeout=PATIENCE)
        return time.monotonic() - begin

    def stop(self) -> float:
        return self.end(signal.SIGTERM)

    def kill(self) -> float:
        return self.end(signal.SIGKILL)

    def wait_for_rest(self):
        """Three seconds in a row, long after every delay of the tests, with next to no work."""
        def is_at_rest():
            before = self.cpu_ticks()
            time.sleep(3)
            return self.cpu_ticks() - before <= 5
        wait_until(is_at_rest, "the agent to come to rest")

    def cpu_ticks(self) -> int:
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def ask(self, target: str, method: str = "GET"):
        with contextlib.closing(UnixConnection(str(self.socket))) as connection:
            connection.request(method, target)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def status(self) -> dict:
        return json.loads(self.ask("/v1/status")[1])

    def alive_status(self):
        if not self.running():
            raise AssertionError("the agent ended:\n" + self.log()[-2000:])
        try:
            return self.status()
        except OSError:
            return None

    def pod_status(self, name: str):
        return next((shown for shown in self.status()["pods"] if shown["name"] == name), None)

    def is_ready(self, name: str) -> bool:
        shown = self.pod_status(name)
        return shown is not None and shown["ready"]

    def drop(self, file: str, text: str):
        """As people are told to: written beside, then renamed in."""
        beside = self.base / "incoming"
        beside.write_text(text)
        beside.rename(self.manifests / file)

    def volume(self, name: str) -> pathlib.Path:
        return self.base / "by-name" / "shop" / name / "data"

    def token(self, name: str) -> str:
        return (self.volume(name) / "token").read_text()
