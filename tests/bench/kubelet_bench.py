# SPDX-License-Identifier: Apache-2.0
"""The same Pods on one machine at one API server: on tokenlet, and on the hollow kubelet of tests/cluster.

Scenarios
  known  a Pod is known, until its token is readable, in turns: to the kubelet, once the API server has answered that it has
         the Pod; to tokenlet, once its manifest is renamed in, with tokens of the same API server, and of the embedded authority
  idle   memory, CPU time and wake-ups of both while nothing changes, over the same five minutes

The kubelet's runtime starts nothing, and it runs without probes and without its server. Left out where the control plane
cannot be had.
"""
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

from figures import percentile, row, spread
from measured_agent import BUILD, ROOT, cpu_ms, memory_mb, wake_ups

sys.path.append(str(ROOT / "tests/cluster"))
try:
    import control_plane
except SystemExit:
    sys.exit(0)
from agents import Agent

TURNS = int(os.environ.get("TURNS", "40"))
PODS = int(os.environ.get("PODS", "400"))
IDLE_SECONDS = int(os.environ.get("IDLE_SECONDS", "300"))
SETTLE_SECONDS = 60
LOOK_EVERY_SECONDS = 0.0002
PATIENCE_SECONDS = 120
NODE = "node-1"


def pod(name: str) -> dict:
    """An ordinary one: what it projects is the volume that every Pod gets."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"nodeName": NODE, "serviceAccountName": "web", "containers": [{"name": "main", "image": "none"}]}}


def milliseconds_until_readable(token: pathlib.Path, begin: float) -> float:
    while time.monotonic() - begin < PATIENCE_SECONDS:
        try:
            if token.read_bytes().count(b".") == 2:
                return (time.monotonic() - begin) * 1000
        except FileNotFoundError:
            pass
        time.sleep(LOOK_EVERY_SECONDS)
    raise AssertionError(f"not within {PATIENCE_SECONDS} s: {token}")


class KubeletSide:
    def __init__(self, cluster):
        self.cluster = cluster
        self.kubelet = cluster.hollow_kubelet(NODE)

    def make(self, name: str) -> pathlib.Path:
        made = self.cluster.api("POST", "/api/v1/namespaces/shop/pods", pod(name))
        volume = next(volume["name"] for volume in made["spec"]["volumes"] if "projected" in volume)
        return self.kubelet.volume(made["metadata"]["uid"], volume) / "token"

    def known(self, name: str) -> float:
        token = self.make(name)
        return milliseconds_until_readable(token, time.monotonic())

    @property
    def process(self):
        return self.kubelet.process


class QuietAgent(Agent):
    """With its manifests where nobody else makes files: for each on the way to them it wakes up."""

    def __init__(self, kubeconfig, **settings):
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="tokenlet-bench-", dir=BUILD))
        self.place.chmod(0o755)
        (self.place / "manifests").mkdir(mode=0o755)
        super().__init__(kubeconfig, **settings)

    def configure(self, **settings):
        self.manifests = self.place / "manifests"
        super().configure(**settings)

    def __exit__(self, *exception):
        super().__exit__(*exception)
        shutil.rmtree(self.place, ignore_errors=True)

    def drop(self, file: str, text: str):
        beside = self.place / "incoming"
        beside.write_text(text)
        beside.rename(self.manifests / file)


class TokenletSide:
    def __init__(self, agent: Agent):
        self.agent = agent
        agent.start_and_settle()

    def make(self, name: str) -> pathlib.Path:
        self.agent.drop(f"{name}.yaml", json.dumps(pod(name)))
        return self.agent.base / "by-name" / "shop" / name / "kube-api-access" / "token"

    def known(self, name: str) -> float:
        begin = time.monotonic()  # before the rename, which is a little unfair to us
        return milliseconds_until_readable(self.make(name), begin)

    @property
    def process(self):
        return self.agent.process


def known(theirs: KubeletSide, ours: TokenletSide, embedded: TokenletSide) -> None:
    for side in (theirs, ours, embedded):
        side.known("warm-up")
    figures = {side: [] for side in (theirs, ours, embedded)}
    for turn in range(TURNS):
        for side, values in figures.items():
            values.append(side.known(f"web-{turn}"))
            time.sleep(0.2)
    kubelet = figures[theirs]
    for side, what in ((ours, "tokens of the same API server"), (embedded, "the embedded authority")):
        median = percentile(figures[side], 0.5)
        row(f"Pod known -> token readable, {what}", spread(figures[side], "ms"), f"the hollow kubelet {spread(kubelet, 'ms')}",
            f"{percentile(kubelet, 0.5) / median:.0f} x faster")


def idle(theirs: KubeletSide, ours: TokenletSide) -> None:
    for side in (theirs, ours):
        tokens = [side.make(f"idle-{number}") for number in range(PODS - TURNS - 1)]
        for token in tokens:
            milliseconds_until_readable(token, time.monotonic())
    time.sleep(SETTLE_SECONDS)
    sides = (ours, theirs)
    before = [(cpu_ms(side.process), wake_ups(side.process)) for side in sides]
    time.sleep(IDLE_SECONDS)
    cpu, wakes = zip(*((cpu_ms(side.process) - cpu, wake_ups(side.process) - wakes) for side, (cpu, wakes) in zip(sides, before)))
    resident, private = zip(*(memory_mb(side.process, "Rss", "Private_Dirty") for side in sides))
    against = "the hollow kubelet"
    mine = max(cpu[0], 1000 / os.sysconf("SC_CLK_TCK"))  # less than a tick does not show
    row(f"{PODS} Pods, idle for {IDLE_SECONDS} s: CPU time", f"<= {mine:.0f} ms", f"{against} {cpu[1]:.0f} ms",
        f">= {cpu[1] / mine:.0f} x less")
    row("the same, wake-ups", f"{wakes[0]}", f"{against} {wakes[1]}", f"{wakes[1] / max(wakes[0], 1):.0f} x fewer")
    row("the same, memory", f"RSS {resident[0]:.1f} MB, private dirty {private[0]:.1f} MB",
        f"{against} RSS {resident[1]:.0f} MB, private dirty {private[1]:.0f} MB", f"{private[1] / private[0]:.0f} x less private")


if __name__ == "__main__":
    with control_plane.ControlPlane() as cluster:
        cluster.namespace("shop")
        cluster.api("POST", "/api/v1/namespaces/shop/serviceaccounts", {"metadata": {"name": "web"}})
        with QuietAgent(cluster.kubeconfig, bound="none") as at_cluster, QuietAgent("", issuer="embedded: {}") as alone:
            alone.configure(issuer=alone.embedded())
            alone.drop("web.yaml", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: shop}\n")
            kubelet, tokenlet, embedded = KubeletSide(cluster), TokenletSide(at_cluster), TokenletSide(alone)
            known(kubelet, tokenlet, embedded)
            embedded.agent.stop()
            idle(kubelet, tokenlet)
