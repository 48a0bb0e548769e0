# SPDX-License-Identifier: Apache-2.0
"""Who gets the kube-api-access volume: every combination of what the Pod says, its account says, and it mounts itself."""
import itertools
import os
import unittest

import daemon

USUAL = "/var/run/secrets/kubernetes.io/serviceaccount"
SAYS = {"unset": "", "true": "automountServiceAccountToken: true", "false": "automountServiceAccountToken: false"}
# What is mounted at the usual place already, in which of the two containers; and whether a volume is injected for the rest.
MOUNTS = {"none": (), "one": ("a",), "both": ("a", "b"), "brought": ("a",)}
BROUGHT = "kube-api-access-x7k2p"


def named(pod: str, account: str, mounts: str) -> str:
    return f"{pod}-{account}-{mounts}"


def manifest(pod: str, account: str, mounts: str) -> str:
    volume = BROUGHT if mounts == "brought" else "own"
    lists = ", ".join(f"{{name: {name}, image: none, volumeMounts: [{f'{{name: {volume}, mountPath: {USUAL}}}' if name in MOUNTS[mounts] else ''}]}}"
                      for name in ("a", "b"))
    says = SAYS[pod] and SAYS[pod] + ", "
    return f"""---
apiVersion: v1
kind: Pod
metadata: {{name: {named(pod, account, mounts)}, namespace: shop}}
spec:
  {{{says}serviceAccountName: says-{account}, containers: [{lists}],
   volumes: [{{name: {volume}, projected: {{sources: [{{serviceAccountToken: {{path: token, audience: own}}}}]}}}}]}}
"""


class Automount(unittest.TestCase):
    def test_is_decided_by_the_pod_then_its_account_then_what_is_mounted(self):
        accounts = "".join(f"---\n{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: says-{account}, namespace: shop}}, {SAYS[account]}}}\n"
                           for account in SAYS)
        combinations = list(itertools.product(SAYS, SAYS, MOUNTS))
        with daemon.Daemon() as agent:
            agent.drop("all.yaml", accounts + "".join(manifest(*combination) for combination in combinations))
            agent.start_and_settle()
            daemon.wait_until(lambda: all(pod["ready"] for pod in agent.status()["pods"]), "all to be ready")
            shown = {pod["name"]: pod for pod in agent.status()["pods"]}
            self.assertEqual(len(combinations), len(shown))
            for pod, account, mounts in combinations:
                with self.subTest(pod=pod, account=account, mounts=mounts):
                    wanted = (pod if pod != "unset" else account) != "false"
                    name = named(pod, account, mounts)
                    volumes = {volume["name"] for volume in shown[name]["volumes"]}
                    own = {"none": set(), "brought": {BROUGHT}}.get(mounts, {"own"})
                    injected = volumes - own
                    self.assertEqual(own | injected, volumes)
                    self.assertEqual(1 if wanted and mounts in ("none", "one") else 0, len(injected))
                    stable = agent.base / "by-name" / "shop" / name
                    has_usual = bool(injected) or mounts == "brought"
                    self.assertEqual(has_usual, (stable / "kube-api-access").exists())
                    if injected:
                        self.assertEqual({"token", "ca.crt", "namespace"},
                                         {entry for entry in os.listdir(stable / "kube-api-access") if not entry.startswith("..")})
                        claims = daemon.claims_of((stable / "kube-api-access" / "token").read_text())
                        self.assertEqual(f"system:serviceaccount:shop:says-{account}", claims["sub"])
