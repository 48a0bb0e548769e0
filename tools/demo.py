# SPDX-License-Identifier: Apache-2.0
"""./dev run: the example manifests, an agent with the embedded authority, and a look at what it does.

demo.py BINARY [--once]: until Ctrl-C, or with --once until the token of Pod production/web has rotated twice. Needs no
root, writes to one scratch directory in memory and removes it at the end.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime, timezone

CONFIGS = pathlib.Path(__file__).resolve().parent.parent / "configs"
MAX_AGE_SECONDS = 10
READY_WITHIN_SECONDS = 20
WATCHED = ("production", "web")

AGENT_CONFIG = """\
apiVersion: tokenlet.dev/v1alpha1
kind: AgentConfiguration
nodeName: demo
stateDir: {scratch}/state
manifests: {{path: {scratch}/manifests}}
volumes: {{root: {scratch}/pods, byName: {scratch}/by-name, memory: ignore}}
issuer:
  embedded: {{issuer: "https://tokens.example.org", dataDir: {scratch}/authority}}
rotation: {{maxAge: {max_age}s, maxJitter: 0s}}
status: {{socket: {scratch}/tokenlet.sock}}
"""


class DemoFailed(Exception):
    """What to tell the person; the agent's log follows."""


def scratch_parent() -> str:
    places = [os.environ.get("XDG_RUNTIME_DIR", ""), "/dev/shm", "/tmp"]
    return next(place for place in places if place and os.access(place, os.W_OK | os.X_OK))


def seconds_until(rfc3339: str) -> float:
    return (datetime.fromisoformat(rfc3339.replace("Z", "+00:00")) - datetime.now(timezone.utc)).total_seconds()


def clock() -> str:
    return datetime.now().strftime("%H:%M:%S")


class Agent:
    """The binary under show, and the questions the demo asks of it."""

    def __init__(self, binary: str, scratch: pathlib.Path):
        self.binary, self.scratch = os.path.abspath(binary), scratch
        config = scratch / "agent.yaml"
        config.write_text(AGENT_CONFIG.format(scratch=scratch, max_age=MAX_AGE_SECONDS))
        self.log = scratch / "agent.log"
        with open(self.log, "wb") as log:
            # In a session of its own: Ctrl-C is the demo's to hear.
            self.process = subprocess.Popen([self.binary, "agent", "--config", str(config)], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)

    def status(self) -> dict | None:
        done = subprocess.run([self.binary, "status", "-o", "json", "--socket", str(self.scratch / "tokenlet.sock")],
                              capture_output=True, text=True)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def check_alive(self) -> None:
        if self.process.poll() is not None:
            raise DemoFailed(f"the agent ended by itself, exit code {self.process.returncode}")

    def wait_until_ready(self) -> list[dict]:
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        pods = []
        while time.monotonic() < deadline:
            self.check_alive()
            pods = (self.status() or {}).get("pods", [])
            if pods and all(pod["ready"] for pod in pods):
                return sorted(pods, key=lambda pod: (pod["namespace"], pod["name"]))
            time.sleep(0.02)
        waiting = [f"{pod['namespace']}/{pod['name']}: {pod['message']}" for pod in pods if not pod["ready"]]
        raise DemoFailed(f"not ready within {READY_WITHIN_SECONDS} s; " + ("; ".join(waiting) or "no Pod in the status"))

    def inspect(self, token: pathlib.Path) -> str:
        done = subprocess.run([self.binary, "token", "inspect", str(token)], capture_output=True, text=True)
        if done.returncode:
            raise DemoFailed(f"token inspect: {done.stderr.strip()}")
        return done.stdout.rstrip()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Reader(threading.Thread):
    """An application that opens and reads its token over and over. What it misses, an application would miss."""

    def __init__(self, token: pathlib.Path):
        super().__init__(daemon=True)
        self.token, self.reads, self.failures, self.done = token, 0, 0, threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.001):
            try:
                whole = self.token.read_bytes().count(b".") == 2
            except OSError:
                whole = False
            self.reads += 1
            self.failures += not whole

    def finish(self) -> str:
        self.done.set()
        self.join()
        return f"A reader opened the token {self.reads} times meanwhile: {self.failures} times missing or torn."


class Volume:
    """A volume by the name a person would use: <by-name>/namespace/pod/volume."""

    def __init__(self, by_name: pathlib.Path, pod: dict, volume: dict):
        self.real = volume["path"]
        pod_folder = by_name / pod["namespace"] / pod["name"]
        # The injected volume's name ends in a hash; its link without one is the stable one.
        injected = volume["name"].startswith("kube-api-access-")
        self.path = pod_folder / ("kube-api-access" if injected else volume["name"])
        self.name = str(self.path.relative_to(by_name))
        self.generation = self.current()

    def current(self) -> str:
        return os.readlink(self.path / "..data")

    def files(self) -> list[str]:
        found = []
        for folder, folders, files in os.walk(self.path, followlinks=True):
            folders[:] = [name for name in folders if not name.startswith("..")]
            found += [os.path.relpath(os.path.join(folder, name), self.path) for name in files]
        return sorted(name for name in found if not name.startswith(".."))

    def swapped(self) -> bool:
        before, self.generation = self.generation, self.current()
        return before != self.generation


def tokens_of(status: dict) -> dict[str, dict]:
    """The token file of each volume, by the volume's real path."""
    return {volume["path"]: file for pod in status["pods"] for volume in pod["volumes"] for file in volume["files"]
            if file.get("rotatesAt")}


def show_given(scratch: pathlib.Path) -> None:
    print(f"\nEverything is in {scratch}, and goes when this ends.\nThe agent was started on these manifests:")
    for manifest in sorted((scratch / "manifests").iterdir()):
        kinds = [line.split()[1] for line in manifest.read_text().splitlines() if line.startswith("kind:")]
        print(f"   manifests/{manifest.name:20} {', '.join(kinds)}")


def show_volumes(volumes: list[Volume], elapsed: float) -> None:
    print(f"\nReady after {elapsed * 1000:.0f} ms. What the Pods would find:")
    for volume in volumes:
        print(f"   by-name/{volume.name}")
        for name in volume.files():
            status = (volume.path / name).stat()
            print(f"      {name:24} {status.st_size:5} bytes  mode {status.st_mode & 0o777:04o}")


def watch(agent: Agent, volumes: list[Volume], rotations: int | None) -> None:
    """Prints each swap, and between them how long until the next; returns after `rotations` of the first volume."""
    print(f"\nrotation.maxAge is {MAX_AGE_SECONDS} s here, to have something to see; by default tokens rotate at 80 % of their life.")
    width = max(len(volume.name) for volume in volumes)
    seen, due = 0, None
    while True:
        agent.check_alive()
        swapped = [volume for volume in volumes if volume.swapped()]
        if swapped or due is None:
            tokens = tokens_of(agent.status() or {"pods": []})
            due = min((seconds_until(token["rotatesAt"]) for token in tokens.values()), default=0) + time.monotonic()
        for volume in swapped:
            print("\r\033[K" if sys.stdout.isatty() else "", end="")
            until = tokens.get(volume.real, {}).get("expiresAt", "?")
            print(f"   {clock()}  {volume.name:{width}}  rotated, token good until {until}, ..data -> {volume.generation}")
        seen += volumes[0] in swapped
        if rotations is not None and seen >= rotations:
            return
        if sys.stdout.isatty():
            print(f"\r\033[K   next rotation in {max(0, due - time.monotonic()):.0f} s (Ctrl-C ends)", end="", flush=True)
        time.sleep(0.1)


def demo(binary: str, scratch: pathlib.Path, rotations: int | None) -> None:
    shutil.copytree(CONFIGS / "manifests", scratch / "manifests")
    show_given(scratch)
    started = time.monotonic()
    agent = Agent(binary, scratch)
    try:
        pods = agent.wait_until_ready()
        elapsed = time.monotonic() - started
        # The watched one first.
        pods.sort(key=lambda pod: (pod["namespace"], pod["name"]) != WATCHED)
        volumes = [Volume(scratch / "by-name", pod, volume) for pod in pods for volume in pod["volumes"]]
        show_volumes(volumes, elapsed)
        token = volumes[0].path / "token"
        print(f"\nWhat {'/'.join(WATCHED)}'s token says (build/tokenlet token inspect):")
        print("\n".join(f"   {line}" for line in agent.inspect(token).splitlines()))
        reader = Reader(token)
        reader.start()
        try:
            watch(agent, volumes, rotations)
        finally:
            print(f"\n{reader.finish()}")
        if reader.failures:
            raise DemoFailed("a reader must never miss its token")
    except DemoFailed as failure:
        print(f"./dev: {failure}; the agent's last words:", file=sys.stderr)
        print("\n".join(agent.log.read_text(errors="replace").splitlines()[-20:]), file=sys.stderr)
        sys.exit(1)
    finally:
        agent.stop()


def interrupted(*_) -> None:
    raise KeyboardInterrupt


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev run", add_help=False)
    parser.add_argument("binary")
    parser.add_argument("--once", action="store_true")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)
    os.umask(0o077)
    sys.stdout.reconfigure(line_buffering=True)
    with tempfile.TemporaryDirectory(prefix="tokenlet.", dir=scratch_parent()) as scratch:
        try:
            demo(arguments.binary, pathlib.Path(scratch), 2 if arguments.once else None)
        except KeyboardInterrupt:
            print("Stopped.")


if __name__ == "__main__":
    main()
