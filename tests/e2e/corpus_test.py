# SPDX-License-Identifier: Apache-2.0
"""Manifests as people have them (corpus.py), by the real binary: each loads, or is refused with a line to act on."""
import pathlib
import re
import shlex
import shutil
import subprocess
import unittest

import corpus
import daemon
from daemon import wait_until

WORKLOADS = ("deployment", "stateful-set", "daemon-set", "replica-set", "replication-controller", "job", "cron-job")


class Corpus(unittest.TestCase):
    maxDiff = None

    def test_is_validated_as_it_says_line_by_line(self):
        with daemon.Daemon() as nowhere:
            for entry in corpus.entries():
                with self.subTest(entry.name):
                    refused, remarks = corpus.validated(entry, nowhere.base)
                    self.assertEqual(entry.lines("refuses"), refused)
                    self.assertEqual(entry.lines("remarks"), remarks)

    def test_is_served_all_at_once_but_for_what_it_refuses(self):
        entries = corpus.entries()
        self.assertGreaterEqual(len(entries), 200)
        loads = {pod: sorted(volumes) for entry in entries for pod, volumes in entry.pods().items()}
        with daemon.Daemon() as agent:
            corpus.drop_all(agent)
            agent.start()

            def shown() -> dict:
                return {f"{pod['namespace']}/{pod['name']}": pod for pod in agent.status()["pods"]} if agent.alive_status() else {}

            wait_until(lambda: {name for name, pod in shown().items() if pod["ready"]} >= loads.keys(), "all that load to be ready")
            pods = shown()
            self.assertEqual(loads, {name: corpus.volumes_of(pod) for name, pod in pods.items() if pod["ready"]})
            for name, pod in pods.items():
                for volume in pod["volumes"] if pod["ready"] else ():
                    self.assertTrue((pathlib.Path(volume["path"]) / "..data").is_dir(), (name, volume["name"]))
            problems = agent.status()["problems"] + [f"Pod {name}: {pod['message']}" for name, pod in pods.items() if not pod["ready"]]
            for entry in entries:
                for line in entry.lines("refuses"):
                    with self.subTest(entry.name, line=line):
                        mine = line if line.startswith("Pod ") else f"{agent.manifests}/{entry.name}.yaml: {line}"
                        self.assertIn(mine, problems)
            # Two that are refused because of another file, and one that `validate` takes for what it is.
            names = {problem.split(": ")[0].rsplit("/", 1)[-1] for problem in agent.status()["problems"]}
            refusing = {f"{entry.name}.yaml" for entry in entries if any(not line.startswith("Pod ") for line in entry.lines("refuses"))}
            self.assertEqual({"the-same-name-as-another-file.yaml", "uid-of-another-pod.yaml",
                              "tokenlets-own-configuration-dropped-in.yaml"}, names - refusing)

    def test_static_pods_of_kubeadm_get_their_tokens(self):
        """A kubelet gives them none: they have no account there, nor may they name one."""
        accounts = {"etcd": "default", "kube-apiserver": "default", "kube-controller-manager": "default", "kube-scheduler": "default",
                    "etcd-cp-1": "default", "node-agent": "node-agent"}
        with daemon.Daemon() as agent:
            corpus.drop_all(agent)
            agent.start()
            for name, account in accounts.items():
                with self.subTest(name):
                    token = agent.base / "by-name/kube-system" / name / "kube-api-access/token"
                    wait_until(token.exists, f"the token of {name}")
                    claims = daemon.claims_of(token.read_text())
                    self.assertEqual(f"system:serviceaccount:kube-system:{account}", claims["sub"])
                    self.assertEqual(name, claims["kubernetes.io"]["pod"]["name"])
            volumes = agent.base / "by-name/kube-system/node-agent"
            self.assertEqual("vault", daemon.claims_of((volumes / "all/vault").read_text())["aud"][0])
            self.assertIn("BEGIN CERTIFICATE", (volumes / "roots/roots.pem").read_text())

    def test_workloads_say_by_which_command_their_template_becomes_a_pod(self):
        if not shutil.which("yq"):
            self.skipTest("NOT TESTED: yq is not installed")
        for entry in corpus.entries():
            if entry.name not in WORKLOADS:
                continue
            with self.subTest(entry.name), daemon.Daemon() as nowhere:
                line, = entry.lines("refuses")
                _, expression, file = shlex.split(line.split("as this prints it: ")[1])
                self.assertEqual("FILE", file)
                (nowhere.base / "it").write_text(entry.text)
                made = subprocess.run(["yq", expression, str(nowhere.base / "it")], capture_output=True, text=True, check=True).stdout
                pod = corpus.Entry("made", made)
                self.assertEqual(([], []), corpus.validated(pod, nowhere.base))
                self.assertIn(re.search(r"^metadata: {name: (\S+),", entry.text, re.M).group(1), made)
