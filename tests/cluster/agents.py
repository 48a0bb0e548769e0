# SPDX-License-Identifier: Apache-2.0
"""Agents that ask a cluster, and tests that have one."""
import os
import subprocess
import sys
import time
import unittest

import control_plane
from control_plane import daemon

EVERYTHING = """apiVersion: v1
kind: Pod
metadata: {name: all, namespace: shop, labels: {app: web}}
spec:
  serviceAccountName: web
  automountServiceAccountToken: false
  containers: [{name: main, image: none, volumeMounts: [{name: data, mountPath: /data}]}]
  volumes:
  - name: data
    projected:
      sources:
      - serviceAccountToken: {path: token}
      - serviceAccountToken: {path: vault-token, audience: vault, expirationSeconds: 600}
      - configMap: {name: settings}
      - configMap: {name: kube-root-ca.crt}
      - secret: {name: tls}
      - clusterTrustBundle: {name: roots, path: roots.pem}
      - downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
"""
OBJECTS = """apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {setting: one}
---
apiVersion: v1
kind: Secret
metadata: {name: tls, namespace: shop}
stringData: {key: hunter2}
"""


def say(text: str):
    print(text, file=sys.stderr, flush=True)


class Agent(daemon.Daemon):
    """An agent that asks a cluster."""

    def __init__(self, kubeconfig, **settings):
        self.kubeconfig = kubeconfig
        super().__init__(**settings)

    def configure(self, *, issuer: str = "", bound: str = "auto", max_age="24h", node="edge"):
        issuer = issuer or f"kubernetes: {{kubeconfig: {self.kubeconfig}}}"
        self.config.write_text(f"""apiVersion: tokenlet.dev/v1alpha1
kind: AgentConfiguration
nodeName: {node}
stateDir: {self.base}/state
manifests: {{path: {self.manifests}, removalDelay: 1s}}
volumes: {{root: {self.base}/pods, byName: {self.base}/by-name, grace: {daemon.GRACE}s}}
issuer: {{{issuer}}}
boundObject: {{mode: {bound}}}
rotation: {{maxAge: {max_age}, maxJitter: 0s}}
status: {{socket: {self.socket}}}
log: {{level: info}}
""")

    def embedded(self) -> str:
        return f'embedded: {{issuer: "https://tokens.example.org", dataDir: {self.base}/authority}}'

    def file(self, pod: str, path: str) -> str | None:
        try:
            return (self.volume(pod) / path).read_text()
        except FileNotFoundError:
            return None

    def wait_for(self, holds, what: str, patience: float = daemon.PATIENCE):
        try:
            return daemon.wait_until(holds, what, patience)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[-4000:]}") from None

    def rotations(self) -> int:
        return self.log().count("token rotated")

    def requests(self) -> int:
        """For tokens, since its start, as it counts them."""
        return self.status()["counters"]["tokenRequests"]

    def all_are_ready(self, count: int) -> bool:
        return sum(pod["ready"] for pod in self.status()["pods"]) == count


class AgentInPod(Agent):
    @staticmethod
    def is_possible() -> bool:
        return subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/run"], capture_output=True).returncode == 0

    def configure(self, **settings):
        super().configure(**settings, issuer="kubernetes: {inCluster: true}")

    def publish(self, *, token: str, authorities: str):
        """What a kubelet would have put there."""
        directory = self.base / "account"
        generation = directory / f"..{time.monotonic_ns()}"
        generation.mkdir(parents=True)
        for name, text in (("token", token), ("ca.crt", authorities), ("namespace", "shop")):
            (generation / name).write_text(text)
            if not (directory / name).is_symlink():
                (directory / name).symlink_to(f"..data/{name}")
        (directory / "..data_tmp").symlink_to(generation.name)
        (directory / "..data_tmp").rename(directory / "..data")

    def start(self):
        """With a /run of its own."""
        prepare = ('mount -t tmpfs tmpfs /run && mkdir -p /var/run/secrets/kubernetes.io && '
                   'ln -s "$0" /var/run/secrets/kubernetes.io/serviceaccount && exec "$@"')
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", prepare, self.base / "account", self.binary, "agent", "--config", self.config],
                stdout=log, stderr=log, env={**os.environ, **self.environment})


class TestCase(unittest.TestCase):
    """Of a class with a cluster of its own, and of tests with agents of their own."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(control_plane.ControlPlane())
        cls.cluster.namespace("shop")
        bundle = "".join(f"    {line}\n" for line in cls.cluster.ca.read_text().splitlines())
        cls.cluster.apply("apiVersion: certificates.k8s.io/v1beta1\nkind: ClusterTrustBundle\nmetadata: {name: roots}\n"
                          "spec:\n  trustBundle: |\n" + bundle)

    def setUp(self):
        self.put_objects()

    def put_objects(self):
        """Over whatever an earlier test has made of them."""
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=OBJECTS)

    def agent(self, **settings) -> Agent:
        kubeconfig = settings.pop("kubeconfig", self.cluster.kubeconfig)
        return self.enterContext(Agent(kubeconfig, **settings))

    def started(self, manifest: str = EVERYTHING, **settings) -> Agent:
        agent = self.agent(**settings)
        agent.drop("all.yaml", manifest)
        agent.start()
        agent.wait_for(lambda: agent.alive_status() and agent.is_ready("all"), "the Pod's volume")
        return agent

    def reviewed(self, token: str, *audiences: str) -> dict:
        status = self.cluster.review(token, *audiences)
        self.assertTrue(status.get("authenticated"), status)
        return status["user"]
